//! What a console tells, as far as it is printed.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comfy_table::{Table, presets};
use serde::Deserialize;

/// One global transaction.
#[derive(Deserialize)]
pub(crate) struct Transaction {
    pub(crate) xid: String,
    pub(crate) status: String,
    pub(crate) application: String,
    #[serde(default)]
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) begun_at: Option<u64>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) age_ms: Option<u64>,
    #[serde(default)]
    pub(crate) parked: bool,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) failures: u64,
    #[serde(default)]
    pub(crate) waits_for: Vec<String>,
    pub(crate) ended_at: Option<u64>,
    #[serde(default)]
    pub(crate) locks: u64,
    #[serde(default)]
    pub(crate) branch_count: u64,
    #[serde(default)]
    pub(crate) branches: Vec<Branch>,
}

/// One branch of it.
#[derive(Deserialize)]
pub(crate) struct Branch {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) branch_type: String,
    pub(crate) resource: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) client: String,
    #[serde(default)]
    pub(crate) locks: Vec<String>,
    #[serde(default)]
    pub(crate) lock_count: u64,
}

/// One page of transactions.
#[derive(Deserialize)]
pub(crate) struct Transactions {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) next: Option<String>,
}

/// One row that is locked.
#[derive(Deserialize)]
pub(crate) struct Lock {
    pub(crate) resource: String,
    pub(crate) table: String,
    pub(crate) key: String,
    pub(crate) holder: String,
    pub(crate) branch: String,
    pub(crate) since: u64,
}

/// One page of them.
#[derive(Deserialize)]
pub(crate) struct Locks {
    pub(crate) locks: Vec<Lock>,
    pub(crate) next: Option<String>,
}

/// Who has a row, and who waits for it.
#[derive(Deserialize)]
pub(crate) struct Who {
    pub(crate) resource: String,
    pub(crate) table: String,
    pub(crate) key: String,
    pub(crate) holder: Option<Transaction>,
    pub(crate) waiters: Vec<Waiter>,
}

/// Somebody who waits for a row.
#[derive(Deserialize)]
pub(crate) struct Waiter {
    pub(crate) xid: String,
    pub(crate) since: u64,
}

/// What the server is doing.
#[derive(Deserialize)]
pub(crate) struct Overview {
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) store: String,
    pub(crate) started_at: u64,
    pub(crate) now: u64,
    pub(crate) open: u64,
    pub(crate) parked: u64,
    pub(crate) locks: u64,
    pub(crate) waiting: u64,
    pub(crate) by_status: BTreeMap<String, u64>,
    pub(crate) connections: u64,
    pub(crate) tm: u64,
    pub(crate) rm: u64,
    pub(crate) begun: u64,
    pub(crate) committed: u64,
    pub(crate) rolled_back: u64,
    pub(crate) failed: u64,
    pub(crate) given_up: u64,
}

/// A table without lines, which also other programs can read.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table as text, without blanks at the ends of its lines.
pub(crate) fn text(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Milliseconds since the epoch, now.
pub(crate) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// A length of time in its two largest units, as people read it: `350ms`, `12s`, `3m 5s`, `2d 4h`.
pub(crate) fn duration(millis: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let seconds = Duration::from_millis(millis).as_secs();
    let first = UNITS.iter().position(|(_, length)| seconds >= *length).unwrap_or(UNITS.len() - 1);
    let (unit, length) = UNITS[first];
    let whole = format!("{}{unit}", seconds / length);
    match UNITS.get(first + 1) {
        Some((unit, shorter)) if seconds % length >= *shorter => {
            format!("{whole} {}{unit}", seconds % length / shorter)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (61_000, "1m 1s"),
            (3_600_000, "1h"),
            (3_659_000, "1h"),
            (7_320_000, "2h 2m"),
            (187_200_000, "2d 4h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }
}
