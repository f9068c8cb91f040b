//! Java's families `seata_transaction` and `seata_exception`, so that its dashboards work here.
//!
//! Java forgets summaries and timers at each scrape, so that only one scraper makes sense. Here counts and
//! totals never go back; rates, averages and maxima are those of the last half to whole minute, whoever asks, or
//! since the last time but one that somebody asked, if that is longer ago.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use prometheus::{GaugeVec, Opts, core::Collector, proto::MetricFamily};
use seata_coordinator::record::{Millis, Transaction};
use seata_protocol::GlobalStatus;

/// How many pairs of application and group are told apart. Whoever comes later is counted as `other`, so that
/// a client that makes up names costs neither memory nor series.
pub(super) const MAX_PAIRS: usize = 100;

/// How much of a name stands in a label, in bytes.
const MAX_LABEL: usize = 100;

/// Over what rates and maxima are taken, at least.
const WINDOW: Duration = Duration::from_secs(30);

/// Counts by application and transaction service group.
#[derive(Debug)]
pub(super) struct Applications {
    pairs: RwLock<Pairs>,
    other: Arc<Application>,
    window: Mutex<Window>,
}

/// Looked into at each step of each transaction; at most [`MAX_PAIRS`] names, so that nobody can fill it.
type ByName<T> = HashMap<Arc<str>, T, RandomState>;

#[derive(Debug, Default)]
struct Pairs {
    by_name: ByName<ByName<Arc<Application>>>,
    count: usize,
}

/// The counts of one pair.
#[derive(Debug, Default)]
pub(super) struct Application {
    active: AtomicI64,
    ends: [Times; END_COUNT],
}

/// How often, how long in all, and how long at most since the window before last began.
#[derive(Debug, Default)]
struct Times {
    count: AtomicU64,
    total: AtomicU64,
    longest: AtomicU64,
    longest_before: AtomicU64,
    /// Count and total at the beginning of this window and of the one before.
    base: [AtomicU64; 2],
    base_before: [AtomicU64; 2],
}

#[derive(Debug)]
struct Window {
    since: Instant,
    before: Instant,
    /// What had failed at the beginning of this window and of the one before.
    failed: HashMap<&'static str, [u64; 2]>,
}

/// What can become of a transaction, in Java's words.
#[derive(Clone, Copy)]
enum End {
    Committed,
    Rollbacked,
    Failed,
    PhaseTwoTimeout,
    AfterCommitted,
    AfterRollbacked,
}

const END_COUNT: usize = 6;
const ENDS: [(End, &str); END_COUNT] = [
    (End::Committed, "committed"),
    (End::Rollbacked, "rollbacked"),
    (End::Failed, "failed"),
    (End::PhaseTwoTimeout, "2phaseTimeout"),
    (End::AfterCommitted, "AfterCommitted"),
    (End::AfterRollbacked, "AfterRollbacked"),
];

