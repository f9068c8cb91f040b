//! One column's value, with the Java class that stands for its type in the document.

use std::fmt;

use super::{PgObject, SerialArray};

/// A value in an image. Two values are equal when class and content are; nothing is converted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A bare `true` or `false`.
    Boolean(bool),
    /// A bare whole number: `java.lang.Integer`.
    Integer(i32),
    /// A bare text: `java.lang.String`.
    Text(String),
    /// A bare floating-point number: `java.lang.Double`.
    Double(f64),
    /// `java.lang.Long`.
    Long(i64),
    /// `java.lang.Short`.
    Short(i16),
    /// `java.lang.Byte`.
    Byte(i8),
    /// `java.lang.Float`.
    Float(f32),
    /// `java.math.BigDecimal`, in the digits in which it was written: the scale counts.
    Decimal(String),
    /// `java.math.BigInteger`, in decimal digits.
    BigInteger(String),
    /// `byte[]`.
    Bytes(Vec<u8>),
    /// `java.sql.Date`: milliseconds since 1970 of midnight in the writer's time zone.
    Date(i64),
    /// `java.sql.Time`, as `hh:mm:ss`.
    Time(String),
    /// `java.sql.Timestamp`.
    Timestamp(Instant),
    /// `java.time.LocalDateTime`.
    LocalDateTime(Instant),
    /// `java.util.UUID`, in its text form.
    Uuid(String),
    /// `javax.sql.rowset.serial.SerialBlob`.
    Blob(Vec<u8>),
    /// `javax.sql.rowset.serial.SerialClob`.
    Clob(String),
    /// `org.postgresql.util.PGobject` or a class that extends it.
    PgObject(PgObject),
    /// Seata's `SerialArray`: an array of a database.
    Array(SerialArray),
    /// Anything else, as the JSON text that it was read from.
    Other(String),
}

/// A moment as Seata's serializer writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Milliseconds since 1970.
    pub millis: i64,
    /// The nanoseconds of the second, those that `millis` tells among them; only where they are finer than `millis`.
    pub nanos: Option<u32>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Long(a), Self::Long(b)) => a == b,
            (Self::Short(a), Self::Short(b)) => a == b,
            (Self::Byte(a), Self::Byte(b)) => a == b,
            // By bits: an image is what stood there, and NaN stood there too.
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b))
            | (Self::Decimal(a), Self::Decimal(b))
            | (Self::BigInteger(a), Self::BigInteger(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Uuid(a), Self::Uuid(b))
            | (Self::Clob(a), Self::Clob(b))
            | (Self::Other(a), Self::Other(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) | (Self::Blob(a), Self::Blob(b)) => a == b,
            (Self::PgObject(a), Self::PgObject(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) | (Self::LocalDateTime(a), Self::LocalDateTime(b)) => {
                a == b
            }
            _ => false,
        }
    }
}

/// For operators: short, and telling `1` from `1.0` and from `'1'`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Short(value) => write!(f, "{value}"),
            Self::Byte(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Decimal(digits) | Self::BigInteger(digits) => f.write_str(digits),
            Self::Text(text) | Self::Clob(text) | Self::Time(text) | Self::Uuid(text) => quoted(f, text),
            Self::Bytes(bytes) | Self::Blob(bytes) => hexadecimal(f, bytes),
            Self::Date(millis) => write!(f, "date {millis} ms"),
            Self::Timestamp(at) | Self::LocalDateTime(at) => match at.nanos {
                None => write!(f, "time {} ms", at.millis),
                Some(nanos) => write!(f, "time {} ms, of whose second {nanos} ns", at.millis),
            },
            Self::PgObject(object) => match &object.text {
                Some(text) => {
                    write!(f, "{} ", object.type_name)?;
                    quoted(f, text)
                }
                None => f.write_str("NULL"),
            },
            Self::Array(array) => {
                write!(f, "{}[", array.base_type_name)?;
                for (index, element) in array.elements.iter().take(SHOWN).enumerate() {
                    write!(f, "{}{element}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(if array.elements.len() > SHOWN { ", …]" } else { "]" })
            }
            Self::Other(json) => f.write_str(json),
        }
    }
}

const SHOWN: usize = 64;

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    write!(f, "'{}{more}'", shown.replace('\'', "''"))
}

fn hexadecimal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("x'")?;
    for byte in bytes.iter().take(SHOWN) {
        write!(f, "{byte:02x}")?;
    }
    f.write_str(if bytes.len() > SHOWN { "…'" } else { "'" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_equals_only_its_own_class() {
        assert_ne!(Value::Long(1), Value::Double(1.0));
        assert_ne!(Value::Long(1), Value::Text("1".into()));
        assert_ne!(Value::Decimal("1.0".into()), Value::Decimal("1.00".into()));
        assert_eq!(Value::Double(f64::NAN), Value::Double(f64::NAN));
        assert_ne!(Value::Double(0.0), Value::Double(-0.0));
    }

    #[test]
    fn long_values_are_shown_short() {
        assert_eq!(Value::Text("it's".into()).to_string(), "'it''s'");
        assert!(Value::Bytes(vec![7; 1000]).to_string().len() < 200);
        assert_eq!(Value::Double(1.0).to_string(), "1.0");
    }
}
