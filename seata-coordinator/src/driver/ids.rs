//! Numbers that were never given before.

use std::{ops::Range, sync::Mutex};

use crate::store::{Store, StoreError};

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
