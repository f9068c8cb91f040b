//! Dirty rows of a parked transaction: a person looks at them, decides row by row, and the transaction ends.

use seata::{
    Error, GlobalStatus, GlobalTransaction, Xid,
    at::{
        Dialect,
        undo_log::{ChangedRow, RowState, UndoLogError, UndoTable},
    },
};
use seata_tests::wait;
use sqlx::Pool;

use crate::{
    engine::{Engine, on_each_database},
    world::{World, xid},
};

/// Values that are more than a number, so that what is written into an undo log has to be exact.
fn schema<E: Engine>() -> String {
    format!(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, price DECIMAL(12, 4), code {0}, made TIMESTAMP NULL);
         INSERT INTO t VALUES (1, 10, 1.5000, 'a', '2024-02-29 01:02:03'), (2, 20, 2.2500, 'it''s', NULL),
             (3, 30, NULL, NULL, '1999-12-31 23:59:59'), (4, 40, -0.0100, '', '2024-02-29 01:02:03');
         CREATE TABLE u (part {0} NOT NULL, id BIGINT NOT NULL, n BIGINT, PRIMARY KEY (id, part));
         INSERT INTO u VALUES ('x', 1, 1), ('y', 1, 2), ('x', 2, 3)",
        E::TEXT
    )
}

/// What a person works with.
struct Desk<'w, E: Engine<Raw = Pool<E>> + Dialect> {
    world: &'w World<E>,
    undo_table: UndoTable<E>,
    xid: Xid,
}

impl<'w, E: Engine<Raw = Pool<E>> + Dialect> Desk<'w, E> {
    /// A transaction of these statements, a branch each, is rolled back after others have written behind its back, and is parked.
    async fn parked(world: &'w World<E>, changes: &[&str], dirt: &[&str]) -> Self {
        let ended = world.seata.scope(async {
            let mut transaction = world.begin_global().await;
            for change in changes {
                world.execute(change, &[]).await.unwrap_or_else(|error| panic!("{change}: {error}"));
            }
            for dirt in dirt {
                world.script(dirt).await;
            }
            (xid(), GlobalTransaction::rollback(&mut transaction).await)
        });
        let (xid, status) = ended.await;
        assert!(
            matches!(status, Err(Error::RollbackFailed { status: GlobalStatus::RollbackFailed, .. })),
            "{status:?}"
        );
        Self { world, undo_table: UndoTable::new(&world.raw), xid }
    }

    /// Table, key and state of each row, the dirty ones only.
    async fn dirty(&self) -> Vec<(String, String, RowState)> {
        let mut rows = self.rows().await;
        rows.retain(|row| row.state.is_dirty());
        rows.into_iter().map(|row| (row.table, row.key, row.state)).collect()
    }

    async fn rows(&self) -> Vec<ChangedRow> {
        self.undo_table.rows(&self.xid).await.expect("rows")
    }

    /// The name of a table, as locks have it.
    async fn table(&self, name: &str) -> String {
        let rows = self.rows().await;
        let table = rows.iter().map(|row| &row.table).find(|table| table.ends_with(name));
        table.unwrap_or_else(|| panic!("no row of {name}")).clone()
    }

    async fn force(&self, table: &str, key: &str) -> Result<Vec<ChangedRow>, UndoLogError> {
        self.undo_table.force(&self.xid, &self.table(table).await, key).await
    }

    async fn skip(&self, table: &str, key: &str) -> Result<Vec<ChangedRow>, UndoLogError> {
        self.undo_table.skip(&self.xid, &self.table(table).await, key).await
    }

    /// It goes on by itself when it is asked for, and leaves nothing behind.
    async fn retried(self) {
        let world = self.world;
        assert!(world.coordinator().retry(&self.xid).await.expect("the coordinator runs"));
        wait::until("the end of the parked transaction", || async {
            let parked = world.coordinator().parked().await.expect("the coordinator runs");
            let open = world.coordinator().transactions().await.expect("the coordinator runs");
            match (parked.is_empty(), open.is_empty()) {
                (true, true) => Ok(()),
                _ => Err(format!("parked: {parked:?}")),
            }
        })
        .await;
        world.assert_clean("after the retry").await;
        assert_eq!(world.number("SELECT count(*) FROM undo_log").await, 0);
        assert_eq!(world.locks().await, Vec::<String>::new());
        let error = self.undo_table.rows(&self.xid).await.expect_err("it is over");
        assert!(matches!(error, UndoLogError::NoLog { .. }), "{error}");
    }
}

async fn a_forced_row_becomes_what_it_was<E: Engine<Raw = Pool<E>> + Dialect>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    let desk = Desk::parked(
        &world,
        &["UPDATE t SET n = n + 1, price = price + 1, code = 'z', made = '2024-06-01 00:00:00' WHERE id < 4"],
        &["UPDATE t SET n = 99, price = 0.0001, code = 'dirty', made = '2030-01-01 10:00:00' WHERE id = 2"],
    )
    .await;
    let after = world.dump().await;
    let dirty = desk.dirty().await;
    assert_eq!(dirty.len(), 1, "{dirty:?}");
    assert_eq!((dirty[0].1.as_str(), dirty[0].2), ("id=2", RowState::Dirty));
    let found = desk.force("t", "id=2").await.expect("forced");
    let text = |row: &Option<seata::at::undo::Row>| {
        row.as_ref().and_then(|row| row.field("n")).map(ToString::to_string)
    };
    let n = [text(&found[0].before), text(&found[0].after), text(&found[0].current)];
    assert_eq!(n.map(Option::unwrap), ["20", "21", "99"]);
    assert!(desk.dirty().await.is_empty());
    assert_eq!(world.dump().await, after, "only the undo log is changed");
    assert_eq!(world.locks().await.len(), 3, "nobody else may write them yet");
    desk.retried().await;
    assert_eq!(world.dump().await, before);
}

