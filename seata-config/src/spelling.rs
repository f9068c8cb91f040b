//! How keys are spelled, and which one was meant.

/// What a key is called in the environment: upper case, `_` for `.` and `-`.
///
/// ```
/// assert_eq!(seata_config::variable_name("store.session.mode"), "STORE_SESSION_MODE");
/// ```
pub fn variable_name(key: &str) -> String {
    key.to_uppercase().replace(['.', '-'], "_")
}

/// `vgroup-mapping` as `vgroupMapping`: Spring's spelling of a word as Seata's own.
///
/// ```
/// assert_eq!(seata_config::camel_case("server.max-commit-retry-timeout"), "server.maxCommitRetryTimeout");
/// ```
pub fn camel_case(text: &str) -> String {
    let mut words = text.split('-');
    let mut spelled = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        spelled.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        spelled.push_str(letters.as_str());
    }
    spelled
}

/// The known key that was probably meant by `key`, which may have Spring's prefix `seata.` and its spelling.
///
/// ```
/// let known = ["server.servicePort", "store.mode"];
/// assert_eq!(seata_config::nearest("seata.server.service-prot", known), Some("server.servicePort"));
/// assert_eq!(seata_config::nearest("server.colour", known), None);
/// ```
pub fn nearest<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let spelled = camel_case(key.strip_prefix("seata.").unwrap_or(key));
    known
        .into_iter()
        .map(|known| (likeness_of_keys(&spelled, known).max(likeness_of_keys(key, known)), known))
        .filter(|(likeness, _)| *likeness >= LIKE_A_KEY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Whether one is probably a slip for the other.
pub fn is_like(text: &str, known: &str) -> bool {
    likeness(text, known) >= LIKE
}

const LIKE: f64 = 0.85;
const LIKE_A_KEY: f64 = 0.8;

/// Keys of one family begin alike whatever they say: the last word tells them apart.
fn likeness_of_keys(text: &str, known: &str) -> f64 {
    let ((family, word), (known_family, known_word)) = (split(text), split(known));
    likeness(word, known_word) * (1.0 + likeness(family, known_family)) / 2.0
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

fn likeness(text: &str, known: &str) -> f64 {
    strsim::jaro_winkler(&text.to_lowercase(), &known.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word_of_the_same_family() {
        const KNOWN: [&str; 8] = [
            "server.port",
            "server.host",
            "server.bind",
            "server.maxLocks",
            "console.port",
            "console.user.password",
            "logging.level",
            "store.directory",
        ];
        for (key, meant) in [
            ("server.prt", Some("server.port")),
            ("server.maxlock", Some("server.maxLocks")),
            ("console.password", Some("console.user.password")),
            ("log.level", Some("logging.level")),
            ("loging.level", Some("logging.level")),
            ("store.dir", Some("store.directory")),
            ("seata.server.hots", Some("server.host")),
            ("server.colour", None),
            ("server.name", None),
            ("server.id", None),
            ("server.threads", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(key, KNOWN), meant, "{key}");
        }
    }
}
