//! The rows of the undo table that hold one undo log: compressed when it is long, and cut when it is longer than what
//! the database takes at once.

use seata_protocol::{
    BranchId, Compressor,
    compress::{CompressError, compress, decompress},
};

use super::{BranchUndoLog, Context, DecodeError, decode, encode};

/// The bytes of the longest undo log, unless something else is said: 1 GiB.
pub const MAX_LOG: usize = 1 << 30;

/// How undo logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Logs of more bytes than this are compressed, as zip; `None` for never. Java's `client.undo.compress`, 64 KiB.
    pub compress_above: Option<usize>,
    /// How many bytes the database takes in one statement, where it has such a limit: MySQL's `max_allowed_packet`. A log of
    /// more than 0.8 times as many bytes is cut into several rows.
    pub max_packet: Option<u64>,
    /// Logs of more bytes than this are not written, as they would not be read. [`MAX_LOG`].
    pub max_log: usize,
}

impl Default for Writing {
    fn default() -> Self {
        Self { compress_above: Some(64 << 10), max_packet: None, max_log: MAX_LOG }
    }
}

/// A row of the undo table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRow {
    /// Its `branch_id`: the branch, or a number that is no branch's for what is cut off.
    pub branch_id: i64,
    /// Its `context`.
    pub context: String,
    /// Its `rollback_info`.
    pub content: Vec<u8>,
}

impl UndoRow {
    /// The mark against a phase one that comes after its rollback, as Java writes it.
    pub(crate) fn mark(branch: BranchId) -> Self {
        let context = Context { compressor: Compressor::None, continuations: Vec::new() }.text();
        Self { branch_id: branch.0, context, content: b"{}".to_vec() }
    }
}

/// Why an undo log cannot be written. Nothing has to be undone then but the local transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It has more bytes than an undo log may.
    #[error("the undo log has {size} bytes, more than {limit}: change fewer rows in one local transaction")]
    TooLong {
        /// The bytes of the log.
        size: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It takes more rows than Java's readers can be told of.
    #[error(
        "the undo log has {size} bytes and would take {rows} rows of {piece} bytes, of which the undo table's \
         VARCHAR(128) of a context can name {most}: change fewer rows in one local transaction, or raise \
         max_allowed_packet"
    )]
    TooManyRows {
        /// The bytes of the log, compressed if it is to be.
        size: usize,
        /// How many rows they would take.
        rows: usize,
        /// How many bytes one row may hold.
        piece: usize,
        /// How many rows there may be.
        most: usize,
    },
    /// It cannot be compressed.
    #[error("the undo log cannot be compressed: {0}")]
    Compress(#[from] CompressError),
}

/// Why the rows of a branch give no undo log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The content is not a document of Seata.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Another serializer wrote it.
    #[error(
        "the undo log was written by the serializer {name:?}, which is not read here: set \
         client.undo.logSerialization to jackson in the resource managers that share this undo table, and let one of \
         them roll this branch back"
    )]
    Serializer {
        /// The serializer.
        name: String,
    },
    /// No compressor has the name.
    #[error("the undo log was written by the compressor {name:?}, which is not known here")]
    Compressor {
        /// The compressor.
        name: String,
    },
    /// This build reads no such compressor.
    #[error(
        "the undo log is compressed as {compressor}: switch on the feature \"compressors\" of seata or seata-sqlx"
    )]
    FeatureOff {
        /// The compressor.
        compressor: Compressor,
    },
    /// What is compressed is damaged, or too long.
    #[error("the undo log cannot be decompressed: {0}")]
    Decompress(CompressError),
    /// The `context` does not list the rows that hold the rest.
    #[error("the undo log's context lists its other rows as {list:?}, which are not numbers")]
    Continuations {
        /// What it lists.
        list: String,
    },
    /// A row that holds a part of it is gone.
    #[error("row {branch_id} of the undo table is missing: it holds a part of this undo log")]
    Missing {
        /// Its `branch_id`.
        branch_id: i64,
    },
    /// It is longer than the caller allows.
    #[error("the undo log has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

