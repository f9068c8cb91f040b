//! Unchanged Java clients, and a peer that speaks as seata-go does, on our server and on Java's: the same scenarios,
//! whose outcome `docs/compatibility.md` tells.
//!
//! Needs a JDK (17 or later), Maven and MariaDB's server.

mod load_crash;
mod outcome;
mod place;
mod scenarios;
mod server_crash;
mod table;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use seata_tests::{
    java::{Make, PeerProcess, Release, Server},
    mariadb::MariaDb,
};
use tokio::sync::Mutex;

use self::{
    outcome::Outcome,
    place::{GO, JAVA_2_0_0, JAVA_2_6_0, Place},
    scenarios::{LAST, LOADS, SCENARIOS, Scenario},
    table::Results,
};

/// How long one scenario may take.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_all_kinds_on_both_servers() {
    let database = MariaDb::start().await;
    let (ours, java) = tokio::join!(column(Make::Ours, &database), column(Make::Java, &database));
    let results = Results { ours, java };
    println!("{results}");
    results.assert_as_known();
}

/// Loads run one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// All scenarios with one server: outcomes by scenario and client.
async fn column(make: Make, database: &MariaDb) -> BTreeMap<(&'static str, &'static str), Outcome> {
    let mut server = Server::make(make).await;
    let lines = Place::lines(&server).await;
    let prefix = if make == Make::Ours { "ours" } else { "java" };
    let addresses = [lines[0].address(), lines[1].address()];
    let (new, old) = tokio::join!(
        PeerProcess::start_on(Release::V2_6_0, "java-2.6.0", &addresses[0]),
        PeerProcess::start_on(Release::V2_0_0, "java-2.0.0", &addresses[1]),
    );
    let [first, second, third] = lines;
    let places = [
        Place::java(JAVA_2_6_0, &new, first, database, &format!("{prefix}_new"), &server).await,
        Place::java(JAVA_2_0_0, &old, second, database, &format!("{prefix}_old"), &server).await,
        Place::go(GO, third, &server).await,
    ];
    let mut outcomes = BTreeMap::new();
    let [a, b, c] = &places;
    let (a, b, c) = tokio::join!(run_all(a), run_all(b), run_all(c));
    outcomes.extend(a.into_iter().chain(b).chain(c));
    outcomes.extend(server_crash::run(&places, &mut server).await);
    if make == Make::Ours {
        outcomes.extend(load_crash::run(&places, &mut server).await);
    }
    for place in &places {
        outcomes.extend(run(LAST, place).await);
    }
    outcomes
}

async fn run_all(place: &Place) -> Vec<((&'static str, &'static str), Outcome)> {
    let mut outcomes = run(SCENARIOS, place).await;
    let _alone = ALONE.lock().await;
    outcomes.extend(run(LOADS, place).await);
    outcomes
}

async fn run(scenarios: &[Scenario], place: &Place) -> Vec<((&'static str, &'static str), Outcome)> {
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let began = Instant::now();
        let outcome = limited((scenario.run)(place)).await;
        println!("{:?} {:?}, {}: {}: {outcome:?}", began.elapsed(), place.server, place.name, scenario.name);
        outcomes.push(((scenario.name, place.name), outcome));
    }
    outcomes
}

async fn limited(run: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(LIMIT, run).await.unwrap_or_else(|_| Err(format!("not done after {LIMIT:?}")))
}
