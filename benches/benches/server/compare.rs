//! This server beside Java's, and beside one that only frames and answers.

use std::time::Duration;

use seata_benches::{
    Table,
    disk::flush_rate,
    generator::{End, Until, Work},
    middle, ratio,
};

use crate::{
    Measured,
    candidate::{Candidate, Kind},
    load, measure,
    options::Options,
};

/// How long each server is warmed up with each kind of work: compilers, caches, files.
const WARM_UP: usize = 3;
/// How long the bare disk is asked in each round.
const DISK: Duration = Duration::from_millis(200);
/// Flushes in a row of a transaction with two branches: two registrations and the decision.
const FLUSHES: f64 = 3.0;

const EMPTY: Work = Work { branches: 0, locks: 0, end: End::Commit };

/// The rounds of all servers with one work and one concurrency.
struct Cell {
    work: Work,
    concurrency: usize,
    servers: Vec<(Kind, Vec<Measured>)>,
    /// What the bare disk gave in each round.
    flush_rates: Vec<f64>,
}

pub(crate) fn run(options: &Options) {
    let candidates: Vec<Candidate> = options.kinds.iter().map(|&kind| Candidate::start(kind)).collect();
    let fresh: Vec<u64> = candidates.iter().map(Candidate::resident_bytes).collect();
    let works = [EMPTY, options.work()];
    for candidate in &candidates {
        for work in works {
            let load = load(candidate, work, 64, Until::Elapsed(options.turn), options);
            for _ in 0..WARM_UP {
                measure(candidate, load);
            }
        }
    }
    let mut cells = Vec::new();
    for work in works {
        for &concurrency in &options.concurrency {
            cells.push(take_turns(&candidates, work, concurrency, options));
        }
    }
    for work in works {
        let of_this = cells.iter().filter(|cell| cell.work.branches == work.branches);
        print_work(work, of_this);
    }
    print_processes(&candidates, &fresh);
    print_targets(&cells, &candidates);
}

fn take_turns(candidates: &[Candidate], work: Work, concurrency: usize, options: &Options) -> Cell {
    let directory = tempfile::tempdir().expect("a directory");
    let mut servers: Vec<(Kind, Vec<Measured>)> =
        candidates.iter().map(|candidate| (candidate.kind, Vec::new())).collect();
    let mut flush_rates = Vec::new();
    for _ in 0..options.rounds {
        flush_rates.push(flush_rate(directory.path(), DISK.min(options.turn)));
        for (candidate, (kind, rounds)) in candidates.iter().zip(&mut servers) {
            let load = load(candidate, work, concurrency, Until::Elapsed(options.turn), options);
            let measured = measure(candidate, load);
            if let Some(error) = &measured.report.first_error {
                println!("{}: {} errors, the first: {error}", kind.name(), measured.report.errors);
            }
            rounds.push(measured);
        }
    }
    Cell { work, concurrency, servers, flush_rates }
}

impl Cell {
    fn of(&self, kind: Kind) -> Option<&[Measured]> {
        self.servers.iter().find(|(found, _)| *found == kind).map(|(_, rounds)| rounds.as_slice())
    }

    /// This server's figure, divided by that of another.
    fn ratio(&self, other: Kind, figure: fn(&Measured) -> f64) -> Option<f64> {
        Some(ratio(self.of(Kind::Journal)?, self.of(other)?, figure))
    }

    /// What a server does of what the disk gives to so many who flush three times each.
    fn part_of_disk(&self, rounds: &[Measured]) -> f64 {
        let limit = |rate: &f64| self.concurrency as f64 * rate / FLUSHES;
        let parts = rounds.iter().zip(&self.flush_rates).map(|(round, rate)| round.rate() / limit(rate));
        seata_benches::median(parts)
    }
}

#[cfg(feature = "interop")]
const JAVA: Option<Kind> = Some(Kind::Java);
#[cfg(not(feature = "interop"))]
const JAVA: Option<Kind> = None;
#[cfg(feature = "interop")]
const JAVA_SYNC: Option<Kind> = Some(Kind::JavaSync);
#[cfg(not(feature = "interop"))]
const JAVA_SYNC: Option<Kind> = None;

