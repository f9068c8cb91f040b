//! Waiting for a condition, never for the clock.

use std::{
    fmt::Display,
    future::Future,
    time::{Duration, Instant},
};

/// Longer than anything that goes well takes, even on a machine whose disk others keep busy: a flush there holds a
/// process for tens of seconds, a killed one too.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Asks again and again until there is an answer.
///
/// # Panics
/// With the last reason why there was none, after [`LIMIT`].
pub async fn until<T, R: Display, F>(what: &str, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, R>>,
{
    const PAUSE: Duration = Duration::from_millis(2);
    let began = Instant::now();
    loop {
        match check().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(began.elapsed() < LIMIT, "{what} did not come within {LIMIT:?}: {reason}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a future to its end on a thread of its own, from where another runtime may be at work.
///
/// # Panics
/// When the future does.
pub fn blocking<T: Send + 'static, F: Future<Output = T>>(future: impl FnOnce() -> F + Send + 'static) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future())
    };
    std::thread::spawn(run).join().expect("it does not panic")
}
