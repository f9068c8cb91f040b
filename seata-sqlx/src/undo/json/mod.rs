//! Java's jackson form of an undo log, byte for byte.
//!
//! Every object carries its class as the property `@class`, every list is `["java.util.ArrayList", […]]`, and a
//! value is either bare or `["class", content]`.

mod decode;
mod encode;
mod value;

pub use decode::{DecodeError, decode};
pub use encode::encode;

const BRANCH_UNDO_LOG: &str = "org.apache.seata.rm.datasource.undo.BranchUndoLog";
const SQL_UNDO_LOG: &str = "org.apache.seata.rm.datasource.undo.SQLUndoLog";
const TABLE_RECORDS: &str = "org.apache.seata.rm.datasource.sql.struct.TableRecords";
const EMPTY_TABLE_RECORDS: &str = "org.apache.seata.rm.datasource.sql.struct.TableRecords$EmptyTableRecords";
const ROW: &str = "org.apache.seata.rm.datasource.sql.struct.Row";
const FIELD: &str = "org.apache.seata.rm.datasource.sql.struct.Field";
const SERIAL_ARRAY: &str = "org.apache.seata.rm.datasource.sql.serial.SerialArray";
const ARRAY_LIST: &str = "java.util.ArrayList";

#[cfg(test)]
mod tests;
