//! The thread that makes batches durable.

use std::{fs::File, sync::Arc, time::Duration};

use crate::{
    journal::{
        batch::Batch,
        checkpoint::{Checkpoint, Checkpoints},
        log::Log,
        rows,
        shared::{EndGuard, Shared},
    },
    store::StoreError,
};

/// So many times the usual length, and the log waits for the tables.
const LONGEST: u64 = 4;

/// Adds batch after batch to the log, and has the tables follow.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) checkpoints: Checkpoints,
    pub(super) checkpoint_after: u64,
    pub(super) on_flush: Option<Arc<dyn Fn(Duration, usize) + Send + Sync>>,
    /// What is in the log's current file and not on its way to the tables.
    pub(super) pending: Batch,
    /// Keeps the data directory from being opened twice; it is let go last.
    pub(super) lock: Option<File>,
}

impl Writer {
    /// Writes until the store is closed or a write fails.
    pub(super) fn run(mut self) {
        let mut guard = EndGuard(Arc::clone(&self.shared), None);
        let written = self.write_all().and_then(|()| {
            self.checkpoint_if(!self.pending.is_empty() || !self.pending.ended.is_empty())?;
            self.checkpoints.finish()
        });
        let Self { checkpoints, lock, .. } = self;
        match written {
            Ok(()) => {
                // Whoever waits for the end finds the directory free.
                drop((checkpoints, lock));
                guard.1 = Some(StoreError::Closed);
                drop(guard);
            }
            Err(error) => {
                tracing::error!(%error, "the journal cannot be written; the coordinator stops taking work");
                let reason = format!("its journal cannot be written: {error}").into();
                guard.1 = Some(StoreError::Failed { reason });
                // Nobody waits for a thread that waits for a disk.
                drop(guard);
                drop((checkpoints, lock));
            }
        }
    }

    fn write_all(&mut self) -> Result<(), redb::Error> {
        let mut batch = Batch::default();
        while self.shared.next_batch(&mut batch) {
            let mut took = Duration::ZERO;
            // What came and went needs no flush.
            if !batch.is_empty() {
                took = self.log.append(|out| rows::put_batch(out, &batch)).map_err(redb::Error::Io)?;
                if let Some(on_flush) = &self.on_flush {
                    on_flush(took, batch.len());
                }
            }
            self.shared.flushed(took);
            self.pending.merge(&mut batch);
            let used = self.log.used();
            let is_due = used >= self.checkpoint_after && self.checkpoints.is_idle()?;
            self.checkpoint_if(is_due || used >= self.checkpoint_after.saturating_mul(LONGEST))?;
        }
        Ok(())
    }

    /// Hands over what is pending and goes on in the log's other file.
    fn checkpoint_if(&mut self, is_due: bool) -> Result<(), redb::Error> {
        if !is_due {
            return Ok(());
        }
        // The other file may not be overwritten before the tables have what it holds.
        self.checkpoints.finish()?;
        self.log.turn();
        self.checkpoints.begin(Checkpoint {
            changes: std::mem::take(&mut self.pending),
            generation: self.log.generation(),
            sequence: self.log.sequence(),
        })
    }
}
