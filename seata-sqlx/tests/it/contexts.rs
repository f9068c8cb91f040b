//! Which global transaction a statement belongs to.

use seata_context::{Presence, RootContext, Snapshot};
use seata_protocol::BranchType;
use seata_sqlx::{AtError, Outside};
use sqlx::Executor;

use crate::world::{World, inside, outside};

const SCHEMA: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 0), (2, 0)";
const UPDATE: &str = "UPDATE t SET n = n + 1 WHERE id = 1";

fn at_error(error: sqlx::Error) -> AtError {
    let sqlx::Error::Database(error) = error else { panic!("{error}") };
    *error.downcast::<AtError>()
}

#[tokio::test]
async fn a_local_transaction_belongs_to_where_it_began() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let (one, two) = (world.coordinator.begin(), world.coordinator.begin());

    let mut tx = outside(world.pool.begin()).await.unwrap();
    outside(sqlx::query(UPDATE).execute(&mut tx)).await.unwrap();
    let error = inside(&one, sqlx::query(UPDATE).execute(&mut tx)).await.unwrap_err();
    assert!(matches!(at_error(error), AtError::BegunOutside { now } if now == one));
    let error = outside(tx.commit()).await.unwrap_err();
    assert!(matches!(at_error(error), AtError::AlreadyRolledBack { .. }));

    let mut tx = inside(&one, async { world.pool.begin().await }).await.unwrap();
    inside(&one, sqlx::query(UPDATE).execute(&mut tx)).await.unwrap();
    let error = inside(&two, sqlx::query("SELECT 1").execute(&mut tx)).await.unwrap_err();
    assert!(
        matches!(at_error(error), AtError::OtherTransaction { began, now } if began == one && now == two)
    );
    world.assert_clean("the file is free at once").await;
    drop(tx);

    let mut tx = inside(&one, async { world.pool.begin().await }).await.unwrap();
    inside(&one, sqlx::query(UPDATE).execute(&mut tx)).await.unwrap();
    let error = outside(tx.commit()).await.unwrap_err();
    assert!(matches!(at_error(error), AtError::LeftTransaction { began, .. } if began == one));

    let mut tx = inside(&one, async { world.pool.begin().await }).await.unwrap();
    inside(&one, sqlx::query(UPDATE).execute(&mut tx)).await.unwrap();
    let moved = tokio::spawn(async move { tx.commit().await.unwrap_err() }).await.unwrap();
    assert!(moved.to_string().contains("this task has no transaction scope"), "{moved}");

    let suspended = inside(&one, async {
        let mut tx = world.pool.begin().await.unwrap();
        RootContext::suspended(sqlx::query(UPDATE).execute(&mut tx)).await.unwrap_err()
    });
    let error = suspended.await;
    assert!(error.to_string().contains("suspended here"), "{error}");

    assert_eq!(world.dump().await, before);
    assert_eq!(world.coordinator.registrations(), 0);
    world.assert_clean("after all").await;
}

#[tokio::test]
async fn a_suspended_statement_stays_when_the_transaction_is_rolled_back() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    inside(&xid, async {
        sqlx::query(UPDATE).execute(&world.pool).await.unwrap();
        let audit = sqlx::query("UPDATE t SET n = 5 WHERE id = 2");
        RootContext::suspended(audit.execute(&world.pool)).await.unwrap();
    })
    .await;
    world.coordinator.rollback(&xid).await;
    let n: Vec<i64> = sqlx::query_scalar("SELECT n FROM t ORDER BY id").fetch_all(&world.raw).await.unwrap();
    assert_eq!(n, [0, 5]);
}

/// The call on the executor decides, not the first poll. (`Query::execute` of sqlx is an async function
/// itself, and makes that call when it is polled first.)
#[tokio::test]
async fn the_context_is_read_when_the_call_is_made() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    let scope = Snapshot::empty().with_xid(xid.clone()).into_scope();
    let execute = scope.enter(|| (&world.pool).execute(UPDATE));
    outside(execute).await.unwrap();
    assert_eq!(world.coordinator.branches(&xid).len(), 1);
    let execute = Snapshot::empty().into_scope().enter(|| (&world.pool).execute(UPDATE));
    inside(&xid, execute).await.unwrap();
    assert_eq!(world.coordinator.branches(&xid).len(), 1);
    let begin = scope.enter(|| world.pool.begin());
    let mut tx = outside(begin).await.unwrap();
    inside(&xid, async {
        sqlx::query("UPDATE t SET n = 9 WHERE id = 2").execute(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(world.coordinator.branches(&xid).len(), 2);
}

#[tokio::test]
async fn a_write_without_any_scope_is_told_apart() {
    assert_eq!(RootContext::presence(), Presence::NoScope, "tests run outside any scope");
    for policy in [Outside::Pass, Outside::Warn, Outside::Refuse] {
        let world = World::with(SCHEMA, 2, |builder| builder.outside(policy)).await;
        let written = sqlx::query(UPDATE).execute(&world.pool).await;
        match policy {
            Outside::Refuse => {
                let error = at_error(written.unwrap_err());
                assert!(matches!(error, AtError::OutsideAnyScope { statement } if statement == UPDATE));
            }
            _ => assert_eq!(written.unwrap().rows_affected(), 1),
        }
        let mut tx = world.pool.begin().await.unwrap();
        assert_eq!(sqlx::query(UPDATE).execute(&mut tx).await.is_err(), policy == Outside::Refuse);
        tx.rollback().await.unwrap();
        // Reading, defining, and writing outside on purpose are always right.
        sqlx::query("SELECT * FROM t").fetch_all(&world.pool).await.unwrap();
        sqlx::query("CREATE TABLE u (a)").execute(&world.pool).await.unwrap();
        outside(sqlx::query(UPDATE).execute(&world.pool)).await.unwrap();
        let xid = world.coordinator.begin();
        let suspended =
            inside(&xid, async { RootContext::suspended(sqlx::query(UPDATE).execute(&world.pool)).await });
        suspended.await.unwrap();
    }
}

#[tokio::test]
async fn only_an_at_branch_is_logged() {
    let world = World::new(SCHEMA).await;
    let xid = world.coordinator.begin();
    let try_method = Snapshot::empty().with_xid(xid).with_branch_type(BranchType::Tcc);
    try_method.scope(sqlx::query(UPDATE).execute(&world.pool)).await.unwrap();
    assert_eq!(world.coordinator.registrations(), 0);
}

#[tokio::test]
async fn the_transaction_of_another_coordinator_is_refused() {
    let world = World::new(SCHEMA).await;
    let before = world.dump().await;
    let foreign = "elsewhere:8091:1".parse().unwrap();
    let error = inside(&foreign, sqlx::query(UPDATE).execute(&world.pool)).await.unwrap_err();
    assert!(matches!(at_error(error), AtError::ForeignCoordinator { xid, .. } if xid == foreign));
    let error = inside(&foreign, async { world.pool.begin().await }).await.unwrap_err();
    assert!(matches!(at_error(error), AtError::ForeignCoordinator { .. }));
    assert_eq!(world.dump().await, before);
}
