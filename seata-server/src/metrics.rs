//! What is counted and timed, in Prometheus' text form.
//!
//! Calls from the midst of the work cost some ten nanoseconds: handles are made beforehand, and only what
//! belongs to an application is looked up. What is a state and no event (open transactions, queues, memory)
//! is read when somebody asks for it.
//!
//! The library is `prometheus`, because it writes the text format 0.0.4 with names as they are;
//! `prometheus-client` writes OpenMetrics, in which Java's family names are not possible.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder, core::Collector,
};
use seata_coordinator::{
    driver::Observer,
    record::{Millis, Transaction},
    session::Phase,
};
use seata_protocol::{GlobalStatus, ResourceId};

use crate::{Tc, front::Clients};

use applications::Applications;

mod applications;
mod process;
mod state;

/// All counters of this server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    started: Instant,
    requests: Vec<Request>,
    other_request: Request,
    transactions: Applications,
    begun: IntCounter,
    finished: [Finished; 5],
    parked: IntCounter,
    phase_two: [Histogram; 2],
    phase_two_branches: Histogram,
    lock_wait: [Histogram; 2],
    flush: Histogram,
    flush_records: Histogram,
    opened: IntCounter,
    closed: IntCounterVec,
    refused: IntCounterVec,
    buffered: IntGauge,
    process: process::Process,
}

/// One kind of request.
#[derive(Debug)]
struct Request {
    kind: &'static str,
    took: Histogram,
    failed: IntCounter,
}

#[derive(Debug)]
struct Finished {
    took: Histogram,
}

/// The content type of what [`Metrics::render`] gives.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Requests by the name of their Java class; any other is `other`.
const REQUESTS: [&str; 13] = [
    "GlobalBeginRequest",
    "GlobalCommitRequest",
    "GlobalRollbackRequest",
    "GlobalStatusRequest",
    "GlobalReportRequest",
    "GlobalLockQueryRequest",
    "BranchRegisterRequest",
    "BranchReportRequest",
    "RegisterTMRequest",
    "RegisterRMRequest",
    "MergedWarpMessage",
    "BatchResultMessage",
    "HeartbeatMessage",
];

/// Why connections to the Seata port end; a reason that is missing here shows itself when it occurs.
const CLOSED: [&str; 14] = [
    "anonymous",
    "asked",
    "broken",
    "closed",
    "cut_short",
    "deaf",
    "frame",
    "greedy",
    "message",
    "misplaced",
    "silent",
    "stopping",
    "unavailable",
    "unregistered",
];
/// The same for what is refused there.
const REFUSED: [&str; 7] =
    ["accept", "answer", "connections", "encoding", "handshake", "message", "registration"];

