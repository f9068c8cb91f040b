//! What is tried with each client at each server. Rows 1 to 99 are of scenarios, each has its own.

use std::{future::Future, pin::Pin, time::Duration};

use seata_tests::{go::Rows, java::Holdings};

use crate::{
    outcome::{Outcome, eventually, holds, same, within},
    place::{Place, ROWS},
};

type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// One line of the table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Place) -> Running<'_>,
}

macro_rules! scenario {
    ($name:literal, $run:expr) => {
        Scenario { name: $name, run: |place| Box::pin($run(place)) }
    };
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!("A transaction without branches: commit, rollback", empty),
    scenario!("A transaction that nobody ends is rolled back after its time-out", time_out),
    scenario!("AT in two databases: commit", at_commit),
    scenario!("AT in two databases: rollback, the rows are what they were", at_rollback),
    scenario!("AT: a locked row is refused, and free after the commit", lock_conflict),
    scenario!("AT: lock query, SELECT FOR UPDATE", lock_query),
    scenario!("TCC: commit, rollback", tcc),
    scenario!("TCC: a commit that fails three times", tcc_commit_fails),
    scenario!("XA in two databases: commit, rollback", xa),
    scenario!("Saga: branches, their reports, the global report", saga),
    scenario!("The client is cut off before phase two and comes back", cut_off),
];

pub(crate) const LOADS: &[Scenario] = &[
    scenario!("64 threads, 50 transactions each, branch requests merged", |place| load(place, true)),
    scenario!("64 threads, 50 transactions each, nothing merged", |place| load(place, false)),
];

/// At the end, because what fails here leaves a locked row.
pub(crate) const LAST: &[Scenario] =
    &[scenario!("AT: one row changed by two branches of a transaction, rolled back", same_row_twice)];

/// What each row holds at first.
const MONEY: i64 = 1000;
/// What a branch takes.
pub(crate) const TAKEN: i64 = 7;

async fn empty(place: &Place) -> Outcome {
    let xid = place.begin().await?;
    same("status", place.status(&xid).await?, "Begin".to_owned())?;
    same("commit", place.commit(&xid).await?, "Committed".to_owned())?;
    let xid = place.begin().await?;
    same("rollback", place.rollback(&xid).await?, "Rollbacked".to_owned())
}

async fn time_out(place: &Place) -> Outcome {
    let before = place.rows(0).await?;
    let xid = place.begin_for(Duration::from_secs(4)).await?;
    place.take(&xid, Rows::At, 0, 1).await?;
    rows_become(place, 0, 1, &before).await?;
    let ended = async || {
        let status = place.status(&xid).await?;
        holds(&status, matches!(&status[..], "Finished" | "TimeoutRollbacked"))
    };
    eventually(ended).await?;
    free(place, 1).await
}

async fn at_commit(place: &Place) -> Outcome {
    let xid = place.begin().await?;
    place.take(&xid, Rows::At, 0, 2).await?;
    place.take(&xid, Rows::At, 1, 2).await?;
    let status = place.commit(&xid).await?;
    same("commit", &status[..], "Committed")?;
    settled(place).await?;
    same("left", place.money(0, 2).await?, MONEY - TAKEN)?;
    same("right", place.money(1, 2).await?, MONEY - TAKEN)
}

async fn at_rollback(place: &Place) -> Outcome {
    let before = [place.rows(0).await?, place.rows(1).await?];
    let xid = place.begin().await?;
    place.take(&xid, Rows::At, 0, 3).await?;
    place.take(&xid, Rows::At, 1, 3).await?;
    same("in phase one", place.money(1, 3).await?, MONEY - TAKEN)?;
    same("rollback", place.rollback(&xid).await?, "Rollbacked".to_owned())?;
    rows_become(place, 0, 3, &before[0]).await?;
    rows_become(place, 1, 3, &before[1]).await?;
    settled(place).await
}

async fn lock_conflict(place: &Place) -> Outcome {
    let (first, second) = (place.begin().await?, place.begin().await?);
    place.take(&first, Rows::At, 0, 4).await?;
    let refused = place.take(&second, Rows::At, 0, 4).await;
    holds("the second got the row of the first", refused.is_err())?;
    same("commit", place.commit(&first).await?, "Committed".to_owned())?;
    place.take(&second, Rows::At, 0, 4).await?;
    same("commit", place.commit(&second).await?, "Committed".to_owned())?;
    settled(place).await?;
    same("left", place.money(0, 4).await?, MONEY - 2 * TAKEN)
}

async fn lock_query(place: &Place) -> Outcome {
    let (holder, asker) = (place.begin().await?, place.begin().await?);
    place.take(&holder, Rows::At, 1, 5).await?;
    holds("the holder is refused its own row", place.lock(&holder, 1, 5).await?)?;
    holds("a locked row is free", !place.lock(&asker, 1, 5).await?)?;
    place.rollback(&holder).await?;
    settled(place).await?;
    holds("a row is still locked", place.lock(&asker, 1, 5).await?)?;
    same("rollback", place.rollback(&asker).await?, "Rollbacked".to_owned())
}

async fn same_row_twice(place: &Place) -> Outcome {
    let (before, money) = (place.rows(0).await?, place.money(0, 6).await?);
    let xid = place.begin().await?;
    place.take(&xid, Rows::At, 0, 6).await?;
    place.take(&xid, Rows::At, 0, 6).await?;
    same("in phase one", place.money(0, 6).await?, money - 2 * TAKEN)?;
    same("rollback", place.rollback(&xid).await?, "Rollbacked".to_owned())?;
    rows_become(place, 0, 6, &before).await
}

