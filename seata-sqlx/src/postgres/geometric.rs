//! The geometric types, as the classes of Java's driver say them.

use super::values::take;
use crate::undo::{PgObject, Value, Zone};

/// The object of this class, from the binary form.
pub(super) fn object(class: &str, type_name: &str, binary: &[u8]) -> Result<PgObject, String> {
    let bytes = &mut &binary[..];
    let mut properties = Vec::new();
    let text = match type_name {
        "point" => {
            let (x, y) = (number(bytes)?, number(bytes)?);
            let text = format!("({x},{y})");
            properties.extend([("x", in_json(x)), ("y", in_json(y)), ("isNull", "false".to_owned())]);
            text
        }
        "box" => points(bytes, 2)?,
        "lseg" => format!("[{}]", points(bytes, 2)?),
        "line" => format!("{{{},{},{}}}", number(bytes)?, number(bytes)?, number(bytes)?),
        "circle" => format!("<{},{}>", points(bytes, 1)?, number(bytes)?),
        "polygon" => {
            let count = u32::from_be_bytes(take(bytes)?);
            format!("({})", points(bytes, count)?)
        }
        _ => {
            let is_closed = take(bytes)? != [0];
            let count = u32::from_be_bytes(take(bytes)?);
            let points = points(bytes, count)?;
            if is_closed { format!("({points})") } else { format!("[{points}]") }
        }
    };
    properties.push(("null", "false".to_owned()));
    Ok(PgObject {
        class: format!("org.postgresql.geometric.{class}"),
        type_name: type_name.to_owned(),
        text: Some(text),
        properties: properties.into_iter().map(|(name, json)| (name.to_owned(), json)).collect(),
    })
}

fn points(bytes: &mut &[u8], count: u32) -> Result<String, String> {
    let point = |_| Ok(format!("({},{})", number(bytes)?, number(bytes)?));
    Ok((0..count).map(point).collect::<Result<Vec<_>, String>>()?.join(","))
}

/// As Java writes a number of this class.
fn number(bytes: &mut &[u8]) -> Result<String, String> {
    Ok(Value::Double(f64::from_be_bytes(take(bytes)?)).java_text(&Zone::utc()))
}

/// JSON has no NaN and no infinity.
fn in_json(number: String) -> String {
    if number.ends_with(|last: char| last.is_ascii_digit()) { number } else { format!("\"{number}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(numbers: &[f64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    #[test]
    fn a_point_is_what_java_writes() {
        let point = object("PGpoint", "point", &binary(&[1.0, f64::NAN])).unwrap();
        assert_eq!(point.text.as_deref(), Some("(1.0,NaN)"));
        let properties: Vec<String> =
            point.properties.iter().map(|(name, json)| format!("{name}={json}")).collect();
        assert_eq!(properties, ["x=1.0", "y=\"NaN\"", "isNull=false", "null=false"]);
    }

    #[test]
    fn a_value_cut_short_is_an_error() {
        assert!(object("PGbox", "box", &binary(&[1.0, 2.0, 3.0])).is_err());
    }
}
