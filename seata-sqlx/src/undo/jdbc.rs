//! Numbers of `java.sql.Types`, by which a document names the type of a column.

pub(crate) const BIT: i32 = -7;
pub(crate) const TINYINT: i32 = -6;
pub(crate) const BIGINT: i32 = -5;
pub(crate) const LONGVARBINARY: i32 = -4;
pub(crate) const VARBINARY: i32 = -3;
pub(crate) const BINARY: i32 = -2;
pub(crate) const LONGVARCHAR: i32 = -1;
pub(crate) const NULL: i32 = 0;
pub(crate) const CHAR: i32 = 1;
pub(crate) const NUMERIC: i32 = 2;
pub(crate) const DECIMAL: i32 = 3;
pub(crate) const INTEGER: i32 = 4;
pub(crate) const SMALLINT: i32 = 5;
pub(crate) const REAL: i32 = 7;
pub(crate) const DOUBLE: i32 = 8;
pub(crate) const VARCHAR: i32 = 12;
pub(crate) const DATE: i32 = 91;
pub(crate) const TIME: i32 = 92;
pub(crate) const TIMESTAMP: i32 = 93;
pub(crate) const OTHER: i32 = 1111;
pub(crate) const DISTINCT: i32 = 2001;
pub(crate) const STRUCT: i32 = 2002;
pub(crate) const ARRAY: i32 = 2003;
pub(crate) const SQLXML: i32 = 2009;
pub(crate) const REF_CURSOR: i32 = 2012;
