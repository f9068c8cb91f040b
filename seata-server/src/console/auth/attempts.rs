//! Attempts to log in: how many an address has, and how many are told of.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::super::places::network;

/// Recent failed attempts by address, a bounded number of both.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_address: HashMap<IpAddr, (u32, Instant)>,
    lines: Lines,
}

/// How many lines of the log were written of late.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// No, and it is the first one that may not.
    Refused,
    /// No, as those before it.
    StillRefused,
}

impl Attempts {
    const LIMIT: u32 = 10;
    const WINDOW: Duration = Duration::from_secs(60);
    const ADDRESSES: usize = 1_024;
    /// How many failures the log tells of in a window: whoever guesses must not fill the disk.
    const LINES: u32 = 60;

    /// Counts one more attempt from there.
    pub(super) fn make(&mut self, from: IpAddr, now: Instant) -> Verdict {
        let from = network(from);
        if self.by_address.len() >= Self::ADDRESSES && !self.by_address.contains_key(&from) {
            self.by_address.retain(|_, (_, since)| now.duration_since(*since) < Self::WINDOW);
            if self.by_address.len() >= Self::ADDRESSES {
                return Verdict::StillRefused;
            }
        }
        let (count, since) = self.by_address.entry(from).or_insert((0, now));
        if now.duration_since(*since) >= Self::WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        match (*count).cmp(&(Self::LIMIT + 1)) {
            std::cmp::Ordering::Less => Verdict::Allowed,
            std::cmp::Ordering::Equal => Verdict::Refused,
            std::cmp::Ordering::Greater => Verdict::StillRefused,
        }
    }

    pub(super) fn forget(&mut self, from: IpAddr) {
        self.by_address.remove(&network(from));
    }

    /// Whether the log should tell of one more failure, and how many before it were left out.
    pub(super) fn line(&mut self, verdict: Verdict, now: Instant) -> Option<u64> {
        let lines = &mut self.lines;
        if lines.since.is_none_or(|since| now.duration_since(since) >= Self::WINDOW) {
            (lines.since, lines.written) = (Some(now), 0);
        }
        if verdict == Verdict::StillRefused || lines.written == Self::LINES {
            lines.left_out += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn attempts_are_limited_by_address_and_in_number() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        assert!((0..Attempts::LIMIT).all(|_| attempts.make(HERE, now) == Verdict::Allowed));
        assert_eq!(attempts.make(HERE, now), Verdict::Refused);
        assert_eq!(attempts.make(HERE, now), Verdict::StillRefused);
        assert_eq!(attempts.make(HERE, now + Attempts::WINDOW), Verdict::Allowed, "a minute later");
        for number in 0..100_000u32 {
            attempts.make(IpAddr::V4(number.into()), now);
        }
        assert!(attempts.by_address.len() <= Attempts::ADDRESSES);
    }

    #[test]
    fn the_log_tells_of_some_failures_and_counts_the_others() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let mut told = Vec::new();
        for _ in 0..10_000 {
            let verdict = attempts.make(HERE, now);
            told.extend(attempts.line(verdict, now));
        }
        assert_eq!(told.len(), 11, "one address: its attempts, and that it has to wait");
        for number in 0..1_000u32 {
            let verdict = attempts.make(IpAddr::V4(number.into()), now);
            told.extend(attempts.line(verdict, now));
        }
        assert_eq!(told.len(), 60, "many addresses");
        told.extend(attempts.line(Verdict::Allowed, now + Attempts::WINDOW));
        assert_eq!(told.len() as u64 + told.iter().sum::<u64>(), 11_001, "none is forgotten");
    }
}
