//! Arrays, which Java keeps as objects of a class of Seata's.

use super::{
    types::Element,
    values::{element_text, from_binary, from_text, take},
};
use crate::undo::{SerialArray, Value, Zone};

/// Java's object of an array. It knows nothing of bounds, and little of dimensions.
pub(super) fn object(
    text: &str,
    binary: Option<&[u8]>,
    element: &Element,
    zone: &Zone,
) -> Result<SerialArray, String> {
    let items = match text.split_once('=') {
        Some((bounds, items)) if bounds.starts_with('[') => items,
        _ => text,
    };
    let parsed = Parser { rest: items, delimiter: element.delimiter }.list()?;
    let mut exact = match binary {
        Some(binary) if element.kind.is_binary() => elements(binary)?.into_iter(),
        _ => Vec::new().into_iter(),
    };
    let elements = parsed.into_iter().map(|item| match item {
        Item::Null => {
            exact.next();
            Ok(Value::Null)
        }
        Item::Text(text) => match exact.next().flatten() {
            Some(binary) => Ok(from_binary(&element.kind, &element.java_name, binary, zone)?.0),
            None => Ok(match from_text(&element.kind, &element.java_name, &text) {
                // NaN among numbers of another class: only a text comes back from JSON.
                Value::Double(_) => Value::Text(text),
                value => value,
            }),
        },
        list => Ok(Value::Other(json(&list).to_string())),
    });
    Ok(SerialArray {
        base_type: element.jdbc_type,
        base_type_name: element.java_name.clone(),
        elements: elements.collect::<Result<_, String>>()?,
    })
}

/// The array's text, from Java's object.
pub(super) fn literal(array: &SerialArray, element: &Element, zone: &Zone) -> Result<String, String> {
    let items = array.elements.iter().map(|item| match item {
        Value::Null => Ok("NULL".to_owned()),
        Value::Other(json) => {
            let json =
                serde_json::from_str(json).map_err(|error| format!("an element is no JSON: {error}"))?;
            nested(&json, element.delimiter)
        }
        item => element_text(&element.kind, item, zone).map(|text| quoted(&text)),
    });
    Ok(braced(items.collect::<Result<_, _>>()?, element.delimiter))
}

/// A further dimension, which Java may have boxed.
fn nested(json: &serde_json::Value, delimiter: char) -> Result<String, String> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Ok("NULL".to_owned()),
        Json::String(text) => Ok(quoted(text)),
        Json::Array(items) => match items.as_slice() {
            [Json::String(class), Json::Array(items)] if class.starts_with('[') => {
                nested(&Json::Array(items.clone()), delimiter)
            }
            items => {
                let items = items.iter().map(|item| nested(item, delimiter)).collect::<Result<_, _>>()?;
                Ok(braced(items, delimiter))
            }
        },
        Json::Object(object) => Err(format!("an element is an object: {object:?}")),
        number => Ok(quoted(&number.to_string())),
    }
}

fn braced(items: Vec<String>, delimiter: char) -> String {
    format!("{{{}}}", items.join(&delimiter.to_string()))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The elements of the binary form: behind the number of dimensions, a flag and a type come each dimension's length
/// and lower bound, then for each element its length and bytes.
fn elements(mut binary: &[u8]) -> Result<Vec<Option<&[u8]>>, String> {
    let binary = &mut binary;
    let dimensions = u32::from_be_bytes(take(binary)?);
    take::<8>(binary)?;
    for _ in 0..dimensions {
        take::<8>(binary)?;
    }
    let mut elements = Vec::new();
    while !binary.is_empty() {
        elements.push(match usize::try_from(i32::from_be_bytes(take(binary)?)) {
            Ok(length) => {
                let (element, rest) = binary.split_at_checked(length).ok_or("an array is cut short")?;
                *binary = rest;
                Some(element)
            }
            Err(_) => None,
        });
    }
    Ok(elements)
}

enum Item {
    Null,
    Text(String),
    List(Vec<Item>),
}

fn json(item: &Item) -> serde_json::Value {
    match item {
        Item::Null => serde_json::Value::Null,
        Item::Text(text) => text.as_str().into(),
        Item::List(items) => items.iter().map(json).collect(),
    }
}

/// Reads the text that the server makes of an array.
struct Parser<'t> {
    rest: &'t str,
    delimiter: char,
}

impl Parser<'_> {
    fn list(&mut self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        self.take('{')?;
        while !self.rest.starts_with('}') {
            if !items.is_empty() {
                self.take(self.delimiter)?;
            }
            items.push(self.item()?);
        }
        self.take('}')?;
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, String> {
        if self.rest.starts_with('{') {
            return self.list().map(Item::List);
        }
        if self.rest.starts_with('"') {
            return self.quoted().map(Item::Text);
        }
        let end = self.rest.find(['}', self.delimiter]).ok_or("an array has no end")?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(if text == "NULL" { Item::Null } else { Item::Text(text.to_owned()) })
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.take('"')?;
        let mut text = String::new();
        let mut characters = self.rest.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    self.rest = characters.as_str();
                    return Ok(text);
                }
                '\\' => text.extend(characters.next()),
                character => text.push(character),
            }
        }
        Err("an element of an array has no end".to_owned())
    }

    fn take(&mut self, expected: char) -> Result<(), String> {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.ok_or_else(|| format!("an array has no {expected:?} before {:?}", self.rest))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::types::Kind, *};

    fn texts() -> Element {
        Element { java_name: "text".into(), jdbc_type: 12, delimiter: ',', kind: Box::new(Kind::Text) }
    }

    #[test]
    fn what_the_server_quotes_comes_back() {
        let text = r#"{x,"y z",NULL,"NULL","","a\"b\\c{,}",é}"#;
        let array = object(text, None, &texts(), &Zone::utc()).unwrap();
        let expected = ["x", "y z", "", "NULL", "", r#"a"b\c{,}"#, "é"];
        let mut expected: Vec<Value> = expected.map(|text| Value::Text(text.to_owned())).into();
        expected[2] = Value::Null;
        assert_eq!(array.elements, expected);
        let literal = literal(&array, &texts(), &Zone::utc()).unwrap();
        assert_eq!(literal, r#"{"x","y z",NULL,"NULL","","a\"b\\c{,}","é"}"#);
    }

    #[test]
    fn a_further_dimension_is_an_array_of_its_own() {
        let array = object("[0:1][1:2]={{a,NULL},{c,d}}", None, &texts(), &Zone::utc()).unwrap();
        assert_eq!(array.elements[0], Value::Other(r#"["a",null]"#.to_owned()));
        let boxed = Value::Other(r#"["[Ljava.lang.Integer;",[1,null]]"#.to_owned());
        let array = SerialArray { base_type: 4, base_type_name: "int4".into(), elements: vec![boxed] };
        assert_eq!(literal(&array, &texts(), &Zone::utc()).unwrap(), r#"{{"1",NULL}}"#);
    }

    #[test]
    fn what_is_no_array_is_an_error() {
        for text in ["", "{a", "{\"a}", "a", "{a;b"] {
            assert!(object(text, None, &texts(), &Zone::utc()).is_err(), "{text}");
        }
    }
}
