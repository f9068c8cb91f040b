//! The server under load: beside Java's server, with a million open transactions, for a long time, with thousands of
//! idle connections.
//!
//! ```text
//! cargo bench -p seata-benches --features interop --bench server                   the comparison; needs a JDK and Maven
//! cargo bench -p seata-benches --bench server                                      without Java's server
//! cargo bench -p seata-benches --bench server -- growth --open 1000000
//! cargo bench -p seata-benches --bench server -- soak --minutes 30
//! cargo bench -p seata-benches --bench server -- idle --connections 10000
//! cargo bench -p seata-benches --bench server -- load --kind journal --concurrency 64
//! ```
//!
//! The server is built from the workspace; `SEATA_SERVER` names another binary.

mod candidate;
mod compare;
mod growth;
mod idle;
mod options;
mod single;
mod soak;

use std::time::Duration;

use seata_benches::generator::{self, Load, Report, Until, Work};

use self::{
    candidate::Candidate,
    options::{Options, Part},
};

/// How long phase two of a load is waited for: Java's may take longer than anybody wants to wait.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

fn main() {
    let options = Options::parse().unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2);
    });
    for part in &options.parts {
        match part {
            Part::Compare => compare::run(&options),
            Part::Growth => growth::run(&options),
            Part::Soak => soak::run(&options),
            Part::Idle => idle::run(&options),
            Part::Load => single::run(&options),
        }
    }
}

/// What a load did, and what it cost the server.
struct Measured {
    report: Report,
    cpu: Duration,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.report.rate()
    }

    /// Microseconds of the server's CPU for each transaction, phase two included.
    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.report.done as f64
    }

    fn percentile_ms(&self, part: f64) -> f64 {
        self.report.percentile(part).as_secs_f64() * 1e3
    }

    /// How long phase two went on, in milliseconds; the limit when it was not at an end then.
    fn drained_ms(&self) -> f64 {
        self.report.drained.unwrap_or(DRAIN_LIMIT).as_secs_f64() * 1e3
    }
}

/// Puts a load on a server.
fn measure(candidate: &Candidate, load: Load) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cpu = candidate.cpu_time();
    let report = runtime.block_on(generator::run(load));
    let report = report.unwrap_or_else(|error| panic!("{}: {error}", candidate.kind.name()));
    Measured { report, cpu: candidate.cpu_time() - cpu }
}

/// A load of this much at a time, over one application for each eight, at most as many as are asked for.
fn load(candidate: &Candidate, work: Work, concurrency: usize, until: Until, options: &Options) -> Load {
    Load {
        server: candidate.address,
        applications: concurrency.div_ceil(8).min(options.applications),
        concurrency,
        work,
        until,
        rate: None,
        merged: options.merged,
        drain_limit: DRAIN_LIMIT,
    }
}
