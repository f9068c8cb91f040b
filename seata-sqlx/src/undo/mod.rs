//! Undo logs: what a branch changed, in the document that Java's resource managers read and write.

mod calendar;
mod decimal;
mod json;
mod objects;
mod record;
mod same;
mod text;
mod value;
mod zone;

pub use json::{DecodeError, decode, encode};
pub use objects::{PgObject, SerialArray};
pub use record::{BranchUndoLog, Field, Row, SqlType, SqlUndoLog, TableRecords};
pub use value::{Instant, Value};
pub use zone::{Civil, CivilDate, Zone, ZoneError};

/// The `context` column of a row written by [`encode`].
pub(crate) const CONTEXT: &str = "serializer=jackson&compressorType=NONE";

/// What a defence row holds, as Java writes it.
pub(crate) const DEFENCE: &[u8] = b"{}";

/// Checks that a row with this `context` holds what [`decode`] reads.
pub(crate) fn check_context(context: &str) -> Result<(), DecodeError> {
    let pairs = context.split('&').filter_map(|pair| pair.split_once('='));
    for (key, value) in pairs {
        let readable = match key {
            "serializer" => value == "jackson",
            "compressorType" => value.eq_ignore_ascii_case("none"),
            "subId" => value.is_empty(),
            _ => true,
        };
        if !readable {
            return Err(DecodeError::Context { key: key.to_owned(), value: value.to_owned() });
        }
    }
    Ok(())
}
