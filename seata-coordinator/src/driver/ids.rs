//! Numbers that were never given before.

use std::{ops::Range, sync::Mutex};

use crate::{
    record::Millis,
    store::{Store, StoreError},
};

/// Where the numbers of a store begin that is created at this time behind an address which an earlier
/// store may have had: above all that one gave out, unless it gave out more than four million a second for
/// all its life. Numbers then look like those of Java's coordinator.
pub fn first_id_at(now: Millis) -> i64 {
    // Java counts from the beginning of May 2020 and has twelve bits for what happens in a millisecond.
    const EPOCH: Millis = 1_588_435_200_000;
    i64::try_from(now.saturating_sub(EPOCH)).map_or(1, |since| since.saturating_mul(1 << 12).max(1))
}

/// Gives out the numbers of blocks whose upper end is durable before the first of them is used.
#[derive(Debug)]
pub(super) struct Ids {
    block: Mutex<Range<i64>>,
    refill: tokio::sync::Mutex<()>,
    block_size: u32,
}

impl Ids {
    pub(super) fn new(block_size: u32) -> Self {
        Self { block: Mutex::new(0..0), refill: tokio::sync::Mutex::new(()), block_size: block_size.max(1) }
    }

    pub(super) async fn next(&self, store: &impl Store) -> Result<i64, StoreError> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let _one_at_a_time = self.refill.lock().await;
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let block = store.reserve_ids(self.block_size).await?;
            *self.block.lock().expect("nothing panics under it") = block;
        }
    }

    fn take(&self) -> Option<i64> {
        self.block.lock().expect("nothing panics under it").next()
    }
}
