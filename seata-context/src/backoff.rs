//! Pauses that double.

use std::time::Duration;

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between tries: the first as given, each further one twice as long, up to 5 s.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new(first: Duration) -> Self {
        Self(first.min(LONGEST))
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}
