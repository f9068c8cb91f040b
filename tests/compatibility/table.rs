//! What is known of both servers, as the documentation tells it.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    path::Path,
};

use crate::{
    load_crash,
    outcome::Outcome,
    place::{GO, JAVA_2_0_0, JAVA_2_6_0},
    scenarios::{LAST, LOADS, SCENARIOS},
    server_crash,
};

const CLIENTS: [&str; 3] = [JAVA_2_6_0, JAVA_2_0_0, GO];

/// What the Java server 2.0.0 does not do, and why: the name of the scenario begins so.
const JAVA_FAILS: &[(&str, &[&str], &str)] = &[(
    "AT: one row changed by two branches",
    &CLIENTS,
    "It asks the branches of a resource to roll back in the order of their registration; the first finds a row that is \
     not as it left it.",
)];

/// Why some lines have no outcome with Java's.
const JAVA_UNTRIED: &str = "Not run with it. Tried once, a row was still locked 30 s after the server had come back; why \
                            was not looked into, so nothing is claimed.";

/// Outcomes by scenario and client.
pub(crate) struct Results {
    pub(crate) ours: BTreeMap<(&'static str, &'static str), Outcome>,
    pub(crate) java: BTreeMap<(&'static str, &'static str), Outcome>,
}

impl Results {
    /// Rewrites the documentation from what was seen.
    ///
    /// # Panics
    /// When ours fails, Java's does otherwise than is known, or the documentation was another.
    pub(crate) fn assert_as_known(&self) {
        let failures = |outcomes: &BTreeMap<_, Outcome>| -> Vec<_> {
            outcomes.iter().filter(|(_, outcome)| outcome.is_err()).map(|(key, _)| *key).collect()
        };
        let known: Vec<(&str, &str)> = names()
            .flat_map(|name| CLIENTS.map(|client| (name, client)))
            .filter(|(name, client)| known(name, client).is_some())
            .collect();
        let mut unknown = failures(&self.java);
        unknown.retain(|key| !known.contains(key));
        let gone: Vec<_> = known.iter().filter(|key| self.java[*key].is_ok()).collect();
        let ours = failures(&self.ours);
        assert!(
            ours.is_empty() && unknown.is_empty() && gone.is_empty(),
            "ours fails: {ours:?}\nJava's fails, which is new: {unknown:?}\nJava's no longer fails: {gone:?}\n{self}"
        );

        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
        let was = fs_err::read_to_string(&file).unwrap_or_default();
        let page = self.page();
        fs_err::write(&file, &page).expect("the documentation can be written");
        assert!(was == page, "docs/compatibility.md was out of date; it is now what this run has seen");
    }

    fn page(&self) -> String {
        let mut page = String::from(HEAD);
        let cell = |outcomes: &BTreeMap<_, Outcome>, name, client| -> String {
            match outcomes.get(&(name, client)) {
                Some(Ok(())) => "yes".to_owned(),
                None => format!("({})", JAVA_FAILS.len() + 1),
                Some(Err(_)) => {
                    known(name, client).map_or("no".to_owned(), |note| format!("no ({})", note + 1))
                }
            }
        };
        for name in names() {
            let ours = CLIENTS.map(|client| cell(&self.ours, name, client)).join(" | ");
            let java = CLIENTS.map(|client| cell(&self.java, name, client)).join(" | ");
            writeln!(page, "| {name} | {ours} | {java} |").expect("a string takes all");
        }
        page.push('\n');
        let reasons = JAVA_FAILS.iter().map(|(_, _, why)| *why).chain([JAVA_UNTRIED]);
        for (number, why) in reasons.enumerate() {
            writeln!(page, "{}. {why}", number + 1).expect("a string takes all");
        }
        page
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS
        .iter()
        .chain(LOADS)
        .chain(LAST)
        .map(|scenario| scenario.name)
        .chain([server_crash::NAME, load_crash::NAME])
}

fn known(name: &str, client: &str) -> Option<usize> {
    JAVA_FAILS.iter().position(|(begin, clients, _)| name.starts_with(begin) && clients.contains(&client))
}

/// With the reasons.
impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (server, outcomes) in [("ours", &self.ours), ("Java's", &self.java)] {
            for ((name, client), outcome) in outcomes {
                match outcome {
                    Ok(()) => writeln!(f, "{server}, {client}: {name}: yes")?,
                    Err(reason) => writeln!(f, "{server}, {client}: {name}: NO, {reason}")?,
                }
            }
        }
        Ok(())
    }
}

const HEAD: &str = "\
# Clients and servers

What unchanged clients do with this project's `seata-server` and with Java's, `io.seata:seata-server:2.0.0` in file mode.
Written by a test, which runs each line with each client on both:

```console
cargo test -p seata-tests --features interop --test compatibility
```

It needs a JDK (17 or later), Maven and MariaDB's server.

- Java: `org.apache.seata:seata-all:2.6.0` and `io.seata:seata-all:2.0.0`; AT and XA on two schemas of MariaDB.
- Go: a scripted peer that writes what seata-go writes: both roles on one connection, registered as 1.1.0 and 1.5.2, pings
  whose ids are also those of requests, answers on another session than the question, one byte for the length of the
  text of some failures, nothing merged. Its rows, accounts and prepared branches are in its memory.

| | `seata-server`: Java 2.6.0 | Java 2.0.0 | Go | Java's server: Java 2.6.0 | Java 2.0.0 | Go |
|---|---|---|---|---|---|---|
";
