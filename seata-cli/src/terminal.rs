//! What is written to the terminal. Names, reasons and ids come from whoever could reach a server; none of them
//! may move the cursor, rename the window or add a line that looks like one of ours.

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, Write as _},
};

use serde_json::Value;

/// Writes lines to standard output. Whoever reads may have read enough, as `head` does.
pub(crate) fn print(text: &str) {
    write(&harmless_lines(text));
}

/// Writes JSON: over several lines, or as one.
pub(crate) fn print_json(value: &Value, lines: bool) {
    let text = if lines { format!("{value:#}\n") } else { format!("{value}\n") };
    write(&harmless_json(&text));
}

/// Clears the screen.
pub(crate) fn clear() {
    // The cursor home, then what stands behind it.
    write("\x1b[H\x1b[J");
}

/// Writes to standard error what went wrong.
pub(crate) fn complain(error: &dyn Display) {
    eprintln!("error: {}", harmless_lines(&error.to_string()));
}

/// The text on one line, with each character that a terminal obeys instead of showing it written as Rust does.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    replace(text, is_obeyed, |character| character.escape_debug().to_string())
}

/// The same for text of several lines of ours.
fn harmless_lines(text: &str) -> Cow<'_, str> {
    let is_obeyed = |character| character != '\n' && is_obeyed(character);
    replace(text, is_obeyed, |character| character.escape_debug().to_string())
}

/// JSON that means the same. Its encoder leaves DEL, the C1 controls and what turns the direction of writing as they are.
fn harmless_json(text: &str) -> Cow<'_, str> {
    let is_obeyed = |character| character != '\n' && is_obeyed(character);
    replace(text, is_obeyed, |character| format!("\\u{:04x}", u32::from(character)))
}

/// Controls, line separators, and what changes the direction of writing. All of them have four hexadecimal digits.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replace(text: &str, which: impl Fn(char) -> bool, with: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&which) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match which(character) {
            true => replaced.push_str(&with(character)),
            false => replaced.push(character),
        }
    }
    Cow::Owned(replaced)
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{harmless, harmless_json, harmless_lines};

    const NASTY: &str = "a\x1b[2Jb\nc\rd\te\u{7f}f\u{9b}31mg\u{202e}h\u{2066}i\u{2028}j\0";

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let shown = r"a\u{1b}[2Jb\nc\rd\te\u{7f}f\u{9b}31mg\u{202e}h\u{2066}i\u{2028}j\0";
        assert_eq!(harmless(NASTY), shown);
        assert_eq!(harmless_lines("one\ntwo\x1b\n"), "one\ntwo\\u{1b}\n");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        let name = r"購入 zażółć 👩‍👩‍👧 \ 'C:\temp'";
        assert_eq!(harmless(name), name);
    }

    #[test]
    fn json_means_the_same_and_has_none_either() {
        let value = json!({ "name": NASTY });
        let text = format!("{value:#}\n");
        let harmless = harmless_json(&text);
        assert!(
            !harmless.contains(|character| character != '\n' && super::is_obeyed(character)),
            "{harmless:?}"
        );
        assert_eq!(serde_json::from_str::<Value>(&harmless).expect("JSON"), value);
    }
}
