//! The example shop: one transaction over HTTP and gRPC, four services and their databases.

use std::{collections::BTreeSet, path::Path};

use seata::{
    Coordinator, Xid,
    coordinator::{Decision, Event, EventKind},
};
use seata_examples::{Databases, Place, Shop, ShopError, business::Purchase, database};
use seata_tests::{
    amount,
    polls::{Drop, poll_at_most},
    rest, wait,
};
use sqlx::{Row, SqlitePool, sqlite::SqliteConnectOptions};
use tokio::sync::broadcast;

const LAMPS: Purchase = Purchase { buyer: "alice", product: "lamp", pieces: 2, price: 15 };
/// More than anybody has: the last service refuses.
const DEAR: Purchase = Purchase { price: 1_000_000, ..LAMPS };

/// A running shop, and its databases seen past AT mode.
struct World {
    shop: Shop,
    events: broadcast::Receiver<Event>,
    databases: [SqlitePool; 4],
    _directory: tempfile::TempDir,
}

/// What the databases say.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    lamps: i64,
    money: i64,
    /// Lamps ordered, and their price.
    ordered: (i64, i64),
    audits: i64,
}

const AT_FIRST: Rows = Rows { lamps: 100, money: 1000, ordered: (0, 0), audits: 0 };
const AFTER_ONE: Rows = Rows { lamps: 98, money: 970, ordered: (2, 30), audits: 0 };

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let coordinator = Coordinator::open(directory.path().join("seata-data")).await.unwrap();
        let shop = Shop::start(Place::Embedded(coordinator), &Databases::in_directory(directory.path()))
            .await
            .unwrap();
        let events = shop.coordinator().unwrap().events();
        let open = async |service| open_raw(directory.path(), service).await;
        let databases =
            [open("storage").await, open("order").await, open("account").await, open("business").await];
        Self { shop, events, databases, _directory: directory }
    }

    async fn rows(&self) -> Rows {
        let [storage, order, account, business] = &self.databases;
        let orders = sqlx::query("SELECT coalesce(sum(pieces), 0), coalesce(sum(amount), 0) FROM orders");
        let orders = orders.fetch_one(order).await.unwrap();
        Rows {
            lamps: number(storage, "SELECT pieces FROM stock WHERE product = 'lamp'").await,
            money: number(account, "SELECT money FROM account WHERE owner = 'alice'").await,
            ordered: (orders.get(0), orders.get(1)),
            audits: number(business, "SELECT count(*) FROM audit").await,
        }
    }

    /// Waits until nothing is open, and gives what is then written.
    async fn settle(&self) -> Rows {
        wait::until("the end of all transactions", || async {
            rest::open(self.shop.business.seata()).await.map_or(Ok(()), Err)
        })
        .await;
        for database in &self.databases {
            assert_eq!(number(database, "SELECT count(*) FROM undo_log WHERE log_status = 0").await, 0);
        }
        self.rows().await
    }

    /// How the only transaction since the last call was decided, and the services that had a branch in it.
    fn life(&mut self) -> (Vec<Decision>, BTreeSet<String>) {
        let (mut xids, mut decisions, mut services) = (BTreeSet::<Xid>::new(), Vec::new(), BTreeSet::new());
        while let Ok(event) = self.events.try_recv() {
            xids.insert(event.xid);
            match event.kind {
                EventKind::BranchRegistered { resource, .. } => {
                    let file = Path::new(resource.as_str()).file_stem().unwrap();
                    services.insert(file.to_str().unwrap().to_owned());
                }
                EventKind::Decided { decision, .. } => decisions.push(decision),
                _ => {}
            }
        }
        assert_eq!(xids.len(), 1, "all services were in one transaction");
        (decisions, services)
    }
}

async fn open_raw(directory: &Path, service: &str) -> SqlitePool {
    SqlitePool::connect_with(SqliteConnectOptions::new().filename(database::file(directory, service)))
        .await
        .unwrap()
}

async fn number(database: &SqlitePool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database).await.unwrap()
}

fn services<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test]
async fn a_purchase_commits_in_three_databases() {
    let mut world = World::new().await;
    let order = world.shop.business.purchase(&LAMPS).await.unwrap();
    assert_eq!(order, 1);
    assert_eq!(world.settle().await, AFTER_ONE);
    assert_eq!(world.life(), (vec![Decision::Commit], services(["account", "order", "storage"])));
    world.shop.close().await.unwrap();
}

#[tokio::test]
async fn a_purchase_that_fails_in_the_last_service_leaves_nothing() {
    let mut world = World::new().await;
    let refused = world.shop.business.purchase(&DEAR).await;
    assert!(matches!(&refused, Err(ShopError::Refused(why)) if why.contains("alice")), "{refused:?}");
    assert_eq!(world.settle().await, AT_FIRST);
    assert_eq!(world.life(), (vec![Decision::Rollback], services(["order", "storage"])));
    world.shop.close().await.unwrap();
}

#[tokio::test]
async fn a_purchase_whose_caller_goes_away_leaves_nothing() {
    let mut world = World::new().await;
    let business = world.shop.business.clone();
    let never = std::future::pending();
    let caller = tokio::spawn(async move { business.purchase_once(&LAMPS, never).await });
    wait::until("the pieces are set aside", || async {
        let rows = world.rows().await;
        if rows.lamps == AFTER_ONE.lamps { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(world.settle().await, AT_FIRST);
    assert_eq!(world.life(), (vec![Decision::Rollback], services(["storage"])));
    world.shop.close().await.unwrap();
}

#[tokio::test]
async fn what_is_written_while_suspended_stays() {
    let mut world = World::new().await;
    world.shop.business.audited_purchase(&DEAR).await.unwrap_err();
    assert_eq!(world.settle().await, Rows { audits: 1, ..AT_FIRST });
    assert_eq!(
        world.life(),
        (vec![Decision::Rollback], services(["order", "storage"])),
        "the audit is no branch"
    );

    world.shop.business.audited_purchase(&LAMPS).await.unwrap();
    assert_eq!(world.settle().await, Rows { audits: 2, ..AFTER_ONE });
    world.shop.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_dropped_at_any_await_is_made_wholly_or_not_at_all() {
    const CHEAP: Purchase = Purchase { pieces: 1, price: 1, ..LAMPS };
    let world = World::new().await;
    for _ in 0..amount(1, 10) {
        for drop in [Drop::AtOnce, Drop::OnceWoken] {
            for polls in 0.. {
                let done = poll_at_most(polls, drop, world.shop.business.purchase(&CHEAP)).await;
                let rows = world.settle().await;
                let (pieces, amount) = rows.ordered;
                let expected = Rows {
                    lamps: AT_FIRST.lamps - pieces,
                    money: AT_FIRST.money - amount,
                    ordered: (pieces, pieces * CHEAP.price),
                    audits: 0,
                };
                assert_eq!(rows, expected, "dropped {drop:?} after {polls} polls");
                if let Some(result) = done {
                    result.unwrap();
                    assert!(polls > 2, "three services are waited for");
                    break;
                }
            }
        }
    }
    world.shop.close().await.unwrap();
}
