//! The server asks for old undo logs to be deleted, three minutes after its start.

use std::time::{Duration, Instant};

use seata::Seata;
use seata_tests::java::Server;

use crate::office::Office;

/// Java's servers wait 180 s.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn old_undo_logs_are_deleted_when_the_server_says_so() {
    let server = Server::start().await;
    let office = Office::open(Seata::builder("tidy").server(server.address()).start().await.unwrap()).await;
    for (branch, age) in [(1, "-8 days"), (2, "-6 days")] {
        sqlx::query(
            "INSERT INTO undo_log (branch_id, xid, context, rollback_info, log_status, log_created, log_modified)
             VALUES (?1, 'x', 'c', x'00', 1, datetime('now', ?2), datetime('now', ?2))",
        )
        .bind(branch)
        .bind(age)
        .execute(office.raw())
        .await
        .unwrap();
    }
    let began = Instant::now();
    loop {
        let left: Vec<i64> =
            sqlx::query_scalar("SELECT branch_id FROM undo_log").fetch_all(office.raw()).await.unwrap();
        if left == [2] {
            return;
        }
        assert!(began.elapsed() < LIMIT, "after {LIMIT:?} these are left: {left:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
