//! What stands now, read when somebody asks.

use prometheus::{GaugeVec, Opts, core::Collector, proto::MetricFamily};
use seata_coordinator::{driver::Stats, record::Millis};
use seata_protocol::GlobalStatus;

use crate::front::ClientCounts;

use super::reading;

pub(super) fn families(stats: &Stats, clients: &ClientCounts, now: Millis) -> Vec<MetricFamily> {
    let oldest = stats.oldest_parked.map_or(0, |since| now.saturating_sub(since));
    let count = |name, help, value: usize| reading(name, help, value as f64);
    let mut families = vec![
        count("seata_transactions_parked", "Transactions that a person has to look at.", stats.parked),
        reading(
            "seata_oldest_parked_age_seconds",
            "For how long the oldest of them is parked, at most since the last start; 0 without any.",
            oldest as f64 / 1e3,
        ),
        count("seata_locks_held", "Row locks that are held.", stats.locks),
        count("seata_lock_waiters", "Registrations that wait for rows of others.", stats.waiting),
        count("seata_inbox_depth", "Decisions that phase two has not taken yet.", stats.inbox),
        count(
            "seata_phase_two_queue_depth",
            "Branches that wait for their resource, or for their turn with it.",
            stats.phase_two_queued,
        ),
        count(
            "seata_phase_two_in_flight",
            "Branches whose resource was asked and has not answered.",
            stats.phase_two_under_way,
        ),
        count("seata_resources", "Resources that a connected client has.", clients.resources),
    ];
    let open = by(
        "seata_transactions_open",
        "Transactions that are not finished, by status.",
        "status",
        open_statuses().map(|status| (status.to_string(), count_of(stats, status))),
    );
    families.extend(open);
    let roles = [("any", clients.connections), ("tm", clients.tm), ("rm", clients.rm)];
    let roles = roles.into_iter().map(|(role, count)| (role.to_owned(), count));
    families.extend(by("seata_connections", "Open connections; one may have both roles.", "role", roles));
    families
}

/// Those in which a transaction is not finished; an alert needs them also while none stands there.
fn open_statuses() -> impl Iterator<Item = GlobalStatus> {
    let is_open = |status: &GlobalStatus| {
        let is_decided = status.is_commit() || status.is_rollback();
        *status == GlobalStatus::Begin || is_decided && !status.is_complete()
    };
    GlobalStatus::ALL.iter().copied().filter(is_open)
}

fn count_of(stats: &Stats, status: GlobalStatus) -> usize {
    stats.by_status.iter().find(|(found, _)| *found == status).map_or(0, |(_, count)| *count)
}

fn by(
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (String, usize)>,
) -> Option<MetricFamily> {
    let family = GaugeVec::new(Opts::new(name, help), &[label]).expect("name and label are well formed");
    for (value, count) in values {
        family.with_label_values(&[value]).set(count as f64);
    }
    family.collect().into_iter().find(|family| !family.get_metric().is_empty())
}
