//! The life of each global transaction, as the coordinator tells it.

use std::{fmt, sync::Arc, time::Duration};

use seata::{
    BranchId, ResourceId, Xid,
    coordinator::{Decision, Event, EventKind, TransactionView},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::books::SERVICES;

/// How long the end of a transaction is waited for.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Why a life could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum LostSight {
    /// It did not come so far in time.
    #[error("a transaction was not finished after {END_LIMIT:?}")]
    TooLong,
    /// The coordinator told no more, or more than was listened to.
    #[error("the coordinator's events were lost: {0}")]
    Lost(#[from] RecvError),
}

/// Listens to a coordinator.
#[derive(Debug)]
pub struct Lives {
    events: Receiver<Event>,
    lives: Vec<Life>,
}

/// What happened to one transaction.
#[derive(Clone, Debug)]
pub struct Life {
    xid: Xid,
    /// The name of one whose begin was in an earlier run.
    resumed: Option<Arc<str>>,
    commits: bool,
    steps: Vec<EventKind>,
    branches: Vec<(BranchId, &'static str)>,
}

impl Lives {
    /// Follows what these events tell of.
    pub fn new(events: Receiver<Event>) -> Self {
        Self { events, lives: Vec::new() }
    }

    /// Makes transactions known that an earlier run left.
    pub fn with_left(mut self, left: &[TransactionView]) -> Self {
        self.lives.extend(left.iter().map(Life::left));
        self
    }

    /// Waits until a transaction has ended, and takes its life.
    ///
    /// # Errors
    /// [`LostSight`] when it does not end in time.
    pub async fn ended(&mut self) -> Result<Life, LostSight> {
        self.until(|step| matches!(step, EventKind::Finished { .. })).await
    }

    /// Waits until something has happened to a transaction, and takes its life so far.
    ///
    /// # Errors
    /// [`LostSight`] when it does not happen in time.
    pub async fn until(&mut self, is_last: impl Fn(&EventKind) -> bool) -> Result<Life, LostSight> {
        let follow = async {
            loop {
                let Event { xid, kind, .. } = self.events.recv().await?;
                let index = self.lives.iter().position(|life| life.xid == xid).unwrap_or_else(|| {
                    self.lives.push(Life::new(xid));
                    self.lives.len() - 1
                });
                let is_last = is_last(&kind);
                self.lives[index].add(kind);
                if is_last {
                    return Ok(self.lives.remove(index));
                }
            }
        };
        tokio::time::timeout(END_LIMIT, follow).await.unwrap_or(Err(LostSight::TooLong))
    }
}

impl Life {
    fn new(xid: Xid) -> Self {
        Self { xid, resumed: None, commits: false, steps: Vec::new(), branches: Vec::new() }
    }

    fn left(view: &TransactionView) -> Self {
        let snapshot = &view.snapshot;
        Self {
            resumed: Some(snapshot.transaction.name.clone()),
            commits: snapshot.status.is_commit(),
            branches: snapshot
                .branches
                .iter()
                .map(|branch| (branch.id, database(&branch.resource)))
                .collect(),
            ..Self::new(snapshot.transaction.xid.clone())
        }
    }

    fn add(&mut self, step: EventKind) {
        match &step {
            EventKind::BranchRegistered { branch, resource, .. } => {
                self.branches.push((*branch, database(resource)));
            }
            EventKind::Decided { decision, .. } => self.commits = *decision == Decision::Commit,
            _ => {}
        }
        self.steps.push(step);
    }

    fn name(&self, branch: BranchId) -> &'static str {
        self.branches.iter().find(|(id, _)| *id == branch).map_or("?", |(_, name)| *name)
    }

    fn steps(&self) -> Vec<&EventKind> {
        let mut steps: Vec<_> = self.steps.iter().collect();
        if self.commits {
            // Databases commit side by side: in which order they answer says nothing.
            steps.sort_by_key(|step| match step {
                EventKind::BranchFinished { branch, .. } => (1, Some(*branch)),
                EventKind::Finished { .. } => (2, None),
                _ => (0, None),
            });
        }
        steps
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.resumed {
            writeln!(f, "  resumed   {name}")?;
        }
        for step in self.steps() {
            match step {
                EventKind::Begun { name } => writeln!(f, "  begin     {name}")?,
                EventKind::BranchRegistered { branch, locks, .. } => {
                    write!(f, "  branch    {:<9} locks", self.name(*branch))?;
                    for lock in locks {
                        // The service's name says in which schema the table is.
                        let table = lock.table.rsplit_once('.').map_or(&*lock.table, |(_, table)| table);
                        write!(f, " {table}:{}", lock.key)?;
                    }
                    writeln!(f)?;
                }
                // Seen or not, depending on how soon it was listened to after the start.
                EventKind::Decided { .. } if self.resumed.is_some() => {}
                EventKind::Decided { status, .. } => writeln!(f, "  decision  {status}")?,
                EventKind::BranchFinished { branch, status, .. } => {
                    writeln!(f, "  phase two {:<9} {status}", self.name(*branch))?;
                }
                EventKind::Finished { status } => writeln!(f, "  end       {status}")?,
                // Pauses and repetitions differ from run to run.
                EventKind::Waiting { .. } | EventKind::Retrying { .. } => {}
                other => writeln!(f, "  {other}")?,
            }
        }
        Ok(())
    }
}

/// What an earlier run left of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a>(pub &'a TransactionView);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = &self.0.snapshot;
        // An undecided one whose starter died is rolled back, at once: it may be decided by now.
        let outcome = if snapshot.status.is_commit() { "committed" } else { "rolled back" };
        writeln!(f, "  left      {}, to be {outcome}", snapshot.transaction.name)?;
        for branch in &snapshot.branches {
            writeln!(f, "  branch    {:<9} waits for phase two", database(&branch.resource))?;
        }
        Ok(())
    }
}

/// The service whose database this is: the name of its file or schema ends with it.
fn database(resource: &ResourceId) -> &'static str {
    let name = resource.as_str().trim_end_matches(".db");
    SERVICES.into_iter().find(|service| name.ends_with(service)).unwrap_or("?")
}