impl Applications {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pairs: RwLock::default(),
            other: Arc::default(),
            window: Mutex::new(Window { since: now, before: now, failed: HashMap::new() }),
        }
    }

    /// Where the transaction is counted.
    pub(super) fn of(&self, transaction: &Transaction) -> Arc<Application> {
        let (application, group) = (label(&transaction.application), label(&transaction.group));
        let pairs = self.pairs.read().expect("nothing panics under it");
        let found = pairs.by_name.get(application).and_then(|groups| groups.get(group));
        if let Some(found) = found {
            return Arc::clone(found);
        }
        if pairs.count >= MAX_PAIRS {
            return Arc::clone(&self.other);
        }
        drop(pairs);
        let mut pairs = self.pairs.write().expect("nothing panics under it");
        let Pairs { by_name, count } = &mut *pairs;
        if *count >= MAX_PAIRS && by_name.get(application).is_none_or(|groups| !groups.contains_key(group)) {
            return Arc::clone(&self.other);
        }
        let groups = by_name.entry(application.into()).or_default();
        let made = groups.entry(group.into()).or_insert_with(|| {
            *count += 1;
            Arc::default()
        });
        Arc::clone(made)
    }

    /// Both families. `exceptions`: what failed, by name.
    pub(super) fn collect(&self, exceptions: &[(&'static str, u64)], now: Instant) -> Vec<MetricFamily> {
        let window = self.turn_window(exceptions, now);
        let elapsed = window.elapsed(now);
        let family = GaugeVec::new(
            Opts::new("seata_transaction", "Global transactions, as Java Seata counts them."),
            &["applicationId", "group", "meter", "role", "statistic", "status"],
        );
        let family = family.expect("names and labels are well formed");
        for (application, group, counts) in self.all() {
            let set = |meter: &str, statistic: &str, status: &str, value: f64| {
                let labels = [&*application, &*group, meter, "tc", statistic, status];
                family.with_label_values(&labels).set(value);
            };
            set("counter", "", "active", counts.active.load(Relaxed).max(0) as f64);
            for (end, status) in ENDS {
                counts.ends[end as usize].write(end, status, elapsed, set);
            }
        }
        let mut families = family.collect();
        families.extend(exception_family(exceptions, &window, elapsed));
        families.retain(|family| !family.get_metric().is_empty());
        families
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<str>, Arc<Application>)> {
        let pairs = self.pairs.read().expect("nothing panics under it");
        let mut all = Vec::with_capacity(pairs.count + 1);
        for (application, groups) in &pairs.by_name {
            for (group, counts) in groups {
                all.push((Arc::clone(application), Arc::clone(group), Arc::clone(counts)));
            }
        }
        if pairs.count >= MAX_PAIRS {
            all.push(("other".into(), "other".into(), Arc::clone(&self.other)));
        }
        all
    }

    /// Begins a new window when this one is old enough.
    fn turn_window(&self, exceptions: &[(&'static str, u64)], now: Instant) -> MutexGuard<'_, Window> {
        let mut window = self.window.lock().expect("nothing panics under it");
        if now.duration_since(window.since) >= WINDOW {
            for (_, _, counts) in self.all() {
                counts.ends.iter().for_each(Times::turn);
            }
            for (name, count) in exceptions {
                let [base, base_before] = window.failed.entry(name).or_default();
                (*base_before, *base) = (*base, *count);
            }
            window.before = window.since;
            window.since = now;
        }
        window
    }
}

impl Window {
    /// How long ago the one before this one began.
    fn elapsed(&self, now: Instant) -> Duration {
        now.duration_since(self.before)
    }
}

fn label(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_LABEL)]
}

/// How many a second, of so many in this time.
fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1.0)
}

