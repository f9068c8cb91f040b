//! Who tells that a transaction has ended: the coordinator where it is in this process, else the databases.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    books::Books,
    database::Databases,
    life::{Life, Lives},
    server::ServeError,
};

/// A transaction that nobody ended is rolled back by the server at its time-out, which is 30 s.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// The pause between two looks at the databases.
const LOOK: Duration = Duration::from_millis(50);

/// Who tells that a transaction has ended.
#[derive(Debug)]
pub enum Witness {
    /// A coordinator in this process tells all its life.
    Coordinator(Lives),
    /// A server keeps that to itself. But what has ended leaves no undo log row, in any of these.
    Databases(Databases),
}

/// What a witness saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// What happened to the transaction, step by step.
    Life(Life),
    /// That nothing is left to be undone.
    Settled,
}

/// The databases did not come to rest.
#[derive(Debug, thiserror::Error)]
#[error("{undo_rows} undo log rows were left after {SETTLE_LIMIT:?}")]
pub struct Unsettled {
    undo_rows: i64,
}

impl Witness {
    /// Waits until a transaction has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(&mut self) -> Result<Seen, ServeError> {
        match self {
            Self::Coordinator(lives) => Ok(Seen::Life(lives.ended().await?)),
            Self::Databases(databases) => {
                let deadline = Instant::now() + SETTLE_LIMIT;
                loop {
                    match Books::read(databases).await?.undo_rows {
                        0 => return Ok(Seen::Settled),
                        undo_rows if Instant::now() > deadline => return Err(Unsettled { undo_rows }.into()),
                        _ => sleep(LOOK).await,
                    }
                }
            }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Life(life) => life.fmt(f),
            Self::Settled => writeln!(f, "  end       no undo log row is left"),
        }
    }
}
