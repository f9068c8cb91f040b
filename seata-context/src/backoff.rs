//! Pauses that double.

use std::time::Duration;

/// Doubling nothing would ask without a pause for as long as nobody answers.
const SHORTEST: Duration = Duration::from_millis(1);

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between tries: the first as given but at least 1 ms, each further one twice as long, up to 5 s.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new(first: Duration) -> Self {
        Self(first.clamp(SHORTEST, LONGEST))
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_none() {
        for (first, expected) in [(0, [1, 2, 4]), (100, [100, 200, 400]), (3000, [3000, 5000, 5000])] {
            let mut backoff = Backoff::new(Duration::from_millis(first));
            assert_eq!(expected.map(|_| backoff.next().as_millis()), expected);
        }
    }
}
