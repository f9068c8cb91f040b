//! Our server is killed under load, and comes back. What it acknowledged stands in the books of those who asked.
//! Not part of the test with Java's: when it was tried, a row stayed locked.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use seata_tests::{go::Rows, java::Server};

use crate::{
    limited,
    outcome::{Outcome, eventually, holds, same},
    place::Place,
    scenarios::{TAKEN, back, free, settled},
};

pub(crate) const NAME: &str =
    "The server is killed under load and comes back: what it acknowledged stands, no row stays locked";

/// Each application makes transfers in so many tasks, each on a row of its own in both databases.
const FIRST_ROW: usize = 30;
const TASKS: usize = 8;
/// So many transfers of each application are committed before the kill.
const ENOUGH: usize = 24;
/// The server rolls back what nobody has decided: short, because it is waited for.
const TIMEOUT: Duration = Duration::from_secs(8);
/// One transfer in so many is given up.
const GIVEN_UP: usize = 4;

/// The books of one task.
#[derive(Clone, Copy, Default)]
struct Told {
    /// Transfers whose commit was acknowledged.
    committed: i64,
    /// Transfers, one at most, whose commit was asked for and not answered.
    unanswered: i64,
}

/// What the tasks of one application share.
#[derive(Default)]
struct Office {
    committed: AtomicUsize,
    is_closed: AtomicBool,
}

/// With all clients of a server at once.
pub(crate) async fn run(
    places: &[Place],
    server: &mut Server,
) -> Vec<((&'static str, &'static str), Outcome)> {
    let offices: Vec<Office> = places.iter().map(|_| Office::default()).collect();
    let before = join_all(places.iter().map(money)).await;
    let crash = async {
        let busy = eventually(async || {
            let committed = offices.iter().map(|office| office.committed.load(Ordering::Relaxed)).min();
            holds(format!("{committed:?} transfers before the kill"), committed >= Some(ENOUGH))
        });
        let busy = busy.await;
        server.kill();
        for office in &offices {
            office.is_closed.store(true, Ordering::Relaxed);
        }
        server.restart().await;
        busy
    };
    let transfers = join_all(places.iter().zip(&offices).map(|(place, office)| all_transfers(place, office)));
    let (busy, told) = tokio::join!(crash, transfers);
    let checks = places.iter().zip(before).zip(told).map(async |((place, before), told)| {
        let outcome = limited(async {
            busy.clone()?;
            after(place, before?, &told).await
        });
        ((NAME, place.name), outcome.await)
    });
    join_all(checks).await
}

async fn all_transfers(place: &Place, office: &Office) -> Vec<Told> {
    join_all((FIRST_ROW..FIRST_ROW + TASKS).map(|row| transfers(place, office, row))).await
}

/// One after the other, until the server is gone.
async fn transfers(place: &Place, office: &Office, row: usize) -> Told {
    let mut told = Told::default();
    for time in 1.. {
        if office.is_closed.load(Ordering::Relaxed) {
            break;
        }
        let Ok(xid) = place.begin_for(TIMEOUT).await else { break };
        let taken = async {
            place.take(&xid, Rows::At, 0, row).await?;
            place.take(&xid, Rows::At, 1, row).await
        };
        if taken.await.is_err() {
            break;
        }
        if time % GIVEN_UP == 0 {
            if place.rollback(&xid).await.is_err() {
                break;
            }
        } else if place.commit(&xid).await.is_ok() {
            told.committed += 1;
            office.committed.fetch_add(1, Ordering::Relaxed);
        } else {
            told.unanswered = 1;
            break;
        }
    }
    told
}

/// Each commit that was acknowledged is done and each other transfer is not, in both databases alike.
async fn after(place: &Place, before: [Vec<i64>; 2], told: &[Told]) -> Outcome {
    back(place).await?;
    settled(place).await?;
    let now = money(place).await?;
    for (task, told) in told.iter().enumerate() {
        let [left, right] = [0, 1].map(|database| before[database][task] - now[database][task]);
        same("what was taken on the left and on the right", left, right)?;
        let possible = [told.committed, told.committed + told.unanswered].map(|transfers| transfers * TAKEN);
        let what = format!("{left} was taken instead of {possible:?}, by {} commits", told.committed);
        holds(what, possible.contains(&left))?;
    }
    for row in FIRST_ROW..FIRST_ROW + TASKS {
        eventually(|| free(place, row)).await?;
    }
    Ok(())
}

/// What the rows of the tasks hold, in both databases.
async fn money(place: &Place) -> Outcome<[Vec<i64>; 2]> {
    let mut money = [Vec::new(), Vec::new()];
    for (database, money) in money.iter_mut().enumerate() {
        for row in FIRST_ROW..FIRST_ROW + TASKS {
            money.push(place.money(database, row).await?);
        }
    }
    Ok(money)
}