fn print_work<'a>(work: Work, cells: impl Iterator<Item = &'a Cell>) {
    let mut table = Table::new(&[
        "server",
        "concurrency",
        "per second",
        "to Java",
        "to the responder",
        "to C·F/3",
        "CPU µs each",
        "p50 ms",
        "p99 ms",
        "backlog",
        "drained ms",
    ]);
    for cell in cells {
        let to = |other: Option<Kind>, rounds| {
            let others = other.and_then(|other| cell.of(other));
            others.map_or_else(String::new, |others| format!("{:.2}", ratio(rounds, others, Measured::rate)))
        };
        for (kind, rounds) in &cell.servers {
            let is_durable = *kind == Kind::Journal && work.branches == 2;
            table.row([
                kind.name().to_owned(),
                cell.concurrency.to_string(),
                format!("{:.0}", middle(rounds, Measured::rate)),
                to(JAVA, rounds),
                to(Some(Kind::Responder), rounds),
                if is_durable { format!("{:.2}", cell.part_of_disk(rounds)) } else { String::new() },
                format!("{:.1}", middle(rounds, Measured::cpu_each)),
                format!("{:.3}", middle(rounds, |measured| measured.percentile_ms(0.5))),
                format!("{:.3}", middle(rounds, |measured| measured.percentile_ms(0.99))),
                format!("{:.0}", middle(rounds, |measured| measured.report.backlog as f64)),
                format!("{:.0}", middle(rounds, Measured::drained_ms)),
            ]);
        }
    }
    table.print(&match work.branches {
        0 => "Empty transactions: begin, commit".to_owned(),
        _ => format!("{} branches × {} locks, {:?}", work.branches, work.locks, work.end),
    });
}

fn print_processes(candidates: &[Candidate], fresh: &[u64]) {
    let mut table =
        Table::new(&["server", "listens after ms", "ready after ms", "MiB at first", "MiB after all loads"]);
    for (candidate, fresh) in candidates.iter().zip(fresh) {
        table.row([
            candidate.kind.name().to_owned(),
            format!("{:.1}", candidate.listens_after.as_secs_f64() * 1e3),
            format!("{:.1}", candidate.ready_after.as_secs_f64() * 1e3),
            format!("{:.1}", mebibytes(*fresh)),
            format!("{:.1}", mebibytes(candidate.resident_bytes())),
        ]);
    }
    table.print("The processes");
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What is aimed at, and what was measured. Nothing fails: a figure of a busy machine says little.
fn print_targets(cells: &[Cell], candidates: &[Candidate]) {
    let mut table = Table::new(&["with fsync, 2 branches × 2 locks", "concurrency", "aim", "measured"]);
    for cell in cells.iter().filter(|cell| cell.work.branches > 0) {
        let mut row = |what: &str, aim: &str, measured: Option<f64>| {
            if let Some(measured) = measured {
                let concurrency = cell.concurrency.to_string();
                table.row([what.to_owned(), concurrency, aim.to_owned(), format!("{measured:.3}")]);
            }
        };
        let ours = cell.of(Kind::Journal);
        let to = |other: Option<Kind>, figure| other.and_then(|other| cell.ratio(other, figure));
        if cell.concurrency > 1 {
            row("rate, to Java's without fsync", "≥ 2", to(JAVA, Measured::rate));
            row("rate, to Java's with fsync", "≥ 8", to(JAVA_SYNC, Measured::rate));
            row("or rate, to C·F/3", "≥ 0.7", ours.map(|rounds| cell.part_of_disk(rounds)));
            row("rate, to the responder's", "≥ 0.6", to(Some(Kind::Responder), Measured::rate));
        } else {
            row("ms more than three flushes", "≤ 0.3", ours.map(|rounds| beyond_flushes(cell, rounds)));
        }
        row("CPU, to Java's", "≤ 0.125", to(JAVA, Measured::cpu_each));
        row("p50, to Java's", "< 1", to(JAVA, |measured| measured.percentile_ms(0.5)));
        row("p99, to Java's", "< 1", to(JAVA, |measured| measured.percentile_ms(0.99)));
        row("ms until phase two is drained", "≈ 0", ours.map(|rounds| middle(rounds, Measured::drained_ms)));
    }
    let of = |kind: Option<Kind>| candidates.iter().find(|candidate| Some(candidate.kind) == kind);
    if let Some(ours) = of(Some(Kind::Journal)) {
        let mut row = |what: &str, aim: &str, measured: f64| {
            table.row([what.to_owned(), String::new(), aim.to_owned(), format!("{measured:.3}")]);
        };
        row("ms until it takes requests", "≤ 100", ours.ready_after.as_secs_f64() * 1e3);
        if let Some(java) = of(JAVA) {
            let memory = ours.resident_bytes() as f64 / java.resident_bytes() as f64;
            row("memory after all loads, to Java's", "≤ 0.05", memory);
        }
    }
    table.print("What is aimed at");
}

/// How much longer than three flushes of the bare disk a transaction takes, in milliseconds.
fn beyond_flushes(cell: &Cell, rounds: &[Measured]) -> f64 {
    let more = rounds.iter().zip(&cell.flush_rates).map(|(round, rate)| 1e3 / round.rate() - 3e3 / rate);
    seata_benches::median(more)
}
