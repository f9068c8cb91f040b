//! The tables on disk, and the thread that brings them up to date.

use std::{
    collections::VecDeque,
    io, mem,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
};

use redb::{Database, ReadableTable, WriteTransaction};

use crate::journal::{
    batch::{Batch, Change},
    rows::{self, BRANCHES, ENDED, GENERATION, META, NEXT_ID, SEQUENCE, TRANSACTIONS},
};

/// What the tables do not have yet, and where the log goes on that is written from then on.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) changes: Batch,
    pub(super) generation: u64,
    pub(super) sequence: u64,
}

/// The tables on disk.
#[derive(Debug)]
pub(super) struct TablesOnDisk {
    database: Database,
    /// Of how many outcomes are kept.
    history: usize,
    /// The rows of [`ENDED`] and how many outcomes each has.
    ended: VecDeque<(u64, u32)>,
    buffer: Vec<u8>,
}

impl TablesOnDisk {
    /// Those in `database`, which keep at least the last `history` outcomes.
    pub(super) fn new(database: Database, history: usize) -> Self {
        Self { database, history, ended: VecDeque::new(), buffer: Vec::new() }
    }

    /// One redb transaction, durable when this returns. `more` is written in it too.
    pub(super) fn write(
        &mut self,
        mut checkpoint: Checkpoint,
        more: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        more(&transaction)?;
        self.write_transactions(&transaction, &mut checkpoint.changes)?;
        self.write_branches(&transaction, &mut checkpoint.changes)?;
        self.write_ended(&transaction, &checkpoint.changes)?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(GENERATION, checkpoint.generation.to_string().as_str())?;
            meta.insert(SEQUENCE, checkpoint.sequence.to_string().as_str())?;
            if let Some(next_id) = checkpoint.changes.next_id {
                meta.insert(NEXT_ID, next_id.to_string().as_str())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn write_transactions(&mut self, to: &WriteTransaction, batch: &mut Batch) -> Result<(), redb::Error> {
        let mut changes: Vec<_> = mem::take(&mut batch.transactions).into_iter().collect();
        changes.sort_unstable_by_key(|(id, _)| *id);
        let mut table = to.open_table(TRANSACTIONS)?;
        for (id, change) in changes {
            match change {
                Change::Add(record) | Change::Put(record) => {
                    self.buffer.clear();
                    rows::put_transaction(&mut self.buffer, &record);
                    table.insert(id.0, self.buffer.as_slice())?;
                }
                Change::Remove => drop(table.remove(id.0)?),
            }
        }
        Ok(())
    }

    fn write_branches(&mut self, to: &WriteTransaction, batch: &mut Batch) -> Result<(), redb::Error> {
        let mut changes: Vec<_> = mem::take(&mut batch.branches).into_iter().collect();
        changes.sort_unstable_by_key(|(id, _)| *id);
        let mut table = to.open_table(BRANCHES)?;
        for (id, change) in changes {
            match change {
                Change::Add(branch) | Change::Put(branch) => {
                    self.buffer.clear();
                    rows::put_branch(&mut self.buffer, &branch);
                    table.insert(id.0, self.buffer.as_slice())?;
                }
                Change::Remove => drop(table.remove(id.0)?),
            }
        }
        Ok(())
    }

    /// One row for all outcomes, and away with the rows that are not needed any more.
    fn write_ended(&mut self, to: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
        let mut table = to.open_table(ENDED)?;
        let needed = &batch.ended[batch.ended.len().saturating_sub(self.history)..];
        if !needed.is_empty() {
            self.buffer.clear();
            needed.iter().for_each(|(_, ended)| rows::put_ended(&mut self.buffer, ended));
            let row = table.last()?.map_or(0, |(row, _)| row.value() + 1);
            let count = u32::try_from(needed.len()).map_err(io::Error::other)?;
            table.insert(row, (count, self.buffer.as_slice()))?;
            self.ended.push_back((row, count));
        }
        let mut kept: usize = self.ended.iter().map(|(_, count)| *count as usize).sum();
        while let Some((row, count)) = self.ended.front().copied()
            && kept - count as usize >= self.history
        {
            table.remove(row)?;
            self.ended.pop_front();
            kept -= count as usize;
        }
        Ok(())
    }

    /// A row of outcomes that was found there.
    pub(super) fn has_ended(&mut self, row: u64, count: u32) {
        self.ended.push_back((row, count));
    }

    pub(super) fn database(&mut self) -> &mut Database {
        &mut self.database
    }
}

/// The thread that writes checkpoints, one at a time. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// `None` only while it is being dropped.
    orders: Option<SyncSender<Checkpoint>>,
    results: Receiver<Result<(), redb::Error>>,
    is_idle: bool,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread.
    pub(super) fn start(mut tables: TablesOnDisk) -> io::Result<Self> {
        let (orders, to_do) = sync_channel::<Checkpoint>(1);
        let (done, results) = sync_channel(1);
        let thread = std::thread::Builder::new().name("seata-checkpoint".into()).spawn(move || {
            for checkpoint in to_do {
                if done.send(tables.write(checkpoint, |_| Ok(()))).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { orders: Some(orders), results, is_idle: true, thread: Some(thread) })
    }

    /// Whether the last one is done.
    ///
    /// # Errors
    /// The one that it ended with.
    pub(super) fn is_idle(&mut self) -> Result<bool, redb::Error> {
        if !self.is_idle {
            match self.results.try_recv() {
                Ok(result) => self.is_idle = result.map(|()| true)?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Err(panicked()),
            }
        }
        Ok(self.is_idle)
    }

    /// Waits for the one that is being written.
    pub(super) fn finish(&mut self) -> Result<(), redb::Error> {
        if !self.is_idle {
            self.results.recv().map_err(|_| panicked())??;
            self.is_idle = true;
        }
        Ok(())
    }

    /// Has it written. None may be under way.
    pub(super) fn begin(&mut self, checkpoint: Checkpoint) -> Result<(), redb::Error> {
        let orders = self.orders.as_ref().expect("it is not being dropped");
        orders.send(checkpoint).map_err(|_| panicked())?;
        self.is_idle = false;
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn panicked() -> redb::Error {
    redb::Error::Io(io::Error::other("the thread that writes the tables panicked"))
}
