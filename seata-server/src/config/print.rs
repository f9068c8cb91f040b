//! Every setting with its value, its default and where it came from.

use std::fmt::Write;

use serde_json::json;

use super::{Config, MASK, draft::Draft, table::KEYS};

/// A setting, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Printed {
    /// The key.
    pub key: &'static str,
    /// Its value; secrets are masked.
    pub value: String,
    /// Its default, or what stands in its place.
    pub default: String,
    /// Its unit, or what may be written.
    pub unit: &'static str,
    /// Where it came from.
    pub from: String,
    /// What it is for.
    pub meaning: &'static str,
    /// The variable that sets it.
    pub variable: Option<String>,
    /// A change takes effect without a restart.
    pub is_live: bool,
}

impl Config {
    /// Every setting, in the order of the manual.
    pub fn printed(&self) -> Vec<Printed> {
        let default = Draft::default();
        let printed = KEYS.iter().map(|key| {
            let value = key.show(&self.draft);
            let default = key.otherwise.map_or_else(|| key.show(&default), str::to_owned);
            Printed {
                key: key.name,
                value: if key.is_secret && !value.is_empty() { MASK.to_owned() } else { value },
                default,
                unit: key.unit(),
                from: self.origin(key.name),
                meaning: key.meaning,
                variable: super::variables_of(key).into_iter().next(),
                is_live: key.is_live,
            }
        });
        printed.collect()
    }

    fn origin(&self, key: &str) -> String {
        match (self.entries.get(key), self.draft.followed.get(key)) {
            (Some(entry), _) => entry.origin.to_string(),
            (None, Some(other)) => format!("follows from {other}"),
            (None, None) => "default".to_owned(),
        }
    }

    /// Every setting as lines for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Printed { key, value, default, unit, from, meaning, is_live, .. } in self.printed() {
            let [value, default] =
                [&value, &default].map(|shown| if shown.is_empty() { "(none)" } else { shown });
            let live = if is_live { " Changes on SIGHUP." } else { "" };
            let _ = writeln!(
                text,
                "{key} = {value}    [{from}]\n    {meaning}{live}\n    {unit}; default: {default}\n"
            );
        }
        text
    }

    /// Every setting as a JSON array.
    pub fn to_json(&self) -> String {
        let settings = self.printed().into_iter().map(|setting| {
            json!({
                "key": setting.key,
                "value": setting.value,
                "default": setting.default,
                "unit": setting.unit,
                "from": setting.from,
                "meaning": setting.meaning,
                "variable": setting.variable,
                "live": setting.is_live,
            })
        });
        format!("{:#}", serde_json::Value::Array(settings.collect()))
    }
}
