//! Undo logs: what a branch changed, in the document that Java's resource managers read and write.

mod aside;
mod calendar;
mod context;
mod decimal;
pub(crate) mod jdbc;
mod json;
mod objects;
mod record;
mod rows;
mod same;
mod table;
mod text;
mod value;
mod zone;

pub(crate) use aside::{read_aside, write_aside};
pub use context::Context;
pub use json::{DecodeError, decode, encode};
pub use objects::{PgObject, SerialArray};
pub use record::{BranchUndoLog, Field, Row, SqlType, SqlUndoLog, TableRecords};
pub use rows::{MAX_LOG, ReadError, UndoRow, WriteError, Writing, read, write};
pub use table::table;
pub use value::{Instant, Value};
pub use zone::{Civil, CivilDate, Zone, ZoneError};
