//! Long logs are written and read on threads of their own: compressing megabytes would hold up everybody else whom the
//! runtime's thread serves.

use std::{future, panic};

use seata_protocol::Compressor;
use tokio::task::spawn_blocking;

use super::{
    BranchUndoLog, Context, ReadError, TableRecords, UndoRow, Value, WriteError, Writing, read, write,
};

/// A log of more rows than this is long: it takes milliseconds.
const LONG_IN_ROWS: usize = 500;
/// The content of a long log, or the values of one that is not written yet, have more bytes than this.
const LONG_IN_BYTES: usize = 256 << 10;
/// The same of content that is compressed, and may be a thousand times as long.
const LONG_IN_COMPRESSED_BYTES: usize = 16 << 10;

/// As [`write`].
pub(crate) async fn write_aside(log: BranchUndoLog, writing: Writing) -> Result<Vec<UndoRow>, WriteError> {
    if !is_long(&log) {
        return write(&log, &writing);
    }
    aside(move || write(&log, &writing)).await
}

/// As [`read`].
pub(crate) async fn read_aside(
    context: Context,
    content: Vec<u8>,
    continuations: Vec<(i64, Vec<u8>)>,
    limit: usize,
) -> Result<BranchUndoLog, ReadError> {
    let long = match context.compressor {
        Compressor::None => LONG_IN_BYTES,
        _ => LONG_IN_COMPRESSED_BYTES,
    };
    if content.len() <= long && continuations.is_empty() {
        return read(&context, content, continuations, limit);
    }
    aside(move || read(&context, content, continuations, limit)).await
}

fn is_long(log: &BranchUndoLog) -> bool {
    let images = log.sql_undo_logs.iter().flat_map(|log| [&log.before_image, &log.after_image]);
    let (mut rows, mut bytes) = (0, 0);
    for row in images.flatten().flat_map(|image: &TableRecords| &image.rows) {
        rows += 1;
        bytes += row.fields.iter().map(|field| length(&field.value)).sum::<usize>();
        if rows > LONG_IN_ROWS || bytes > LONG_IN_BYTES {
            return true;
        }
    }
    false
}

/// The bytes of a value that has no bound, roughly.
fn length(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Clob(text) | Value::Other(text) => text.len(),
        Value::Bytes(bytes) | Value::Blob(bytes) => bytes.len(),
        Value::PgObject(object) => object.text.as_ref().map_or(0, String::len),
        Value::Array(array) => array.elements.iter().map(|element| 8 + length(element)).sum(),
        _ => 0,
    }
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            // The runtime is shut down, and whoever waits here goes with it.
            Err(_) => future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::undo::{Field, PgObject, Row, SerialArray, SqlType, SqlUndoLog};

    #[test]
    fn a_log_of_many_rows_is_long_and_so_is_one_of_a_few_long_values() {
        let row = |value| Row {
            fields: vec![Field { name: "v".into(), is_key: false, jdbc_type: 12, value, exact: None }],
        };
        let text = "x".repeat(LONG_IN_BYTES / 2 + 1);
        let long = [
            Value::Bytes(text.clone().into_bytes()),
            Value::PgObject(PgObject::plain("json", &text)),
            Value::Array(SerialArray {
                base_type: 12,
                base_type_name: "text".into(),
                elements: vec![Value::Text(text.clone())],
            }),
            Value::Text(text),
        ];
        for value in long {
            assert!(!is_long(&log(vec![row(value.clone())])), "one of them may stay");
            assert!(is_long(&log(vec![row(value.clone()), row(value)])));
        }
        assert!(!is_long(&log(vec![row(Value::Long(1)); LONG_IN_ROWS])));
        assert!(is_long(&log(vec![row(Value::Long(1)); LONG_IN_ROWS + 1])));
    }

    fn log(rows: Vec<Row>) -> BranchUndoLog {
        let log = SqlUndoLog {
            sql_type: SqlType::Delete,
            table_name: "t".into(),
            before_image: Some(TableRecords { table_name: "t".into(), rows }),
            after_image: None,
        };
        BranchUndoLog { xid: "h:1:2".into(), branch_id: 7, sql_undo_logs: vec![log] }
    }
}
