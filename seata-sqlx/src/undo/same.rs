//! Which values are the same one, although their classes are not.

use std::{borrow::Cow, fmt};

use super::{Field, Instant, Value, decimal::Decimal};

impl Field {
    /// Whether both hold the same value of one column, by whatever driver it was read. Drivers give different classes
    /// for one type, and a document may come from any of them.
    ///
    /// Whole numbers are compared as numbers, a boolean among them as 0 or 1; decimal numbers by value and scale,
    /// floating-point ones by their bits; moments, bytes and texts whatever class they come in. Where both have an
    /// [`exact`](Self::exact) text, that alone counts.
    ///
    /// ```
    /// use seata_sqlx::undo::{Field, Value};
    ///
    /// let field = |value| Field { name: "n".into(), is_key: false, jdbc_type: 5, value, exact: None };
    /// assert!(field(Value::Integer(5)).same_value(&field(Value::Short(5))));
    /// assert!(!field(Value::Integer(5)).same_value(&field(Value::Text("5".into()))));
    /// ```
    pub fn same_value(&self, other: &Self) -> bool {
        match (&self.exact, &other.exact) {
            (Some(a), Some(b)) => a == b,
            _ => self.value == other.value || self.value.meaning() == other.value.meaning(),
        }
    }
}

/// For operators: the database's own text if there is one, else the value.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exact {
            Some(exact) => f.write_str(exact),
            None => self.value.fmt(f),
        }
    }
}

