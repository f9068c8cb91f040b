//! Random numbers that can be had again, and who panicked under them.

use std::{
    sync::{
        Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rand::{SeedableRng as _, rngs::StdRng};
use tokio::runtime::{Builder, Runtime};

/// The environment variable that repeats a failed run.
const SEED: &str = "SEATA_TEST_SEED";

/// The environment variable that says how many seeds are run, each one more than the one before.
const SEEDS: &str = "SEATA_TEST_SEEDS";

/// Most of a run is waiting.
const AT_ONCE: usize = 3;

/// Runs a test under the seeds that the environment asks for, else under so many new ones, each on a thread of
/// its own.
pub(super) fn for_each_seed(few: u64, test: impl Fn(u64) + Sync) {
    let name = thread_name();
    let first = variable(SEED);
    let count = variable(SEEDS).unwrap_or(if first.is_some() { 1 } else { few });
    let first = first.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let (test, name, next) = (&test, &name, AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let seed = first + number;
                    let run = thread::Builder::new().name(format!("{name}, seed {seed}"));
                    let run = run.spawn_scoped(scope, move || test(seed)).unwrap();
                    if run.join().is_err() {
                        println!("repeat with {SEED}={seed}");
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "repeat with {SEED}={}; of {count} seeds, these failed: {failed:?}",
        failed[0]
    );
}

/// The numbers of one part of a test: each part has its own, whatever the others do.
pub(super) fn numbers(seed: u64, part: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// A runtime whose panics are noted, also those of tasks that nobody joins. Its threads are named as this one.
pub(super) fn runtime() -> Runtime {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.lock().unwrap().push((thread_name(), panic.to_string()));
            before(panic);
        }));
    });
    Builder::new_multi_thread().worker_threads(2).thread_name(thread_name()).enable_all().build().unwrap()
}

/// What panicked on threads that are named as this one.
pub(super) fn panics() -> Vec<String> {
    let (panics, name) = (PANICS.lock().unwrap(), thread_name());
    panics.iter().filter(|(thread, _)| *thread == name).map(|(_, panic)| panic.clone()).collect()
}

static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, found {text:?}")))
}
