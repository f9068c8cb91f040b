//! Random numbers that can be had again.

use rand::{SeedableRng, rngs::StdRng};

/// The environment variable that repeats a failed run.
const VARIABLE: &str = "SEATA_TEST_SEED";

/// The seed from the environment, else a new one. It is printed, which the test harness shows on failure.
///
/// # Panics
/// When the environment variable is set to something that is no number.
pub fn seed() -> u64 {
    let seed = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is to be a number, found {text:?}")),
        Err(_) => rand::random(),
    };
    println!("repeat with {VARIABLE}={seed}");
    seed
}

/// The numbers of one part of a test: each part has its own, whatever the others do.
pub fn numbers(seed: u64, part: u64) -> StdRng {
    StdRng::seed_from_u64(seed.wrapping_add(part.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}
