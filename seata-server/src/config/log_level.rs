//! Which lines the log has.

use seata_config::value::{self, ValueError};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// What `logging.level` says.
///
/// # Errors
/// [`ValueError`] for what names no level: the log would be silent, and nobody would know why.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, ValueError> {
    const EXPECTED: &str = "off, error, warn, info, debug, trace, or a list such as info,seata_server=debug";
    let text = value::name(text)?;
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if let Some(part) = parts.iter().copied().find(|part| !is_directive(part)) {
        return Err(ValueError::new(part, EXPECTED));
    }
    let list = [&[ELSEWHERE], &parts[..], &[ALWAYS]].concat().join(",");
    EnvFilter::builder().parse(list).map_err(|_| ValueError::new(&text, EXPECTED))
}

/// A word that is no level would be taken for a name of which everything is written, and of nothing else.
fn is_directive(part: &str) -> bool {
    let of_name = |letter: char| letter.is_alphanumeric() || "_:-./".contains(letter);
    match part.find(['=', '[']) {
        Some(end) => part[..end].chars().all(of_name),
        None => part.parse::<LevelFilter>().is_ok(),
    }
}

/// For a list that says nothing of the rest.
const ELSEWHERE: &str = "warn";
/// Who did what: no level may hide it.
const ALWAYS: &str = "seata::audit=info";

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt, layer::SubscriberExt};

    use super::*;

    /// What is written of one line for each level and of one in the audit.
    fn written(level: &str) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("no panic").extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(filter(level).expect(level)).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "seata_server", "an-error");
            tracing::warn!(target: "seata_server", "a-warning");
            tracing::info!(target: "seata_server", "a-line");
            tracing::debug!(target: "seata_server", "a-detail");
            tracing::warn!(target: "seata_coordinator", "of-another");
            tracing::info!(target: "seata::audit", "who-did-it");
        });
        let bytes = lines.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_level_says_what_is_written_and_the_audit_always_is() {
        let words = ["an-error", "a-warning", "a-line", "a-detail", "of-another", "who-did-it"];
        for (level, expected) in [
            ("off", &["who-did-it"][..]),
            ("error", &["an-error", "who-did-it"]),
            ("WARN", &["an-error", "a-warning", "of-another", "who-did-it"]),
            ("info", &["an-error", "a-warning", "a-line", "of-another", "who-did-it"]),
            ("seata_server=error", &["an-error", "of-another", "who-did-it"]),
            (" warn , seata_server=debug,", &words),
            ("off,seata_server=info", &["an-error", "a-warning", "a-line", "who-did-it"]),
            ("info,seata::audit=off", &["an-error", "a-warning", "a-line", "of-another", "who-did-it"]),
            ("debug,seata=error", &["an-error", "who-did-it"]),
        ] {
            let text = written(level);
            for word in words {
                assert_eq!(text.contains(word), expected.contains(&word), "{level}: {word} in {text}");
            }
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for (level, odd) in [
            ("inof", "inof"),
            ("warn,verbose", "verbose"),
            ("seata_server", "seata_server"),
            ("seata=loud", "seata=loud"),
            ("info; seata=debug", "info; seata=debug"),
            ("9", "9"),
            ("[", "["),
            ("  ", ""),
        ] {
            let error = filter(level).expect_err(level).to_string();
            assert!(error.contains(odd), "{level}: {error}");
        }
    }
}