async fn tcc(place: &Place) -> Outcome {
    place.open_account("simple").await?;
    let xid = place.begin().await?;
    place.reserve(&xid, "simple").await?;
    same("commit", place.commit(&xid).await?, "Committed".to_owned())?;
    let xid = place.begin().await?;
    place.reserve(&xid, "simple").await?;
    same("rollback", place.rollback(&xid).await?, "Rollbacked".to_owned())?;
    let expected = Holdings { balance: 70, reserved: 0, commits: 1, rollbacks: 1 };
    same("account", place.holdings("simple").await?, expected)
}

async fn tcc_commit_fails(place: &Place) -> Outcome {
    place.open_account("stubborn").await?;
    place.fail_commits("stubborn", 3).await?;
    let xid = place.begin().await?;
    place.reserve(&xid, "stubborn").await?;
    same("commit", place.commit(&xid).await?, "CommitRetrying".to_owned())?;
    eventually(async || {
        let expected = Holdings { balance: 70, reserved: 0, commits: 1, rollbacks: 0 };
        same("account", place.holdings("stubborn").await?, expected)
    })
    .await
}

async fn xa(place: &Place) -> Outcome {
    let xid = place.begin().await?;
    place.take(&xid, Rows::Xa, 0, 7).await?;
    place.take(&xid, Rows::Xa, 1, 7).await?;
    same("prepared", place.money(0, 7).await?, MONEY)?;
    same("commit", place.commit(&xid).await?, "Committed".to_owned())?;
    let xid = place.begin().await?;
    place.take(&xid, Rows::Xa, 0, 7).await?;
    place.take(&xid, Rows::Xa, 1, 7).await?;
    same("rollback", place.rollback(&xid).await?, "Rollbacked".to_owned())?;
    same("left", place.money(0, 7).await?, MONEY - TAKEN)?;
    same("right", place.money(1, 7).await?, MONEY - TAKEN)
}

async fn saga(place: &Place) -> Outcome {
    for end in ["Committed", "Rollbacked"] {
        let xid = place.begin().await?;
        for _ in 0..2 {
            let branch = place.saga_branch(&xid).await?;
            place.report_branch(&xid, &branch).await?;
        }
        same("global report", &place.report(&xid, end).await?[..], end)?;
        let status = place.status(&xid).await?;
        holds(format!("after the report: {status}"), status == end || status == "Finished")?;
    }
    Ok(())
}

async fn cut_off(place: &Place) -> Outcome {
    let before = place.rows(1).await?;
    let (kept, undone) = (place.begin().await?, place.begin().await?);
    place.take(&kept, Rows::At, 0, 8).await?;
    place.take(&undone, Rows::At, 1, 9).await?;
    place.line.cut();
    let decided = async {
        let (kept, undone) = tokio::join!(place.other.commit(&kept), place.other.rollback(&undone));
        same("commit", kept.map_err(|error| error.to_string())?, "Committed".to_owned())?;
        let undone = undone.map_err(|error| error.to_string())?;
        holds(format!("rollback: {undone}"), matches!(&undone[..], "Rollbacking" | "RollbackRetrying"))
    };
    let decided = decided.await;
    place.line.mend();
    back(place).await?;
    decided?;
    rows_become(place, 1, 9, &before).await?;
    settled(place).await?;
    same("left", place.money(0, 8).await?, MONEY - TAKEN)
}

async fn load(place: &Place, merging: bool) -> Outcome {
    let before = sums(place).await?;
    let loaded = place.load(64, 50, merging).await?;
    holds(format!("{loaded:?}"), loaded.committed > 2000)?;
    same("transactions", loaded.committed + loaded.rolled_back + loaded.refused, 64 * 50)?;
    settled(place).await?;
    let after = sums(place).await?;
    same("money that left", before[0] - after[0], i64::try_from(loaded.committed).expect("few"))?;
    same("all money", after[0] + after[1], before[0] + before[1])?;
    for row in (100..=ROWS).step_by(13) {
        free(place, row).await?;
    }
    Ok(())
}

async fn sums(place: &Place) -> Outcome<[i64; 2]> {
    let mut sums = [0, 0];
    for (database, sum) in sums.iter_mut().enumerate() {
        for row in place.rows(database).await? {
            let money = row.split('|').nth(1).and_then(|money| money.parse::<i64>().ok());
            *sum += money.ok_or("a row without money")?;
        }
    }
    Ok(sums)
}

/// Waits until a row is, to the byte, what it was.
pub(crate) async fn rows_become(place: &Place, database: usize, row: usize, before: &[String]) -> Outcome {
    eventually(async || same("row", &place.rows(database).await?[row - 1], &before[row - 1])).await
}

/// Waits until each branch is finished.
pub(crate) async fn settled(place: &Place) -> Outcome {
    eventually(async || same("unfinished branches", place.unfinished().await?, 0)).await
}

/// Waits until the client works with its server again. Java's connects when it has something to say, and 2.0.0 may need
/// several of its connection time-outs for it.
pub(crate) async fn back(place: &Place) -> Outcome {
    const RECONNECT_LIMIT: Duration = Duration::from_secs(60);
    within(RECONNECT_LIMIT, async || {
        let xid = place.begin().await?;
        let locked = place.lock(&xid, 0, ROWS).await;
        place.rollback(&xid).await?;
        let _ = place.lock(&xid, 1, ROWS).await;
        locked.map(drop)
    })
    .await
}

/// Whether others can have a row.
pub(crate) async fn free(place: &Place, row: usize) -> Outcome {
    let xid = place.begin().await?;
    let is_free = [place.lock(&xid, 0, row).await?, place.lock(&xid, 1, row).await?];
    place.rollback(&xid).await?;
    same("rows that are free", is_free, [true, true])
}
