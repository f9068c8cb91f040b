//! Lists in answers, bounded in bytes.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Entries of a list as JSON, until there are enough bytes of them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Entries {
    list: Vec<Box<RawValue>>,
    /// How many more bytes it takes; the last entry may exceed them.
    #[serde(skip)]
    left: usize,
}

/// How many bytes of entries an answer has, its last entry aside.
pub(super) const BUDGET: usize = 1 << 20;

impl Entries {
    pub(super) fn new(budget: usize) -> Self {
        Self { list: Vec::new(), left: budget }
    }

    pub(super) fn push(&mut self, entry: &impl Serialize) {
        let entry = to_raw_value(entry).expect("texts and numbers become JSON");
        self.left = self.left.saturating_sub(entry.get().len());
        self.list.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Nothing more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }
}

impl Default for Entries {
    fn default() -> Self {
        Self::new(BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_full_when_its_bytes_are_spent() {
        let mut entries = Entries::new(10);
        entries.push(&"12345");
        assert!(!entries.is_full());
        entries.push(&["a longer one"]);
        assert!(entries.is_full());
        assert_eq!(entries.len(), 2);
        let json = serde_json::to_string(&entries).expect("JSON");
        assert_eq!(json, r#"["12345",["a longer one"]]"#);
    }
}
