//! What became of a scenario.

use std::{
    fmt::{Debug, Display},
    future::Future,
    time::{Duration, Instant},
};

/// What was seen that should not be, or nothing.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// How long a state may take to come.
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Fails unless both are the same.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}

/// Fails unless it is so.
pub(crate) fn holds(what: impl Display, is_so: bool) -> Outcome {
    if is_so { Ok(()) } else { Err(what.to_string()) }
}

/// Asks again and again until it is so.
pub(crate) async fn eventually<F: Future<Output = Outcome>>(check: impl FnMut() -> F) -> Outcome {
    within(LIMIT, check).await
}

/// As [`eventually`], for what may take so long.
pub(crate) async fn within<F: Future<Output = Outcome>>(
    limit: Duration,
    mut check: impl FnMut() -> F,
) -> Outcome {
    let began = Instant::now();
    loop {
        match check().await {
            Err(reason) if began.elapsed() > limit => return Err(format!("{reason} (after {limit:?})")),
            Err(_) => tokio::time::sleep(PAUSE).await,
            Ok(()) => return Ok(()),
        }
    }
}