impl From<CompressError> for ReadError {
    fn from(error: CompressError) -> Self {
        match error {
            CompressError::FeatureOff { compressor, .. } => Self::FeatureOff { compressor },
            CompressError::TooLong { limit } => Self::TooLong { limit },
            other => Self::Decompress(other),
        }
    }
}

/// The rows that hold the log, in the order in which they have to be inserted: the branch's own comes last.
///
/// # Errors
/// [`WriteError`] when Java's readers could not put it together.
///
/// ```
/// use seata_sqlx::undo::{self, BranchUndoLog, Context, Writing};
///
/// let log = BranchUndoLog { xid: "h:8091:1".into(), branch_id: 2, sql_undo_logs: Vec::new() };
/// let rows = undo::write(&log, &Writing::default())?;
/// assert_eq!(rows[0].context, "serializer=jackson&compressorType=NONE");
///
/// let context = Context::parse(&rows[0].context)?;
/// assert_eq!(undo::read(&context, rows[0].content.clone(), Vec::new(), undo::MAX_LOG)?, log);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(log: &BranchUndoLog, writing: &Writing) -> Result<Vec<UndoRow>, WriteError> {
    let mut content = encode(log);
    if content.len() > writing.max_log {
        return Err(WriteError::TooLong { size: content.len(), limit: writing.max_log });
    }
    let mut compressor = Compressor::None;
    if writing.compress_above.is_some_and(|threshold| content.len() > threshold) {
        compressor = Compressor::Zip;
        content = compress(compressor, &content)?.into();
    }
    let piece = writing.max_packet.map_or(usize::MAX, piece);
    let count = content.len().div_ceil(piece).max(1) - 1;
    let continuations =
        continuation_ids(log.branch_id, count, Context::room(compressor)).map_err(|most| {
            WriteError::TooManyRows { size: content.len(), rows: count + 1, piece, most: most + 1 }
        })?;
    let mut rows = Vec::with_capacity(count + 1);
    let rest = content.split_off(content.len().min(piece));
    for (branch_id, content) in continuations.iter().zip(rest.chunks(piece)) {
        let context = Context::of_continuation(BranchId(log.branch_id));
        rows.push(UndoRow { branch_id: *branch_id, context, content: content.to_vec() });
    }
    let context = Context { compressor, continuations }.text();
    rows.push(UndoRow { branch_id: log.branch_id, context, content });
    Ok(rows)
}

/// Java's 0.8, in whole bytes.
fn piece(max_packet: u64) -> usize {
    usize::try_from(max_packet / 5 * 4 + max_packet % 5 * 4 / 5).unwrap_or(usize::MAX).max(1)
}

/// Numbers for rows that are no branch's own. They rise, since Java reads the rows without an order, in which the index
/// of `branch_id` gives them; they are below zero, where no branch is; and they are as long as there is `room` for, so
/// that hardly two branches of one transaction get the same. Fails with how many there is room for.
fn continuation_ids(branch: i64, count: usize, room: usize) -> Result<Vec<i64>, usize> {
    /// With fewer digits, two branches of a transaction could get the same.
    const FEWEST_DIGITS: usize = 6;
    const MOST_DIGITS: usize = 18;
    const SIGN_AND_COMMA: usize = 2;
    if count == 0 {
        return Ok(Vec::new());
    }
    let digits = ((room / count).saturating_sub(SIGN_AND_COMMA)).min(MOST_DIGITS);
    if digits < FEWEST_DIGITS {
        return Err(room / (FEWEST_DIGITS + SIGN_AND_COMMA));
    }
    let lowest = 10_i64.pow(digits as u32 - 1);
    let spread = 9 * lowest - count as i64;
    let first = -(lowest + count as i64 + (scattered(branch) % spread as u64) as i64);
    Ok((first..).take(count).collect())
}

