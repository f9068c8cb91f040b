//! Which values are the same one, although their classes are not.

use std::borrow::Cow;

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
            _ => self.value.meaning() == other.value.meaning(),
        }
    }
}

/// A value without its class: two values are the same one when their meanings are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Meaning<'v> {
    Null,
    /// Decimal digits without leading zeros.
    Whole(Cow<'v, str>),
    Decimal(Decimal),
    /// The bits, one NaN for all.
    Floating(u64),
    Date(i64),
    Time(&'v str),
    /// Nanoseconds since 1970.
    Moment(i128),
    Bytes(&'v [u8]),
    Text(&'v str),
    Uuid(String),
    Object(&'v str, Option<&'v str>),
    Array(&'v str, Vec<Meaning<'v>>),
    Other(&'v str),
}

impl Value {
    pub(crate) fn meaning(&self) -> Meaning<'_> {
        let whole = |number: i64| Meaning::Whole(number.to_string().into());
        match self {
            Self::Null => Meaning::Null,
            Self::Boolean(value) => whole((*value).into()),
            Self::Byte(value) => whole((*value).into()),
            Self::Short(value) => whole((*value).into()),
            Self::Integer(value) => whole((*value).into()),
            Self::Long(value) => whole(*value),
            Self::BigInteger(digits) => Meaning::Whole(without_leading_zeros(digits)),
            Self::Decimal(digits) => Decimal::parse(digits).map_or(Meaning::Other(digits), Meaning::Decimal),
            Self::Float(value) => floating((*value).into()),
            Self::Double(value) => floating(*value),
            Self::Date(millis) => Meaning::Date(*millis),
            Self::Time(text) => Meaning::Time(text),
            Self::Timestamp(at) | Self::LocalDateTime(at) => Meaning::Moment(at.nanoseconds()),
            Self::Bytes(bytes) | Self::Blob(bytes) => Meaning::Bytes(bytes),
            Self::Text(text) | Self::Clob(text) => Meaning::Text(text),
            Self::Uuid(text) => Meaning::Uuid(text.to_ascii_lowercase()),
            Self::PgObject(object) => Meaning::Object(&object.type_name, object.text.as_deref()),
            Self::Array(array) => {
                Meaning::Array(&array.base_type_name, array.elements.iter().map(Self::meaning).collect())
            }
            Self::Other(json) => Meaning::Other(json),
        }
    }
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
        let same: [&[Value]; 10] = [
            &[
                Value::Boolean(true),
                Value::Byte(1),
                Value::Short(1),
                Value::Integer(1),
                Value::Long(1),
                Value::BigInteger("1".into()),
                Value::BigInteger("001".into()),
            ],
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

    fn field(value: &Value) -> Field {
        Field { name: "c".into(), is_key: false, jdbc_type: 4, value: value.clone(), exact: None }
    }

    fn array(base_type: i32, elements: Vec<Value>) -> Value {
        Value::Array(SerialArray { base_type, base_type_name: "int4".into(), elements })
    }
}