impl Application {
    /// One more goes on by itself: it began, was found at the start, or is tried again.
    pub(super) fn goes_on(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// One of them waits for a person.
    pub(super) fn rests(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    pub(super) fn decided(&self, status: GlobalStatus, took: Millis) {
        if status.is_commit() || status == GlobalStatus::Committed {
            self.end(End::Committed, took);
        } else {
            self.end(End::Rollbacked, took);
        }
    }

    pub(super) fn finished(&self, status: GlobalStatus, took: Millis) {
        use GlobalStatus::*;
        self.active.fetch_sub(1, Relaxed);
        match status {
            Committed => self.end(End::AfterCommitted, took),
            Rollbacked | TimeoutRollbacked => self.end(End::AfterRollbacked, took),
            _ => {}
        }
    }

    pub(super) fn parked(&self, status: GlobalStatus, took: Millis) {
        use GlobalStatus::*;
        match status {
            CommitFailed | RollbackFailed => self.end(End::Failed, took),
            CommitRetryTimeout | RollbackRetryTimeout | TimeoutRollbackFailed => {
                self.end(End::PhaseTwoTimeout, took);
            }
            _ => {}
        }
    }

    fn end(&self, end: End, took: Millis) {
        let times = &self.ends[end as usize];
        times.count.fetch_add(1, Relaxed);
        times.total.fetch_add(took, Relaxed);
        if took > times.longest.load(Relaxed) {
            times.longest.fetch_max(took, Relaxed);
        }
    }
}

impl Times {
    fn write(&self, end: End, status: &str, elapsed: Duration, set: impl Fn(&str, &str, &str, f64)) {
        let [count, total] = [&self.count, &self.total].map(|value| value.load(Relaxed));
        let [recent, recent_total] = [
            count.saturating_sub(self.base_before[0].load(Relaxed)),
            total.saturating_sub(self.base_before[1].load(Relaxed)),
        ];
        if !matches!(end, End::Failed | End::PhaseTwoTimeout) {
            set("counter", "", status, count as f64);
        }
        set("summary", "count", status, count as f64);
        set("summary", "total", status, count as f64);
        set("summary", "tps", status, rate(recent, elapsed));
        if !matches!(end, End::PhaseTwoTimeout) {
            let longest = self.longest.load(Relaxed).max(self.longest_before.load(Relaxed));
            set("timer", "count", status, count as f64);
            set("timer", "total", status, total as f64);
            set("timer", "max", status, longest as f64);
            let average = if recent == 0 { 0.0 } else { recent_total as f64 / recent as f64 };
            set("timer", "average", status, average);
        }
    }

    fn turn(&self) {
        self.longest_before.store(self.longest.swap(0, Relaxed), Relaxed);
        for (base, before) in self.base.iter().zip(&self.base_before) {
            before.store(base.load(Relaxed), Relaxed);
        }
        self.base[0].store(self.count.load(Relaxed), Relaxed);
        self.base[1].store(self.total.load(Relaxed), Relaxed);
    }
}

fn exception_family(
    exceptions: &[(&'static str, u64)],
    window: &Window,
    elapsed: Duration,
) -> Vec<MetricFamily> {
    let family = GaugeVec::new(
        Opts::new("seata_exception", "Requests that failed, as Java Seata counts them."),
        &["applicationId", "meter", "role", "statistic"],
    );
    let family = family.expect("names and labels are well formed");
    for (name, count) in exceptions {
        let [_, base_before] = window.failed.get(name).copied().unwrap_or_default();
        let tps = rate(count.saturating_sub(base_before), elapsed);
        for (statistic, value) in [("count", *count as f64), ("total", *count as f64), ("tps", tps)] {
            family.with_label_values(&[name, "summary", "tc", statistic]).set(value);
        }
    }
    family.collect()
}

#[cfg(test)]
mod tests {
    use seata_protocol::TransactionId;

    use super::*;

    fn transaction(application: String) -> Transaction {
        Transaction {
            id: TransactionId(1),
            xid: "a:1:1".parse().expect("an XID"),
            application: application.into(),
            group: "group".into(),
            name: "name".into(),
            begun_at: 1_000,
            timeout: 1_000,
            incarnation: None,
        }
    }

    /// The values of one series by the application.
    fn series(
        applications: &Applications,
        now: Instant,
        meter: &str,
        statistic: &str,
        status: &str,
    ) -> Vec<(String, f64)> {
        let mut found = Vec::new();
        for (labels, value) in samples(applications, "seata_transaction", now) {
            if [&*labels["meter"], &*labels["statistic"], &*labels["status"]] == [meter, statistic, status] {
                found.push((labels["applicationId"].clone(), value));
            }
        }
        found
    }

    fn samples(applications: &Applications, name: &str, now: Instant) -> Vec<(HashMap<String, String>, f64)> {
        let families = applications.collect(&[("GlobalBeginRequest", 60)], now);
        let family = families.iter().find(|family| family.name() == name).expect("there is one");
        let labels = |metric: &prometheus::proto::Metric| {
            let labels = metric.get_label().iter();
            labels.map(|label| (label.name().to_owned(), label.value().to_owned())).collect()
        };
        let metrics = family.get_metric().iter();
        metrics.map(|metric| (labels(metric), metric.get_gauge().get_value())).collect()
    }

    #[test]
    fn names_that_somebody_makes_up_are_counted_as_other() {
        let now = Instant::now();
        let applications = Applications::new(now);
        for number in 0..MAX_PAIRS + 50 {
            applications.of(&transaction(format!("application {number}"))).goes_on();
        }
        applications.of(&transaction("application 0".to_owned())).goes_on();
        let active = series(&applications, now, "counter", "", "active");
        assert_eq!(active.len(), MAX_PAIRS + 1);
        let of = |name: &str| active.iter().find(|(found, _)| found == name).expect("counted").1;
        assert_eq!((of("other"), of("application 0"), of("application 1")), (50.0, 2.0, 1.0));
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let now = Instant::now();
        let applications = Applications::new(now);
        for end in ["a", "b"] {
            applications.of(&transaction("é".repeat(500) + end)).goes_on();
        }
        let active = series(&applications, now, "counter", "", "active");
        assert_eq!(active, [("é".repeat(50), 2.0)], "one for all that begin so");
    }

    #[test]
    fn counts_never_go_back_and_rates_do() {
        let mut now = Instant::now();
        let applications = Applications::new(now);
        let counts = applications.of(&transaction("a".to_owned()));
        counts.goes_on();
        counts.decided(GlobalStatus::Committed, 40);
        counts.finished(GlobalStatus::Committed, 60);
        let one = |now, meter, statistic, status| series(&applications, now, meter, statistic, status)[0].1;
        for _ in 0..3 {
            assert_eq!(one(now, "counter", "", "active"), 0.0);
            assert_eq!(one(now, "summary", "count", "committed"), 1.0, "whoever asked before");
            assert_eq!(one(now, "timer", "total", "committed"), 40.0);
            assert_eq!(one(now, "timer", "max", "AfterCommitted"), 60.0);
        }
        now += WINDOW;
        assert_eq!(one(now, "timer", "max", "committed"), 40.0);
        now += WINDOW;
        assert_eq!(one(now, "timer", "max", "committed"), 0.0);
        assert_eq!(one(now, "timer", "average", "committed"), 0.0);
        assert_eq!(one(now, "timer", "total", "committed"), 40.0);
    }

    #[test]
    fn a_rate_is_what_came_by_the_time_in_which_it_came() {
        let mut now = Instant::now();
        let applications = Applications::new(now);
        let counts = applications.of(&transaction("a".to_owned()));
        // Ten a second, asked for every five seconds and then every ten minutes.
        for pause in [5; 40].into_iter().chain([600; 3]) {
            now += Duration::from_secs(pause);
            (0..10 * pause).for_each(|_| counts.decided(GlobalStatus::Committed, 7));
            let tps = series(&applications, now, "summary", "tps", "committed")[0].1;
            assert!((tps - 10.0).abs() < 0.01, "{tps}");
            assert_eq!(series(&applications, now, "timer", "average", "committed")[0].1, 7.0);
        }
    }

    #[test]
    fn failures_have_a_rate_too() {
        let now = Instant::now();
        let applications = Applications::new(now);
        let look = |after: u64| -> Vec<f64> {
            let samples = samples(&applications, "seata_exception", now + Duration::from_secs(after));
            ["count", "total", "tps"]
                .map(|statistic| {
                    let found = samples.iter().find(|(labels, _)| labels["statistic"] == statistic);
                    found.expect("there is one").1
                })
                .to_vec()
        };
        assert_eq!(look(30), [60.0, 60.0, 2.0]);
        assert_eq!(look(50), [60.0, 60.0, 1.2], "over 50 seconds");
        assert_eq!(look(60), [60.0, 60.0, 0.0], "none in the last 30");
    }
}
