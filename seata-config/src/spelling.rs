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
/// assert_eq!(seata_config::nearest("colour", known), None);
/// ```
pub fn nearest<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let spelled = camel_case(key.strip_prefix("seata.").unwrap_or(key));
    known
        .into_iter()
        .map(|known| (likeness(&spelled, known).max(likeness(key, known)), known))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Whether one is probably a slip for the other.
pub fn is_like(text: &str, known: &str) -> bool {
    likeness(text, known) >= LIKE
}

const LIKE: f64 = 0.85;

fn likeness(text: &str, known: &str) -> f64 {
    strsim::jaro_winkler(&text.to_lowercase(), &known.to_lowercase())
}
