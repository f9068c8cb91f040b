//! What all connections of the port share.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use seata_protocol::Limits;

use super::clients::{Closing, Peer};
use crate::{Tc, front::Clients, metrics::Metrics, settings::FrontSettings};

/// In what steps the bytes of a connection are counted among all.
const STEP: usize = 8 << 10;

/// The coordinator, the clients, and how much they may take.
pub(super) struct Desk {
    pub(super) tc: Tc,
    pub(super) clients: Clients,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: FrontSettings,
    pub(super) limits: Limits,
    pub(super) connections: AtomicUsize,
    pub(super) complaints: Complaints,
    /// A text of no length, of which there is one.
    pub(super) empty: Arc<str>,
    /// How many bytes all connections hold.
    held: AtomicUsize,
    /// Held by who looks for the connection that holds the most.
    relief: Mutex<()>,
    stage: AtomicU8,
    /// In milliseconds; the one setting that changes while the port is open.
    lock_wait: AtomicU64,
}

/// How far the port is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Requests are taken.
    Open,
    /// Requests that come are not taken any more; those under way are answered.
    Draining,
    /// What is written is the last.
    Closing,
}

impl Desk {
    pub(super) fn new(tc: Tc, clients: Clients, metrics: Arc<Metrics>, settings: FrontSettings) -> Self {
        let lock_wait = Self::millis(settings.lock_wait);
        Self {
            tc,
            clients,
            metrics,
            settings,
            limits: Limits::default(),
            connections: AtomicUsize::new(0),
            complaints: Complaints::default(),
            empty: "".into(),
            held: AtomicUsize::new(0),
            relief: Mutex::default(),
            stage: AtomicU8::new(Stage::Open as u8),
            lock_wait: AtomicU64::new(lock_wait),
        }
    }

    /// How long a registration may wait for rows that others hold.
    pub(super) fn lock_wait(&self) -> Duration {
        Duration::from_millis(self.lock_wait.load(Ordering::Relaxed))
    }

    pub(super) fn set_lock_wait(&self, wait: Duration) {
        self.lock_wait.store(Self::millis(wait), Ordering::Relaxed);
    }

    fn millis(wait: Duration) -> u64 {
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::SeqCst) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Closing,
        }
    }

    /// All connections learn of it.
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
        for peer in self.clients.peers() {
            peer.wake();
        }
    }

    /// A connection holds so many bytes now. When all together hold too many, the one that holds the most goes.
    pub(super) fn count(&self, peer: &Peer, bytes: usize) {
        let bytes = bytes / STEP * STEP;
        let before = peer.hold(bytes);
        if bytes == before {
            return;
        }
        self.metrics.buffered(bytes as i64 - before as i64);
        if bytes < before {
            self.held.fetch_sub(before - bytes, Ordering::Relaxed);
            return;
        }
        let more = bytes - before;
        let all = self.held.fetch_add(more, Ordering::Relaxed) + more;
        if all > self.settings.max_buffered_bytes {
            self.relieve();
        }
    }

    fn relieve(&self) {
        let Ok(_one_at_a_time) = self.relief.try_lock() else { return };
        let peers = self.clients.peers();
        // Those that go already are as good as gone.
        let staying = || peers.iter().filter(|peer| peer.is_open());
        if staying().map(|peer| peer.held()).sum::<usize>() > self.settings.max_buffered_bytes
            && let Some(greediest) = staying().max_by_key(|peer| peer.held())
        {
            greediest.close(Closing::Greedy);
        }
    }
}

/// Who was complained of in the log: a peer that comes again and again gets one line a minute for each reason.
#[derive(Default)]
pub(super) struct Complaints {
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    lines: HashMap<(IpAddr, &'static str), Instant>,
    /// When old ones were last looked for, because there were too many.
    swept: Option<Instant>,
}

impl Complaints {
    const PAUSE: Duration = Duration::from_secs(60);
    const MAX: usize = 1_024;

    /// Whether a line about this peer, for this reason, is due.
    pub(super) fn is_due(&self, peer: IpAddr, reason: &'static str) -> bool {
        let mut last = self.last.lock().expect("nothing panics under it");
        let Last { lines, swept } = &mut *last;
        let (complaint, now) = ((peer, reason), Instant::now());
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < Self::PAUSE;
        if lines.get(&complaint).is_some_and(is_recent) {
            return false;
        }
        if lines.len() >= Self::MAX && !swept.as_ref().is_some_and(is_recent) {
            lines.retain(|_, at| is_recent(at));
            *swept = Some(now);
        }
        let has_room = lines.len() < Self::MAX || lines.contains_key(&complaint);
        if has_room {
            lines.insert(complaint, now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_apart_and_bounded() {
        let complaints = Complaints::default();
        let of = |n: u32| IpAddr::from(n.to_be_bytes());
        assert!(complaints.is_due(of(1), "deaf") && !complaints.is_due(of(1), "deaf"));
        assert!(complaints.is_due(of(1), "frame") && complaints.is_due(of(2), "deaf"));
        let told = (0..100_000).filter(|n| complaints.is_due(of(*n), "silent")).count();
        assert_eq!(told, Complaints::MAX - 3);
    }
}
