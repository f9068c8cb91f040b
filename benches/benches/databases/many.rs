//! One UPDATE of ten thousand rows: what its images take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use seata::Seata;
use seata_benches::{Table, is_measurement, middle, resident_bytes, rounds};

use crate::shop::{Error, global};

/// Rows with a key, a number that changes, and a text that does not.
pub(crate) fn rows() -> usize {
    if is_measurement() { 10_000 } else { 100 }
}

/// Adds one to all rows.
pub(crate) trait Many {
    fn change(&self) -> BoxFuture<'static, Result<(), Error>>;
}

/// Prints the comparison of both.
pub(crate) async fn compare(title: &str, plain: &impl Many, at: &impl Many, seata: &Seata) {
    let (mut plainly, mut undoably) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        plainly.push(watched(plain.change()).await);
        undoably.push(seata.scope(watched(global(at.change()))).await);
    }
    let mut table = Table::new(&["UPDATE", "ms", "MiB at its peak"]);
    for (name, runs) in [("plain", plainly), ("AT", undoably)] {
        let time = middle(&runs, |(time, _)| time.as_secs_f64() * 1e3);
        // Later runs use again what the allocator has kept.
        let bytes = runs.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
        table.row([
            name.to_owned(),
            format!("{time:.0}"),
            format!("{:.1}", bytes as f64 / f64::from(1 << 20)),
        ]);
    }
    table.print(&format!("{} rows at once on {title}", rows()));
}

/// How long it takes, and how many bytes the process grows by meanwhile.
async fn watched(work: impl Future<Output = Result<(), Error>>) -> (Duration, u64) {
    let before = resident_bytes();
    let (peak, stop) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
    let watch = thread::spawn({
        let (peak, stop) = (peak.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(resident_bytes(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let begun = Instant::now();
    work.await.expect("an UPDATE");
    let time = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    watch.join().expect("it only looks");
    (time, peak.load(Ordering::Relaxed) - before)
}
