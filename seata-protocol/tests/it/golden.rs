//! Reads the golden data.

use std::{fs, path::PathBuf};

use serde_json::Value;

/// A file of JSON.
pub(crate) fn json(file: &str) -> Value {
    serde_json::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The entries of a file that is a list.
pub(crate) fn entries(file: &str) -> Vec<Value> {
    let Value::Array(entries) = json(file) else { panic!("{file} is no list") };
    assert!(!entries.is_empty(), "{file} is empty");
    entries
}

/// A file's text.
pub(crate) fn text(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes that a hexadecimal text stands for.
pub(crate) fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hexadecimal text");
    assert_eq!(hex.len() % 2, 0, "half a byte in {hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits"))
        .collect()
}

/// The hexadecimal text that stands for these bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text, which may be given as `{"repeat": text, "times": number}`; `None` for null.
pub(crate) fn string(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(parts) => {
            let times = parts["times"].as_u64().expect("a number of times");
            Some(parts["repeat"].as_str().expect("a text to repeat").repeat(times as usize))
        }
        other => panic!("{other} is no text"),
    }
}

/// A text member.
pub(crate) fn name<'a>(entry: &'a Value, member: &str) -> &'a str {
    entry[member].as_str().unwrap_or_else(|| panic!("no text {member} in {entry}"))
}

/// A number member.
pub(crate) fn number<N: TryFrom<i64>>(entry: &Value, member: &str) -> N {
    let number = entry[member].as_i64().unwrap_or_else(|| panic!("no number {member} in {entry}"));
    N::try_from(number).unwrap_or_else(|_| panic!("{member} is {number}"))
}
