//! What all connections of the port share.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use seata_protocol::Limits;

use crate::{Tc, front::Clients, metrics::Metrics, settings::FrontSettings};

/// The coordinator, the clients, and how much they may take.
pub(super) struct Desk {
    pub(super) tc: Tc,
    pub(super) clients: Clients,
    pub(super) metrics: std::sync::Arc<Metrics>,
    pub(super) settings: FrontSettings,
    pub(super) limits: Limits,
    pub(super) connections: AtomicUsize,
    pub(super) buffered: AtomicUsize,
    pub(super) complaints: Complaints,
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
    pub(super) fn new(
        tc: Tc,
        clients: Clients,
        metrics: std::sync::Arc<Metrics>,
        settings: FrontSettings,
    ) -> Self {
        let lock_wait = Self::millis(settings.lock_wait);
        Self {
            tc,
            clients,
            metrics,
            settings,
            limits: Limits::default(),
            connections: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            complaints: Complaints::default(),
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
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Open,
            1 => Stage::Draining,
            _ => Stage::Closing,
        }
    }

    /// All connections learn of it.
    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
        for peer in self.clients.peers() {
            peer.wake();
        }
    }
}

/// Who was complained of in the log: a peer that comes again and again gets one line a minute.
#[derive(Default)]
pub(super) struct Complaints {
    last: Mutex<HashMap<IpAddr, Instant>>,
}

impl Complaints {
    const PAUSE: Duration = Duration::from_secs(60);
    const MAX: usize = 1_024;

    /// Whether a line about this peer is due.
    pub(super) fn is_due(&self, peer: IpAddr) -> bool {
        let mut last = self.last.lock().expect("nothing panics under it");
        if last.len() >= Self::MAX && !last.contains_key(&peer) {
            last.retain(|_, at| at.elapsed() < Self::PAUSE);
            if last.len() >= Self::MAX {
                return false;
            }
        }
        match last.get(&peer) {
            Some(at) if at.elapsed() < Self::PAUSE => false,
            _ => {
                last.insert(peer, Instant::now());
                true
            }
        }
    }
}
