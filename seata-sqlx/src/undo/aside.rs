//! Long logs are written and read on threads of their own: compressing megabytes would hold up everybody else whom the
//! runtime's thread serves.

use std::{future, panic};

use tokio::task::spawn_blocking;

use super::{BranchUndoLog, Context, ReadError, TableRecords, UndoRow, WriteError, Writing, read, write};

/// A log of more rows than this is long: it takes milliseconds.
const LONG_IN_ROWS: usize = 500;
/// The content of a long log has more bytes than this.
const LONG_IN_BYTES: usize = 256 << 10;

/// As [`write`].
pub(crate) async fn write_aside(log: BranchUndoLog, writing: Writing) -> Result<Vec<UndoRow>, WriteError> {
    let images = log.sql_undo_logs.iter().flat_map(|log| [&log.before_image, &log.after_image]);
    let rows: usize = images.flatten().map(|image: &TableRecords| image.rows.len()).sum();
    if rows <= LONG_IN_ROWS {
        return write(&log, &writing);
    }
    aside(move || write(&log, &writing)).await
}

/// As [`read`].
pub(crate) async fn read_aside(
    context: Context,
    content: Vec<u8>,
    continuations: Vec<(i64, Vec<u8>)>,
    limit: usize,
) -> Result<BranchUndoLog, ReadError> {
    if content.len() <= LONG_IN_BYTES && continuations.is_empty() {
        return read(&context, content, continuations, limit);
    }
    aside(move || read(&context, content, continuations, limit)).await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => panic::resume_unwind(panic),
            // The runtime is shut down, and whoever waits here goes with it.
            Err(_) => future::pending().await,
        },
    }
}
