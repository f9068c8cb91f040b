//! Whether the Seata port takes requests.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// How far the server is. Cloning is cheap, and all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicU8>);

const OPENING: u8 = 0;
/// Up to here: the percentage that is replayed.
const REPLAYED: u8 = 100;
const SERVING: u8 = 101;
const DRAINING: u8 = 102;

impl Readiness {
    /// So many percent of what the store keeps are read.
    pub(crate) fn replaying(&self, percent: u8) {
        self.0.store(percent.clamp(1, REPLAYED), Ordering::Release);
    }

    /// The Seata port accepts.
    pub(crate) fn serving(&self) {
        self.0.store(SERVING, Ordering::Release);
    }

    /// It takes nothing new any more.
    pub(crate) fn draining(&self) {
        self.0.store(DRAINING, Ordering::Release);
    }

    /// `None` when the Seata port accepts, else why it does not.
    pub(super) fn why_not(&self) -> Option<Cow<'static, str>> {
        match self.0.load(Ordering::Acquire) {
            SERVING => None,
            DRAINING => Some("the server is shutting down".into()),
            OPENING => Some("the server is starting: it opens its store".into()),
            percent => {
                Some(format!("the server is starting: it has replayed {percent} % of its store").into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_but_serving_has_its_reason() {
        let readiness = Readiness::default();
        let why = |part: &str| {
            let why = readiness.why_not().expect("not ready");
            assert!(why.contains(part), "{why}");
        };
        why("starting: it opens its store");
        for (percent, told) in [(0, "1 %"), (42, "42 %"), (100, "100 %"), (250, "100 %")] {
            readiness.replaying(percent);
            why(&format!("replayed {told}"));
        }
        readiness.serving();
        assert_eq!(readiness.why_not(), None);
        readiness.draining();
        why("shutting down");
    }
}
