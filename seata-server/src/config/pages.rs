//! The sample configuration and the manual's tables, made from the table of keys.

use std::fmt::Write;

use super::{
    draft::Draft,
    java::{AFTER_FIXED, FIXED, UNUSED, UNUSED_VARIABLES},
    table::KEYS,
    variables_of,
};

/// A configuration file in which every setting stands as a comment, with its default.
pub fn sample() -> String {
    let mut page = String::from(
        "# Settings of seata-server. Everything here is a comment that shows the default; take the # away to change one.\n\
         # Flags and environment variables go before this file. `seata-server config` shows what holds, and why.\n\
         # A time is a number of milliseconds or has a unit: 500, \"500ms\", \"5s\", \"2m\", \"1h\".\n",
    );
    let default = Draft::default();
    for key in KEYS {
        let value = key.show(&default);
        let value = if value.is_empty() { key.otherwise.unwrap_or("none").to_owned() } else { value };
        let live = if key.is_live { " Changes on SIGHUP." } else { "" };
        let _ = writeln!(page, "\n# {}{live} ({})", key.meaning, key.unit());
        let is_bare = value == "true" || value == "false" || value.parse::<i64>().is_ok();
        match key.otherwise {
            Some(otherwise) => {
                let _ = writeln!(page, "# Default: {otherwise}.\n#{} = \"\"", key.name);
            }
            None if key.show(&default).is_empty() => {
                let _ = writeln!(page, "# Default: none.\n#{} = \"\"", key.name);
            }
            None if is_bare => {
                let _ = writeln!(page, "#{} = {value}", key.name);
            }
            None => {
                let _ = writeln!(page, "#{} = {value:?}", key.name);
            }
        }
    }
    page
}

/// Every setting of this server, as a table in Markdown.
pub fn settings() -> String {
    let mut page = String::from(
        "| key | Java's | default | unit | on SIGHUP | variable | meaning |\n|---|---|---|---|---|---|---|\n",
    );
    let default = Draft::default();
    for key in KEYS {
        let value = key.show(&default);
        let value = match key.otherwise {
            Some(otherwise) => otherwise.to_owned(),
            None if value.is_empty() => "none".to_owned(),
            None => format!("`{value}`"),
        };
        let names: Vec<_> = [key.name].iter().chain(key.aliases).map(|name| format!("`{name}`")).collect();
        let variables: Vec<_> = variables_of(key).iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {value} | {} | {} | {} | {} |",
            names.join(", "),
            if key.is_java { "yes" } else { "" },
            key.unit(),
            if key.is_live { "yes" } else { "" },
            variables.first().map_or("", String::as_str).to_owned()
                + &variables.iter().skip(1).map(|name| format!(", {name}")).collect::<String>(),
            key.meaning,
        );
    }
    page
}

/// The keys and variables of Java's that have no effect or only one value, as a table in Markdown.
pub fn unused() -> String {
    let mut page = String::from("| key | what becomes of it |\n|---|---|\n");
    for fixed in FIXED {
        let words: Vec<_> = fixed.accepted.iter().map(|word| format!("`{word}`")).collect();
        let _ = writeln!(page, "| `{}` | {} only; {} |", fixed.name, words.join(" or "), fixed.instead);
    }
    for (key, why) in UNUSED.iter().chain(AFTER_FIXED) {
        let star = if key.ends_with('.') { "*" } else { "" };
        let _ = writeln!(page, "| `{key}{star}` | no effect: {why} |");
    }
    for (name, _, why) in UNUSED_VARIABLES {
        let _ = writeln!(page, "| environment variable `{name}` | no effect: {why} |");
    }
    page
}
