//! Pauses between attempts.

use std::time::Duration;

use rand::Rng as _;

use crate::settings::Reconnect;

/// The pauses between attempts, each twice as long as the one before, up to a limit, less a random part.
#[derive(Debug)]
pub(crate) struct Pauses {
    settings: Reconnect,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(settings: Reconnect) -> Self {
        Self { settings, next: settings.first.min(settings.max) }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.settings.max);
        pause.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_less_at_most_half() {
        let settings = Reconnect { first: Duration::from_millis(100), max: Duration::from_millis(350) };
        let mut pauses = Pauses::new(settings);
        for whole in [100, 200, 350, 350] {
            let pause = pauses.next().as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
    }

    #[test]
    fn two_clients_do_not_come_back_at_the_same_moment() {
        let settings = Reconnect { first: Duration::from_secs(10), max: Duration::from_secs(10) };
        let mut pauses: Vec<_> = (0..10).map(|_| Pauses::new(settings).next()).collect();
        pauses.dedup();
        assert!(pauses.len() > 1);
    }
}
