//! Most of what the server can do, for a long time: its memory must not grow.

use seata_benches::{Table, generator::Until, middle};

use crate::{
    Measured,
    candidate::{Candidate, Kind},
    load, measure,
    options::Options,
};

const CONCURRENCY: usize = 512;
const PART_OF_PEAK: f64 = 0.7;
/// How many times the figures are taken.
const SLICES: u32 = 10;

pub(crate) fn run(options: &Options) {
    let server = Candidate::start(Kind::Journal);
    let peak = || {
        measure(&server, load(&server, options.work(), CONCURRENCY, Until::Elapsed(options.turn), options))
    };
    let peaks: Vec<Measured> = (0..options.rounds).map(|_| peak()).collect();
    let rate = middle(&peaks, Measured::rate) * PART_OF_PEAK;

    let columns = ["after s", "per second", "CPU µs each", "p50 ms", "p99 ms", "errors", "MiB"];
    let mut table = Table::new(&columns);
    let slice = options.soak / SLICES;
    for number in 1..=SLICES {
        let mut load = load(&server, options.work(), CONCURRENCY, Until::Elapsed(slice), options);
        load.rate = Some(rate);
        let measured = measure(&server, load);
        if let Some(error) = &measured.report.first_error {
            println!("{} errors, the first: {error}", measured.report.errors);
        }
        table.row([
            format!("{:.0}", (slice * number).as_secs_f64()),
            format!("{:.0}", measured.rate()),
            format!("{:.1}", measured.cpu_each()),
            format!("{:.2}", measured.percentile_ms(0.5)),
            format!("{:.2}", measured.percentile_ms(0.99)),
            measured.report.errors.to_string(),
            format!("{:.1}", server.resident_bytes() as f64 / f64::from(1 << 20)),
        ]);
    }
    table.print(&format!("At {rate:.0} transactions per second, {PART_OF_PEAK} of the peak"));
}