/// From 50 µs to 10 s.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// From 1 ms to 1 h: the life of a transaction.
const LIFE: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 600.0, 3_600.0];
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let requests = register(
            &registry,
            HistogramVec::new(
                HistogramOpts::new(
                    "seata_request_duration_seconds",
                    "Time from a request's arrival to its answer.",
                )
                .buckets(SECONDS.to_vec()),
                &["request"],
            ),
        );
        let failures = counters(
            &registry,
            "seata_request_failures_total",
            "Requests that were answered with a failure.",
            "request",
        );
        let request = |kind: &'static str| Request {
            kind,
            took: requests.with_label_values(&[kind]),
            failed: failures.with_label_values(&[kind]),
        };
        let life = histograms(
            &registry,
            "seata_transaction_duration_seconds",
            "Time from a transaction's begin to its end.",
            &LIFE,
            "outcome",
        );
        let phase_two = histograms(
            &registry,
            "seata_phase_two_call_duration_seconds",
            "Time a resource manager took for one call of phase two.",
            &SECONDS,
            "phase",
        );
        let lock_wait = histograms(
            &registry,
            "seata_lock_wait_seconds",
            "Time a registration waited for rows that others held.",
            &SECONDS,
            "outcome",
        );
        let counter =
            |name: &str, help: &str| register(&registry, IntCounter::with_opts(Opts::new(name, help)));
        let metrics = Self {
            started: Instant::now(),
            requests: REQUESTS.map(request).into(),
            other_request: request("other"),
            transactions: Applications::new(Instant::now()),
            begun: counter("seata_transactions_begun_total", "Global transactions that began."),
            finished: OUTCOMES.map(|outcome| Finished { took: life.with_label_values(&[outcome]) }),
            parked: counter(
                "seata_transactions_parked_total",
                "How often a transaction was parked for a person to look at.",
            ),
            phase_two: ["commit", "rollback"].map(|phase| phase_two.with_label_values(&[phase])),
            phase_two_branches: histogram(
                &registry,
                "seata_phase_two_call_branches",
                "Branches in one call of phase two.",
                &COUNTS,
            ),
            lock_wait: ["refused", "granted"].map(|outcome| lock_wait.with_label_values(&[outcome])),
            flush: histogram(
                &registry,
                "seata_journal_flush_duration_seconds",
                "Time one flush of the journal took.",
                &SECONDS,
            ),
            flush_records: histogram(
                &registry,
                "seata_journal_flush_records",
                "Records that one flush of the journal made durable.",
                &COUNTS,
            ),
            opened: counter("seata_connections_opened_total", "Connections to the Seata port."),
            closed: counters(
                &registry,
                "seata_connections_closed_total",
                "Connections to the Seata port that were closed, by reason.",
                "reason",
            ),
            refused: counters(
                &registry,
                "seata_refused_total",
                "What was refused on the Seata port, by reason.",
                "reason",
            ),
            buffered: register(
                &registry,
                IntGauge::new("seata_buffered_bytes", "Bytes of frames that are read or written now."),
            ),
            process: process::Process::default(),
            registry,
        };
        // What happens for the first time is a change only where nothing was counted before.
        for (family, reasons) in [(&metrics.closed, &CLOSED[..]), (&metrics.refused, &REFUSED)] {
            for reason in reasons {
                family.with_label_values(&[*reason]);
            }
        }
        let build = gauges(&metrics.registry, "seata_build_info", "The version that runs.", "version");
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        metrics
    }

    /// A request was answered. `kind` is the name of its Java class.
    pub(crate) fn request(&self, kind: &'static str, took: Duration, failed: bool) {
        let request = self.requests.iter().find(|request| request.kind == kind);
        let request = request.unwrap_or(&self.other_request);
        request.took.observe(took.as_secs_f64());
        if failed {
            request.failed.inc();
        }
    }

    /// Somebody connected to the Seata port.
    pub(crate) fn connection_opened(&self) {
        self.opened.inc();
    }

    /// A connection to the Seata port ended.
    pub(crate) fn connection_closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// A connection, a frame or a registration was refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// So many more bytes are held in frames that are read or written; negative: fewer.
    pub(crate) fn buffered(&self, bytes: i64) {
        self.buffered.add(bytes);
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub(crate) fn render(&self, tc: &Tc, clients: &Clients) -> String {
        let mut families = self.registry.gather();
        families.extend(state::families(&tc.stats(), &clients.counts(), now()));
        families.extend(self.transactions.collect(&self.exceptions(), Instant::now()));
        families.extend(self.process.collect(self.started));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).expect("every family has a name and a metric");
        String::from_utf8(text).expect("the text format is UTF-8")
    }

    /// How many requests of each kind were answered, and how many of all that began and ended.
    pub(crate) fn totals(&self) -> Totals {
        let kinds = self.requests.iter().chain([&self.other_request]);
        let [committed, rolled_back, failed, finished, given_up] =
            [0, 1, 2, 3, GIVEN_UP].map(|at| self.finished[at].took.get_sample_count());
        Totals {
            begun: self.begun.get(),
            committed,
            rolled_back,
            failed: failed + finished,
            given_up,
            requests: kinds
                .map(|request| (request.kind, request.took.get_sample_count()))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    fn exceptions(&self) -> Vec<(&'static str, u64)> {
        let kinds = self.requests.iter().chain([&self.other_request]);
        kinds.map(|request| (request.kind, request.failed.get())).collect()
    }
}

/// What was counted since the start.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) begun: u64,
    pub(crate) committed: u64,
    pub(crate) rolled_back: u64,
    pub(crate) failed: u64,
    pub(crate) given_up: u64,
    pub(crate) requests: Vec<(&'static str, u64)>,
}

/// How a transaction can end.
const OUTCOMES: [&str; 5] = ["committed", "rolled_back", "timed_out", "other", "given_up"];
const GIVEN_UP: usize = 4;

impl Observer for Metrics {
    fn begun(&self, transaction: &Transaction) {
        self.begun.inc();
        self.transactions.of(transaction).goes_on();
    }

    fn recovered(&self, transaction: &Transaction) {
        self.transactions.of(transaction).goes_on();
    }

    fn decided(&self, transaction: &Transaction, status: GlobalStatus, now: Millis) {
        self.transactions.of(transaction).decided(status, now.saturating_sub(transaction.begun_at));
    }

    fn finished(&self, transaction: &Transaction, status: GlobalStatus, now: Millis) {
        use GlobalStatus::*;
        let outcome = match status {
            Committed => 0,
            Rollbacked => 1,
            TimeoutRollbacked => 2,
            _ => 3,
        };
        let took = now.saturating_sub(transaction.begun_at);
        self.finished[outcome].took.observe(took as f64 / 1e3);
        self.transactions.of(transaction).finished(status, took);
    }

    fn given_up(&self, transaction: &Transaction, _status: GlobalStatus, now: Millis) {
        let took = now.saturating_sub(transaction.begun_at);
        self.finished[GIVEN_UP].took.observe(took as f64 / 1e3);
        // None of Java's ends: it counts as active no more, and that is all.
        self.transactions.of(transaction).finished(GlobalStatus::Finished, took);
    }

    fn parked(&self, transaction: &Transaction, status: GlobalStatus, now: Millis) {
        self.parked.inc();
        self.transactions.of(transaction).parked(status, now.saturating_sub(transaction.begun_at));
    }

    fn rests(&self, transaction: &Transaction) {
        self.transactions.of(transaction).rests();
    }

    fn resumed(&self, transaction: &Transaction) {
        self.transactions.of(transaction).goes_on();
    }

    fn asked(&self, _resource: &ResourceId, phase: Phase, branches: usize, took: Duration) {
        let at = match phase {
            Phase::Commit => 0,
            Phase::Rollback => 1,
        };
        self.phase_two[at].observe(took.as_secs_f64());
        self.phase_two_branches.observe(branches as f64);
    }

    fn flushed(&self, took: Duration, records: usize) {
        self.flush.observe(took.as_secs_f64());
        self.flush_records.observe(records as f64);
    }

    fn waited(&self, took: Duration, granted: bool) {
        self.lock_wait[usize::from(granted)].observe(took.as_secs_f64());
    }
}

fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
}

/// Names and labels stand in this file, so a refusal is a mistake in it.
fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("names and labels are well formed");
    registry.register(Box::new(collector.clone())).expect("each name stands once");
    collector
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label]))
}

fn gauges(registry: &Registry, name: &str, help: &str, label: &str) -> GaugeVec {
    register(registry, GaugeVec::new(Opts::new(name, help), &[label]))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

fn histograms(registry: &Registry, name: &str, help: &str, buckets: &[f64], label: &str) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(options, &[label]))
}

/// One value that is read only when somebody asks.
fn reading(name: &str, help: &str, value: f64) -> prometheus::proto::MetricFamily {
    let gauge = Gauge::new(name, help).expect("the name is well formed");
    gauge.set(value);
    gauge.collect().remove(0)
}
