//! Names that come again and again, each kept once.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use seata_protocol::ResourceId;

/// The resource ids that a connection has named.
#[derive(Default)]
pub(super) struct Names {
    known: HashSet<ResourceId, RandomState>,
    bytes: usize,
}

impl Names {
    /// Beyond so many a name is kept by those alone who use it.
    const MAX: usize = 1_024;
    /// What the memory of a name is counted as, beside its bytes.
    const NAME: usize = 48;

    pub(super) fn resource(&mut self, name: &str) -> ResourceId {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        let new = ResourceId::from(name);
        if self.known.len() < Self::MAX {
            self.known.insert(new.clone());
            self.bytes += name.len() + Self::NAME;
        }
        new
    }

    /// How much memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
