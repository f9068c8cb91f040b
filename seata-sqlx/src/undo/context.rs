//! The `context` column: which serializer and compressor wrote a row, and where the rest of it is.

use seata_protocol::{BranchId, Compressor};

use super::ReadError;

/// How long a context may be: the column is a `VARCHAR(128)`.
const LONGEST: usize = 128;
const SERIALIZER: &str = "jackson";

/// What the `context` of an undo row says. Keys that are missing have Java's defaults; keys that mean nothing here
/// are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    pub(super) compressor: Compressor,
    pub(super) continuations: Vec<i64>,
}

impl Context {
    /// Reads the column.
    ///
    /// # Errors
    /// [`ReadError`] when it names a serializer or a compressor that is not read here, or its list of rows is none.
    ///
    /// ```
    /// use seata_sqlx::undo::Context;
    ///
    /// let context = Context::parse("subId=-12,-11,&serializer=jackson&compressorType=zip&map=1048576")?;
    /// assert_eq!(context.continuations(), [-12, -11]);
    /// # Ok::<(), seata_sqlx::undo::ReadError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        let mut context = Self { compressor: Compressor::None, continuations: Vec::new() };
        for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "serializer" if value.eq_ignore_ascii_case(SERIALIZER) => {}
                "serializer" if !value.is_empty() => {
                    return Err(ReadError::Serializer { name: value.to_owned() });
                }
                "compressorType" if !value.is_empty() => context.compressor = compressor(value)?,
                "subId" => context.continuations = ids(value)?,
                _ => {}
            }
        }
        Ok(context)
    }

    /// The `branch_id`s of the rows that hold the rest of the content, in the order in which it was cut.
    pub fn continuations(&self) -> &[i64] {
        &self.continuations
    }

    /// The `context` of those rows.
    pub fn of_continuation(branch: BranchId) -> String {
        format!("branchId={branch}")
    }

    /// The column's text, in Java's order of keys.
    pub(super) fn text(&self) -> String {
        let ids: Vec<String> = self.continuations.iter().map(i64::to_string).collect();
        let continuations = if ids.is_empty() { String::new() } else { format!("subId={}&", ids.join(",")) };
        format!("{continuations}serializer={SERIALIZER}&compressorType={}", self.compressor)
    }

    /// How many characters are left in the column for the ids of continuations.
    pub(super) fn room(compressor: Compressor) -> usize {
        let without = Self { compressor, continuations: Vec::new() };
        LONGEST - without.text().len() - "subId=&".len()
    }
}

fn compressor(name: &str) -> Result<Compressor, ReadError> {
    let known = Compressor::ALL
        .iter()
        .copied()
        .find(|compressor| compressor.name().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    known.ok_or_else(|| ReadError::Compressor { name: name.to_owned() })
}

fn ids(list: &str) -> Result<Vec<i64>, ReadError> {
    let wrong = |_| ReadError::Continuations { list: list.to_owned() };
    list.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().map_err(wrong)).collect()
}
