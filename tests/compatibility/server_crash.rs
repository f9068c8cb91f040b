//! The server is killed between the phases, and comes back.

use seata_tests::{go::Rows, java::Server};

use crate::{
    limited,
    outcome::{Outcome, holds, same},
    place::Place,
    scenarios::{back, rows_become, settled},
};

pub(crate) const NAME: &str = "The server is killed between the phases and comes back";

/// Transactions of one client that the crash meets.
struct Met {
    committed_after: String,
    rolled_back_after: String,
    rows: [Vec<String>; 2],
    money: i64,
}

/// With all clients of a server at once.
pub(crate) async fn run(
    places: &[Place],
    server: &mut Server,
) -> Vec<((&'static str, &'static str), Outcome)> {
    let mut met = Vec::new();
    for place in places {
        met.push(limited_before(place).await);
    }
    server.kill();
    for place in places {
        place.line.mend();
    }
    server.restart().await;
    let mut outcomes = Vec::new();
    for (place, met) in places.iter().zip(met) {
        let outcome = match met {
            Ok(met) => limited(after(place, met)).await,
            Err(reason) => Err(reason),
        };
        outcomes.push(((NAME, place.name), outcome));
    }
    outcomes
}

/// Two transactions that nobody has decided, one that is to be committed and one that is to be rolled back while the
/// client is away.
async fn limited_before(place: &Place) -> Outcome<Met> {
    let rows = [place.rows(0).await?, place.rows(1).await?];
    let money = place.money(0, 20).await?;
    let met =
        Met { committed_after: place.begin().await?, rolled_back_after: place.begin().await?, rows, money };
    let (committed, rolled_back) = (place.begin().await?, place.begin().await?);
    place.take(&met.committed_after, Rows::At, 0, 20).await?;
    place.take(&met.rolled_back_after, Rows::At, 1, 21).await?;
    place.take(&committed, Rows::At, 0, 22).await?;
    place.take(&rolled_back, Rows::At, 1, 23).await?;
    place.line.cut();
    let status = place.other.commit(&committed).await.map_err(|error| error.to_string())?;
    same("commit", &status[..], "Committed")?;
    let status = place.other.rollback(&rolled_back).await.map_err(|error| error.to_string())?;
    holds(format!("rollback: {status}"), matches!(&status[..], "Rollbacking" | "RollbackRetrying"))?;
    Ok(met)
}

async fn after(place: &Place, met: Met) -> Outcome {
    back(place).await?;
    same("commit", place.commit(&met.committed_after).await?, "Committed".to_owned())?;
    let status = place.rollback(&met.rolled_back_after).await?;
    same("rollback", &status[..], "Rollbacked")?;
    rows_become(place, 1, 21, &met.rows[1]).await?;
    rows_become(place, 1, 23, &met.rows[1]).await?;
    settled(place).await?;
    same("money", place.money(0, 20).await?, met.money - 7)
}
