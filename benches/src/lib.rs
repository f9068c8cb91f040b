//! What the benchmarks share: rounds, figures, tables, and the disk as it is without us.
//!
//! Whatever is compared takes turns in short rounds, so that a machine that slows down slows all of it
//! down. A figure is the median of its rounds, a ratio the median of the ratios within each round.

#![forbid(unsafe_code)]

pub mod disk;
pub mod generator;
#[cfg(feature = "interop")]
pub mod java;
pub mod load;
mod process;
pub mod responder;
mod table;
pub mod wire;

pub use process::{cpu_time, cpu_time_of, resident_bytes, resident_bytes_of};
pub use table::Table;

use std::time::Duration;

/// Whether this is a measurement. `cargo test --benches` runs benchmarks too, and then only wants to
/// see that they work.
pub fn is_measurement() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// How often each candidate has its turn.
pub fn rounds() -> usize {
    if is_measurement() { 7 } else { 1 }
}

/// How long one turn lasts when this much is right for a measurement.
pub fn turn(measurement: Duration) -> Duration {
    if is_measurement() { measurement } else { Duration::from_millis(10) }
}

/// The middle of these figures.
///
/// # Panics
/// Without any.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The median of what `figure` says of each round.
pub fn middle<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().map(figure))
}

/// The median, over the rounds, of one candidate's figure divided by another's of the same round.
pub fn ratio<T>(rounds: &[T], others: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().zip(others).map(|(one, other)| figure(one) / figure(other)))
}

/// The runtime that the figures are taken on: two workers.
///
/// # Panics
/// When the system has no threads left.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("two threads can be started")
}