async fn a_skipped_row_stays_and_the_others_are_undone<E: Engine<Raw = Pool<E>> + Dialect>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    let desk = Desk::parked(
        &world,
        &["UPDATE t SET n = n + 1, made = '2024-06-01 00:00:00'", "UPDATE t SET n = 7 WHERE id = 2"],
        &["UPDATE t SET n = 99 WHERE id = 2"],
    )
    .await;
    desk.skip("t", "id=2").await.expect("skipped");
    let error = desk.skip("t", "id=1").await.expect_err("it is not dirty");
    assert!(matches!(error, UndoLogError::NotDirty { .. }), "{error}");
    desk.retried().await;
    assert_eq!(world.number("SELECT n FROM t WHERE id = 2").await, 99);
    world.script("UPDATE t SET n = 20, made = NULL WHERE id = 2").await;
    assert_eq!(world.dump().await, before);
}

/// Each kind of change, each kind of dirt, each decision: in one transaction of several branches and two tables.
async fn every_row_is_decided_for_itself<E: Engine<Raw = Pool<E>> + Dialect>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let desk = Desk::parked(
        &world,
        &[
            "DELETE FROM t WHERE id IN (1, 2)",
            "INSERT INTO t VALUES (8, 1, 1, 'new', NULL), (9, 1, 1, 'new', NULL)",
            "UPDATE t SET n = 31, code = 'z' WHERE id IN (3, 4)",
            "UPDATE u SET n = n + 1",
        ],
        &[
            "INSERT INTO t VALUES (1, 99, 9.9, 'again', NULL), (2, 99, 9.9, 'again', NULL)",
            "UPDATE t SET n = 99 WHERE id IN (8, 9)",
            "DELETE FROM t WHERE id = 3",
            "UPDATE u SET n = 99 WHERE part = 'y'",
            "DELETE FROM u WHERE part = 'x' AND id = 1",
        ],
    )
    .await;
    let mut dirty: Vec<(String, RowState)> =
        desk.dirty().await.into_iter().map(|(_, key, state)| (key, state)).collect();
    dirty.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        dirty,
        [
            ("id=1".to_owned(), RowState::ThereAgain),
            ("id=1, part='x'".to_owned(), RowState::Gone),
            ("id=1, part='y'".to_owned(), RowState::Dirty),
            ("id=2".to_owned(), RowState::ThereAgain),
            ("id=3".to_owned(), RowState::Gone),
            ("id=8".to_owned(), RowState::Dirty),
            ("id=9".to_owned(), RowState::Dirty),
        ]
    );
    let error = desk.force("t", "id=3").await.expect_err("half of it is unknown");
    assert!(matches!(&error, UndoLogError::Incomplete { missing, .. } if missing.len() == 2), "{error}");
    desk.force("t", "id=1").await.expect("forced");
    desk.skip("t", "id=2").await.expect("skipped");
    desk.skip("t", "id=3").await.expect("skipped");
    desk.force("t", "id=8").await.expect("forced");
    desk.skip("t", "id=9").await.expect("skipped");
    // The image of this one holds the key and the only other column.
    desk.force("u", "id=1, part='x'").await.expect("forced");
    desk.force("u", "id=1, part='y'").await.expect("forced");
    assert!(desk.dirty().await.is_empty());
    desk.retried().await;
    let rows = E::raw_numbers(&world.raw, "SELECT id * 1000 + n FROM t ORDER BY id").await.expect("rows");
    assert_eq!(rows, [1010, 2099, 4040, 9099]);
    let rows = E::raw_numbers(&world.raw, "SELECT n FROM u ORDER BY id, part").await.expect("rows");
    assert_eq!(rows, [1, 2, 3]);
    assert_eq!(world.number("SELECT count(*) FROM t WHERE id = 1 AND price = 1.5 AND code = 'a'").await, 1);
}

/// What is decided holds for the row as it was then.
async fn a_row_that_changes_once_more_is_dirty_again<E: Engine<Raw = Pool<E>> + Dialect>() {
    let world = World::<E>::new(&schema::<E>()).await;
    let before = world.dump().await;
    let desk = Desk::parked(&world, &["UPDATE t SET n = n + 1"], &["UPDATE t SET n = 99 WHERE id = 2"]).await;
    desk.force("t", "id=2").await.expect("forced");
    world.script("UPDATE t SET n = 100 WHERE id = 2").await;
    assert_eq!(desk.dirty().await.len(), 1);
    assert!(world.coordinator().retry(&desk.xid).await.expect("the coordinator runs"));
    wait::until("parked again", || async {
        match world.coordinator().parked().await.expect("the coordinator runs").len() {
            1 => Ok(()),
            parked => Err(format!("{parked} are parked")),
        }
    })
    .await;
    assert_eq!(world.number("SELECT n FROM t WHERE id = 1").await, 11, "nothing is undone");
    desk.force("t", "id=2").await.expect("forced");
    desk.retried().await;
    assert_eq!(world.dump().await, before);
}

on_each_database!(
    a_forced_row_becomes_what_it_was,
    a_skipped_row_stays_and_the_others_are_undone,
    every_row_is_decided_for_itself,
    a_row_that_changes_once_more_is_dirty_again,
);