/// A value without its class: two values are the same one when their meanings are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning<'v> {
    Null,
    Whole(i128),
    /// Decimal digits of a whole number beyond those, without leading zeros.
    Huge(Cow<'v, str>),
    Decimal(Decimal),
    /// The bits, one NaN for all.
    Floating(u64),
    Date(i64),
    Time(&'v str),
    /// Nanoseconds since 1970.
    Moment(i128),
    Bytes(&'v [u8]),
    Text(&'v str),
    Uuid(Cow<'v, str>),
    Object(&'v str, Option<&'v str>),
    Array(&'v str, Vec<Meaning<'v>>),
    Other(&'v str),
}

impl Value {
    pub(crate) fn meaning(&self) -> Meaning<'_> {
        match self {
            Self::Null => Meaning::Null,
            Self::Boolean(value) => Meaning::Whole((*value).into()),
            Self::Byte(value) => Meaning::Whole((*value).into()),
            Self::Short(value) => Meaning::Whole((*value).into()),
            Self::Integer(value) => Meaning::Whole((*value).into()),
            Self::Long(value) => Meaning::Whole((*value).into()),
            Self::BigInteger(digits) => {
                digits.parse().map_or_else(|_| Meaning::Huge(without_leading_zeros(digits)), Meaning::Whole)
            }
            Self::Decimal(digits) => Decimal::parse(digits).map_or(Meaning::Other(digits), Meaning::Decimal),
            Self::Float(value) => floating((*value).into()),
            Self::Double(value) => floating(*value),
            Self::Date(millis) => Meaning::Date(*millis),
            Self::Time(text) => Meaning::Time(text),
            Self::Timestamp(at) | Self::LocalDateTime(at) => Meaning::Moment(at.nanoseconds()),
            Self::Bytes(bytes) | Self::Blob(bytes) => Meaning::Bytes(bytes),
            Self::Text(text) | Self::Clob(text) => Meaning::Text(text),
            Self::Uuid(text) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Meaning::Uuid(text.to_ascii_lowercase().into())
            }
            Self::Uuid(text) => Meaning::Uuid(text.into()),
            Self::PgObject(object) => Meaning::Object(&object.type_name, object.text.as_deref()),
            Self::Array(array) => {
                Meaning::Array(&array.base_type_name, array.elements.iter().map(Self::meaning).collect())
            }
            Self::Other(json) => Meaning::Other(json),
        }
    }
}

/// Long values are not shortened here: no two meanings of one column read alike.
impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Huge(digits) => f.write_str(digits),
            Self::Decimal(number) => write!(f, "{number}"),
            Self::Floating(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Date(millis) => write!(f, "date {millis} ms"),
            Self::Moment(nanos) => write!(f, "time {nanos} ns"),
            Self::Bytes(bytes) => write!(f, "{bytes:?}"),
            Self::Text(text) | Self::Time(text) => quoted(f, text),
            Self::Uuid(text) => quoted(f, text),
            Self::Object(type_name, text) => {
                write!(f, "{type_name} ")?;
                match text {
                    Some(text) => quoted(f, text),
                    None => f.write_str("NULL"),
                }
            }
            Self::Array(type_name, elements) => {
                write!(f, "{type_name}[")?;
                elements.iter().try_for_each(|element| write!(f, "{element},"))?;
                f.write_str("]")
            }
            Self::Other(json) => f.write_str(json),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

impl Instant {
    fn nanoseconds(self) -> i128 {
        match self.nanos {
            None => i128::from(self.millis) * 1_000_000,
            Some(nanos) => i128::from(self.millis.div_euclid(1000)) * 1_000_000_000 + i128::from(nanos),
        }
    }
}

fn floating(value: f64) -> Meaning<'static> {
    Meaning::Floating(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() })
}

fn without_leading_zeros(digits: &str) -> Cow<'_, str> {
    let (sign, magnitude) = match digits.strip_prefix('-') {
        Some(magnitude) => ("-", magnitude),
        None => ("", digits),
    };
    match magnitude.trim_start_matches('0') {
        "" => Cow::Borrowed("0"),
        rest if rest.len() == magnitude.len() => Cow::Borrowed(digits),
        rest => Cow::Owned(format!("{sign}{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::undo::{PgObject, SerialArray};

    #[test]
    fn one_value_is_the_same_in_every_class_that_drivers_give() {
        let at = |millis, nanos| Instant { millis, nanos };
        let same: [&[Value]; 11] = [
            &[
                Value::Boolean(true),
                Value::Byte(1),
                Value::Short(1),
                Value::Integer(1),
                Value::Long(1),
                Value::BigInteger("1".into()),
                Value::BigInteger("001".into()),
            ],
            &[Value::BigInteger("9".repeat(50)), Value::BigInteger(format!("0{}", "9".repeat(50)))],
            &[Value::Decimal("0.0000001".into()), Value::Decimal("1E-7".into())],
            &[Value::Decimal("-0.50".into()), Value::Decimal("-5.0E-1".into())],
            &[Value::Float(1.5), Value::Double(1.5)],
            &[Value::Double(f64::NAN), Value::Double(-f64::NAN), Value::Float(f32::NAN)],
            &[Value::Timestamp(at(-1, None)), Value::LocalDateTime(at(-1, Some(999_000_000)))],
            &[Value::Bytes(vec![1]), Value::Blob(vec![1])],
            &[Value::Text("a".into()), Value::Clob("a".into())],
            &[Value::Uuid("ABC".into()), Value::Uuid("abc".into())],
            &[array(4, vec![Value::Integer(1), Value::Null]), array(4, vec![Value::Long(1), Value::Null])],
        ];
        for (group, values) in same.iter().enumerate() {
            for (other_group, other_values) in same.iter().enumerate() {
                for (a, b) in values.iter().flat_map(|a| other_values.iter().map(move |b| (a, b))) {
                    assert_eq!(field(a).same_value(&field(b)), group == other_group, "{a:?} and {b:?}");
                }
            }
        }
    }

    #[test]
    fn what_differs_is_not_the_same() {
        let moment = |nanos| Value::Timestamp(Instant { millis: 123, nanos: Some(nanos) });
        let different = [
            (Value::Null, Value::Text(String::new())),
            (Value::Integer(1), Value::Text("1".into())),
            (Value::Integer(1), Value::Double(1.0)),
            (Value::Double(0.0), Value::Double(-0.0)),
            (Value::Decimal("1.5".into()), Value::Decimal("1.50".into())),
            (Value::Float(0.1), Value::Double(0.1)),
            (moment(123_000_000), moment(123_000_001)),
            (Value::Date(0), Value::Timestamp(Instant { millis: 0, nanos: None })),
            (Value::Bytes(b"a".to_vec()), Value::Text("a".into())),
            (
                Value::PgObject(PgObject::plain("json", "{\"a\":1}")),
                Value::PgObject(PgObject::plain("json", "{\"a\": 1}")),
            ),
            (Value::PgObject(PgObject::plain("json", "1")), Value::PgObject(PgObject::plain("jsonb", "1"))),
            (array(4, vec![Value::Integer(1)]), array(4, vec![Value::Integer(1), Value::Null])),
        ];
        for (a, b) in different {
            assert!(!field(&a).same_value(&field(&b)), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn an_exact_text_decides_where_both_have_one() {
        let exact = |text: Option<&str>| Field {
            exact: text.map(str::to_owned),
            ..field(&Value::Time("13:14:15".into()))
        };
        assert!(exact(Some("13:14:15.1")).same_value(&exact(Some("13:14:15.1"))));
        assert!(!exact(Some("13:14:15.1")).same_value(&exact(Some("13:14:15.2"))));
        assert!(exact(Some("13:14:15.1")).same_value(&exact(None)));
    }

    #[test]
    fn what_is_the_same_reads_the_same_and_what_is_not_does_not() {
        let text = |value: Value| value.meaning().to_string();
        assert_eq!(text(Value::Boolean(true)), text(Value::Long(1)));
        assert_eq!(text(Value::Decimal("1E-7".into())), text(Value::Decimal("0.0000001".into())));
        assert_eq!(text(Value::Text("it's".into())), "'it''s'");
        let long = |last: &str| Value::Text("x".repeat(1000) + last);
        assert_ne!(text(long("1")), text(long("2")));
        assert_ne!(text(array(4, vec![Value::Null])), text(array(4, Vec::new())));
    }

    fn field(value: &Value) -> Field {
        Field { name: "c".into(), is_key: false, jdbc_type: 4, value: value.clone(), exact: None }
    }

    fn array(base_type: i32, elements: Vec<Value>) -> Value {
        Value::Array(SerialArray { base_type, base_type_name: "int4".into(), elements })
    }
}
