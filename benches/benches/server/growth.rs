//! What a million open transactions take, what they do to the others, and how long a restart reads them.

use seata_benches::{
    Table,
    generator::{End, Until, Work},
    middle, ratio,
};

use crate::{
    Measured,
    candidate::{Candidate, Kind},
    load, measure,
    options::Options,
};

/// How many transactions are under way while they are opened, and while the rate is taken.
const CONCURRENCY: usize = 512;
const RATE_CONCURRENCY: usize = 64;

pub(crate) fn run(options: &Options) {
    print_parts(options);
    let (empty, mut grown) = (Candidate::start(Kind::Journal), Candidate::start(Kind::Journal));
    let work = Work { end: End::Open, ..options.work() };
    let before = grown.resident_bytes();
    let opened = open(&grown, work, options.open, options);
    let resident = grown.resident_bytes() - before;
    let file = directory_bytes(&grown.directory().join("data"));

    let mut table =
        Table::new(&["open", "opened per second", "CPU µs each", "resident bytes each", "file bytes each"]);
    table.row([
        options.open.to_string(),
        format!("{:.0}", opened.rate()),
        format!("{:.1}", opened.cpu_each()),
        format!("{:.0}", resident as f64 / options.open as f64),
        format!("{:.0}", file as f64 / options.open as f64),
    ]);
    table.print(&format!("Open transactions with {} branches × {} locks each", work.branches, work.locks));

    let mut table =
        Table::new(&["server", "per second", "to the empty one", "CPU µs each", "p50 ms", "p99 ms"]);
    let beside = Beside::measure(&empty, &grown, options);
    beside.print(&mut table, "so many open");
    let grown_resident = grown.resident_bytes();
    grown = grown.restart();
    let restart = grown.ready_after;
    let restarted_resident = grown.resident_bytes();
    let beside = Beside::measure(&empty, &grown, options);
    beside.print(&mut table, "the same after a restart");
    table.print("Transactions beside them");

    let mut table =
        Table::new(&["restart after a kill", "takes requests after s", "MiB before", "MiB after"]);
    table.row([
        format!("{} open", options.open),
        format!("{:.2}", restart.as_secs_f64()),
        format!("{:.0}", grown_resident as f64 / f64::from(1 << 20)),
        format!("{:.0}", restarted_resident as f64 / f64::from(1 << 20)),
    ]);
    table.print("Restart");
}

fn open(server: &Candidate, work: Work, count: u64, options: &Options) -> Measured {
    let opened = measure(server, load(server, work, CONCURRENCY, Until::Begun(count), options));
    assert_eq!(opened.report.first_error, None, "{} of {count} could not be opened", opened.report.errors);
    opened
}

/// What a transaction, a branch and a lock take, each on a server of its own.
fn print_parts(options: &Options) {
    let count = options.open / 10;
    let bytes_each = |branches, locks| {
        let server = Candidate::start(Kind::Journal);
        let before = server.resident_bytes();
        open(&server, Work { branches, locks, end: End::Open }, count, options);
        server.resident_bytes().saturating_sub(before) as f64 / count as f64
    };
    let (transaction, with_one, with_nine) = (bytes_each(0, 0), bytes_each(1, 1), bytes_each(1, 9));
    let lock = (with_nine - with_one) / 8.0;
    let mut table = Table::new(&["resident in the server", "bytes"]);
    for (what, bytes) in [
        ("an open transaction without branches", transaction),
        ("a branch", with_one - transaction - lock),
        ("a row lock", lock),
    ] {
        table.row([what.to_owned(), format!("{bytes:.0}")]);
    }
    table.print(&format!("{count} open transactions of each kind"));
}

/// Two servers that took turns.
struct Beside {
    empty: Vec<Measured>,
    grown: Vec<Measured>,
}

impl Beside {
    fn measure(empty: &Candidate, grown: &Candidate, options: &Options) -> Self {
        let mut beside = Self { empty: Vec::new(), grown: Vec::new() };
        for _ in 0..options.rounds {
            for (server, rounds) in [(empty, &mut beside.empty), (grown, &mut beside.grown)] {
                let until = Until::Elapsed(options.turn);
                rounds.push(measure(server, load(server, options.work(), RATE_CONCURRENCY, until, options)));
            }
        }
        beside
    }

    fn print(&self, table: &mut Table, grown: &str) {
        for (name, rounds) in [("empty", &self.empty), (grown, &self.grown)] {
            table.row([
                name.to_owned(),
                format!("{:.0}", middle(rounds, Measured::rate)),
                format!("{:.2}", ratio(rounds, &self.empty, Measured::rate)),
                format!("{:.1}", middle(rounds, Measured::cpu_each)),
                format!("{:.2}", middle(rounds, |measured| measured.percentile_ms(0.5))),
                format!("{:.2}", middle(rounds, |measured| measured.percentile_ms(0.99))),
            ]);
        }
    }
}

fn directory_bytes(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a data directory");
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |found| found.len())).sum()
}