/// Branches with near ids get numbers that are far from each other (SplitMix64).
fn scattered(branch: i64) -> u64 {
    let mut bits = branch.cast_unsigned().wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The log that a branch's row holds, together with the other rows that its context lists; of those, each with its
/// `branch_id`, the order does not matter. Nothing longer than `limit` bytes is read, before it is decompressed or after.
///
/// # Errors
/// [`ReadError`] when a row is missing, or what they hold is not what Seata writes.
pub fn read(
    context: &Context,
    content: Vec<u8>,
    continuations: Vec<(i64, Vec<u8>)>,
    limit: usize,
) -> Result<BranchUndoLog, ReadError> {
    let mut whole = content;
    for &branch_id in &context.continuations {
        let found = continuations.iter().find(|(id, _)| *id == branch_id);
        let (_, piece) = found.ok_or(ReadError::Missing { branch_id })?;
        whole.extend_from_slice(piece);
    }
    if whole.len() > limit {
        return Err(ReadError::TooLong { limit });
    }
    let document = decompress(context.compressor, whole.into(), limit)?;
    Ok(decode(&document)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::undo::{Field, Row, SqlType, SqlUndoLog, TableRecords, Value};

    #[test]
    fn a_long_log_is_compressed_and_a_short_one_is_not() {
        for (writing, length, expected) in [
            (Writing::default(), 40 << 10, "compressorType=NONE"),
            (Writing::default(), 50 << 10, "compressorType=ZIP"),
            (Writing { compress_above: None, ..Writing::default() }, 1 << 20, "compressorType=NONE"),
        ] {
            let log = log_with("x".repeat(length).into_bytes());
            let rows = write(&log, &writing).unwrap();
            assert_eq!(rows.len(), 1);
            assert!(rows[0].context.ends_with(expected), "{}", rows[0].context);
            assert_eq!(read_rows(rows, MAX_LOG).unwrap(), log);
        }
    }

    #[test]
    fn what_is_longer_than_a_packet_goes_into_rows_that_java_puts_together() {
        for count in 1..=11 {
            let max_packet = 100_000;
            let log = log_with(noise(count * 60_000 - 1_000));
            let rows = write(
                &log,
                &Writing { compress_above: None, max_packet: Some(max_packet), ..Writing::default() },
            )
            .unwrap();
            let (last, others) = rows.split_last().unwrap();
            assert_eq!(others.len(), count - 1);
            assert!(last.branch_id == 7 && last.context.len() <= 128, "{}", last.context);
            assert!(others.iter().all(|row| row.context == "branchId=7" && row.branch_id < -99_999));
            // Java reads them in the order of their ids, and Rust in that of the context.
            assert!(others.is_sorted_by(|a, b| a.branch_id < b.branch_id));
            let in_javas_order =
                [&last.content[..], &others.iter().flat_map(|row| row.content.clone()).collect::<Vec<_>>()]
                    .concat();
            assert_eq!(in_javas_order, encode(&log));
            assert!(rows.iter().all(|row| row.content.len() <= 80_000));
            assert_eq!(read_rows(rows, MAX_LOG).unwrap(), log);
        }
    }

    #[test]
    fn a_log_of_more_rows_than_a_context_can_name_is_refused() {
        let log = log_with(noise(12 * 60_000));
        let writing = Writing { compress_above: None, max_packet: Some(100_000), ..Writing::default() };
        let error = write(&log, &writing).unwrap_err();
        assert!(
            matches!(error, WriteError::TooManyRows { rows: 13, most: 11, piece: 80_000, .. }),
            "{error:?}"
        );
        let compressed = Writing { compress_above: Some(0), ..writing };
        assert!(write(&log_with(vec![7; 12 * 60_000]), &compressed).is_ok());
    }

    #[test]
    fn branches_of_one_transaction_get_different_rows() {
        let ids = |branch, count| continuation_ids(branch, count, Context::room(Compressor::Zip)).unwrap();
        let few: Vec<i64> = (1..1000).flat_map(|branch| ids(branch, 3)).collect();
        let different: std::collections::BTreeSet<i64> = few.iter().copied().collect();
        assert_eq!(different.len(), few.len());
        assert!(ids(1, 3).iter().all(|id| *id < -10_i64.pow(17)));
        assert_eq!(ids(5, 10), ids(5, 10));
    }

    #[test]
    fn java_puts_the_ids_into_the_context_as_this_does() {
        let written = Context { compressor: Compressor::Zip, continuations: vec![-12, -11] };
        assert_eq!(written.text(), "subId=-12,-11&serializer=jackson&compressorType=ZIP");
        for text in [
            "subId=-12,-11,&serializer=jackson&compressorType=ZIP&map=1048576",
            "map=&compressorType=zip&subId=-12,-11&what=ever&branchId",
        ] {
            assert_eq!(Context::parse(text).unwrap(), written, "{text}");
        }
        let plain = Context { compressor: Compressor::None, continuations: Vec::new() };
        for text in [
            "",
            "serializer=jackson&compressorType=NONE&map=16777216",
            "serializerKey=json&compressorTypeKey=None",
        ] {
            assert_eq!(Context::parse(text).unwrap(), plain, "{text}");
        }
    }

    #[test]
    fn what_is_not_read_here_is_named() {
        let read = |context: &str| Context::parse(context).unwrap_err().to_string();
        assert!(read("serializer=kryo").contains("kryo"));
        assert!(read("compressorType=RAR").contains("RAR"));
        assert!(read("subId=1,x").contains("1,x"));
        let seven_z = read_rows(vec![row(7, "compressorType=SEVENZ", b"{}")], MAX_LOG).unwrap_err();
        assert!(seven_z.to_string().contains("SEVENZ"), "{seven_z}");
        let missing = read_rows(vec![row(7, "subId=-5", b"{}")], MAX_LOG);
        assert!(matches!(missing, Err(ReadError::Missing { branch_id: -5 })));
    }

    #[test]
    fn nothing_is_read_beyond_the_limit() {
        let log = log_with(vec![7; 1 << 20]);
        let compressed = write(&log, &Writing::default()).unwrap();
        assert!(compressed[0].content.len() < 10_000);
        let error = read_rows(compressed, 1 << 20).unwrap_err();
        assert!(matches!(error, ReadError::TooLong { limit: 1_048_576 }), "{error:?}");
        let plain = write(&log, &Writing { compress_above: None, ..Writing::default() }).unwrap();
        assert!(matches!(read_rows(plain, 1 << 20), Err(ReadError::TooLong { .. })));
        let refused = write(&log, &Writing { max_log: 1 << 20, ..Writing::default() });
        assert!(matches!(refused, Err(WriteError::TooLong { limit: 1_048_576, .. })), "{refused:?}");
    }

    fn log_with(bytes: Vec<u8>) -> BranchUndoLog {
        let value = Value::Bytes(bytes);
        let field = Field { name: "b".into(), is_key: false, jdbc_type: -4, value, exact: None };
        let image = TableRecords { table_name: "t".into(), rows: vec![Row { fields: vec![field] }] };
        let log = SqlUndoLog {
            sql_type: SqlType::Delete,
            table_name: "t".into(),
            before_image: Some(image),
            after_image: Some(TableRecords::empty("t")),
        };
        BranchUndoLog { xid: "h:1:2".into(), branch_id: 7, sql_undo_logs: vec![log] }
    }

    fn noise(length: usize) -> Vec<u8> {
        (0..length as i64).map(|n| scattered(n) as u8).collect()
    }

    fn row(branch_id: i64, context: &str, content: &[u8]) -> UndoRow {
        UndoRow { branch_id, context: context.to_owned(), content: content.to_vec() }
    }

    /// The last of them is the branch's own.
    fn read_rows(mut rows: Vec<UndoRow>, limit: usize) -> Result<BranchUndoLog, ReadError> {
        let own = rows.pop().unwrap();
        let mut others: Vec<_> = rows.into_iter().map(|row| (row.branch_id, row.content)).collect();
        others.reverse();
        read(&Context::parse(&own.context)?, own.content, others, limit)
    }
}
