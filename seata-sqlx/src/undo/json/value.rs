//! Reading one value.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::SERIAL_ARRAY;
use crate::undo::{Instant, PgObject, SerialArray, Value, jdbc};

/// Never fails: what has no variant of its own is kept as it stands.
pub(super) fn read_value(json: &str) -> Value {
    read_known_value(json, Place::Field).unwrap_or_else(|| Value::Other(json.to_owned()))
}

/// Where a value stands. Java writes no array into an array: how deep they could go would be up to who wrote the document.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Field,
    Array,
}

fn read_known_value(json: &str, place: Place) -> Option<Value> {
    match json.as_bytes().first()? {
        b'n' => Some(Value::Null),
        b't' => Some(Value::Boolean(true)),
        b'f' => Some(Value::Boolean(false)),
        b'"' => serde_json::from_str(json).ok().map(Value::Text),
        b'[' => {
            let (class, content): (String, Box<RawValue>) = serde_json::from_str(json).ok()?;
            read_boxed(&class, content.get())
        }
        b'{' => read_object(json, place),
        _ if json.contains(['.', 'e', 'E']) => read_floating(json).map(Value::Double),
        _ => json.parse().ok().map(Value::Integer),
    }
}

fn read_boxed(class: &str, content: &str) -> Option<Value> {
    let text = || serde_json::from_str::<String>(content).ok();
    // Java's reader takes a number in quotes as well.
    let digits = content.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(content);
    match class {
        "java.lang.Integer" => digits.parse().ok().map(Value::Integer),
        "java.lang.Long" => digits.parse().ok().map(Value::Long),
        "java.lang.Short" => digits.parse().ok().map(Value::Short),
        "java.lang.Byte" => digits.parse().ok().map(Value::Byte),
        "java.lang.Double" => read_floating(digits).map(Value::Double),
        "java.lang.Float" => read_float(digits).map(Value::Float),
        "java.math.BigDecimal" => is_number(digits).then(|| Value::Decimal(digits.to_owned())),
        "java.math.BigInteger" => {
            let is_whole = is_number(digits) && !digits.contains(['.', 'e', 'E']);
            is_whole.then(|| Value::BigInteger(digits.to_owned()))
        }
        "[B" => STANDARD.decode(text()?).ok().map(Value::Bytes),
        "java.sql.Date" => content.parse().ok().map(Value::Date),
        "java.sql.Time" => text().map(Value::Time),
        "java.sql.Timestamp" => read_instant(content).map(Value::Timestamp),
        "java.time.LocalDateTime" => read_instant(content).map(Value::LocalDateTime),
        "java.util.UUID" => text().map(Value::Uuid),
        "javax.sql.rowset.serial.SerialBlob" => STANDARD.decode(text()?).ok().map(Value::Blob),
        "javax.sql.rowset.serial.SerialClob" => text().map(Value::Clob),
        _ => None,
    }
}

/// Whether JSON takes the text for a number, of whatever size.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|number| number.get() == text)
}

fn read_floating(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        digits if is_number(digits) => digits.parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

/// Not by way of an `f64`, which would round twice.
fn read_float(text: &str) -> Option<f32> {
    match text {
        digits if is_number(digits) => digits.parse().ok().filter(|number: &f32| number.is_finite()),
        other => read_floating(other).map(|number| number as f32),
    }
}

fn read_instant(content: &str) -> Option<Instant> {
    if let Ok(millis) = content.parse() {
        return Some(Instant { millis, nanos: None });
    }
    let (millis, nanos) = serde_json::from_str::<(i64, u32)>(content).ok()?;
    (nanos < 1_000_000_000).then_some(Instant { millis, nanos: Some(nanos) })
}

fn read_object(json: &str, place: Place) -> Option<Value> {
    let mut object: Object = serde_json::from_str(json).ok()?;
    let class: String = object.take("@class")?;
    match class.as_str() {
        SERIAL_ARRAY if place == Place::Field => read_array(object).map(Value::Array),
        _ if class.starts_with("org.postgresql.") => read_pg_object(class, object).map(Value::PgObject),
        _ => None,
    }
}

fn read_pg_object(class: String, mut object: Object) -> Option<PgObject> {
    let (type_name, text) = (object.take("type")?, object.take("value")?);
    let properties = object.0.into_iter().map(|(name, raw)| (name, raw.get().to_owned())).collect();
    Some(PgObject { class, type_name, text, properties })
}

fn read_array(mut object: Object) -> Option<SerialArray> {
    let base_type = object.take("baseType")?;
    let base_type_name: String = object.take("baseTypeName")?;
    let elements: Vec<Box<RawValue>> = object.take("elements")?;
    let elements = elements.iter().map(|raw| read_element(raw.get(), base_type, &base_type_name));
    Some(SerialArray { base_type, elements: elements.collect(), base_type_name })
}

/// Java does not box all elements; what they are is known from the array.
fn read_element(json: &str, base_type: i32, base_type_name: &str) -> Value {
    let text = || serde_json::from_str::<String>(json).ok();
    let bare = match (base_type, base_type_name) {
        (jdbc::SMALLINT, _) => json.parse().ok().map(Value::Short),
        (jdbc::BIGINT, _) => json.parse().ok().map(Value::Long),
        (jdbc::REAL, _) => read_float(json.trim_matches('"')).map(Value::Float),
        (jdbc::DOUBLE, _) => read_floating(json.trim_matches('"')).map(Value::Double),
        (jdbc::BINARY, _) => text().and_then(|text| STANDARD.decode(text).ok()).map(Value::Bytes),
        (_, "uuid") => text().map(Value::Uuid),
        _ => None,
    };
    let known = bare.or_else(|| read_known_value(json, Place::Array));
    known.unwrap_or_else(|| Value::Other(json.to_owned()))
}

/// An object's properties in their order.
struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// Takes a property out.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let place = self.0.iter().position(|(property, _)| property == name)?;
        serde_json::from_str(self.0.remove(place).1.get()).ok()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut properties = Vec::new();
        while let Some(property) = map.next_entry()? {
            properties.push(property);
        }
        Ok(Object(properties))
    }
}
