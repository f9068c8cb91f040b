//! One load on one server after the other: for a profiler, and to see what a change does.

use seata_benches::{Table, generator::Until, middle};

use crate::{candidate::Candidate, load, measure, options::Options};

pub(crate) fn run(options: &Options) {
    let mut table =
        Table::new(&["server", "concurrency", "per second", "CPU µs each", "p50 ms", "p99 ms", "drained ms"]);
    for &kind in &options.kinds {
        let candidate = Candidate::start(kind);
        for &concurrency in &options.concurrency {
            let mut rounds = Vec::new();
            for _ in 0..options.rounds {
                let load =
                    load(&candidate, options.work(), concurrency, Until::Elapsed(options.turn), options);
                let measured = measure(&candidate, load);
                if let Some(error) = &measured.report.first_error {
                    println!("{}: {} errors, the first: {error}", kind.name(), measured.report.errors);
                }
                rounds.push(measured);
            }
            table.row([
                kind.name().to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(&rounds, crate::Measured::rate)),
                format!("{:.1}", middle(&rounds, crate::Measured::cpu_each)),
                format!("{:.2}", middle(&rounds, |measured| measured.percentile_ms(0.5))),
                format!("{:.2}", middle(&rounds, |measured| measured.percentile_ms(0.99))),
                format!("{:.0}", middle(&rounds, crate::Measured::drained_ms)),
            ]);
        }
    }
    let work = options.work();
    table.print(&format!("{} branches × {} locks, {:?}", work.branches, work.locks, work.end));
}
