//! Which tables PostgreSQL's statements mean, and what is known of them: schemas, search paths, changes between two
//! statements, and what is refused by name.

use seata::at::{AtError, AtPool, Refusal};
use sqlx::{Postgres, postgres::PgPoolOptions};

use crate::{
    engine::{Engine, Place},
    world::{Options, World, application},
};

/// Runs it in a global transaction that is rolled back, and looks whether all is as before.
async fn undone(world: &World<Postgres>, statements: &[&str]) {
    let before = world.dump().await;
    world
        .rolled_back(async {
            for sql in statements {
                world.execute(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            assert_ne!(world.dump().await, before, "{statements:?}");
        })
        .await;
    assert_eq!(world.dump().await, before, "{statements:?}");
}

async fn refusal(world: &World<Postgres>, sql: &str) -> Refusal {
    let refused =
        world.rolled_back(async { world.execute(sql, &[]).await.map(|_| ()).expect_err(sql) }).await;
    match AtError::from_sqlx(&refused) {
        Some(AtError::Refused { reason, .. }) => reason.clone(),
        _ => panic!("{sql}: {refused:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_locked_and_undone_by_schema() {
    let schema = "CREATE SCHEMA shop; CREATE SCHEMA \"Odd.Name\";
        CREATE TABLE acc (id int PRIMARY KEY, n int); INSERT INTO acc VALUES (1, 1);
        CREATE TABLE shop.acc (id int PRIMARY KEY, n int); INSERT INTO shop.acc VALUES (1, 2);
        CREATE TABLE \"Odd.Name\".\"A \"\"b\" (id int PRIMARY KEY, n int); INSERT INTO \"Odd.Name\".\"A \"\"b\" VALUES (1, 3)";
    let world = World::<Postgres>::new(schema).await;
    let before = world.dump().await;
    world
        .rolled_back(async {
            for sql in [
                "UPDATE ACC SET n = 10",
                "UPDATE shop.acc SET n = 20",
                "UPDATE \"Odd.Name\".\"A \"\"b\" SET n = 30",
            ] {
                assert_eq!(world.execute(sql, &[]).await.unwrap(), 1, "{sql}");
            }
            assert_eq!(world.locks().await, ["Odd.Name.A \"b:1", "acc:1", "shop.acc:1"]);
        })
        .await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_means_what_the_search_path_says() {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.unwrap();
    let schema =
        "CREATE SCHEMA shop; CREATE TABLE acc (id int PRIMARY KEY, n int); INSERT INTO acc VALUES (1, 1);
        CREATE TABLE shop.acc (id int PRIMARY KEY, m text); INSERT INTO shop.acc VALUES (1, 'a')";
    Postgres::script(&plain, schema).await.unwrap();
    let place = Place { url: format!("{url}?options=-c%20search_path%3Dshop,public"), _directory };
    let world = World::<Postgres>::at_place(&application().await, place, "", Options::default()).await;
    undone(&world, &["UPDATE acc SET m = 'b'", "DELETE FROM public.acc"]).await;
    // The same data source, on a connection that looks elsewhere.
    let before = world.dump().await;
    let work = async {
        let mut local = world.begin().await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE acc SET m = 'c'", &[]).await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE public.acc SET n = 7", &[]).await.unwrap();
        Postgres::commit(local).await.unwrap();
        assert_eq!(world.locks().await, ["acc:1", "shop.acc:1"]);
    };
    world.rolled_back(work).await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_pool_may_look_into_different_schemas() {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.unwrap();
    let schema = "CREATE SCHEMA a; CREATE SCHEMA b;
        CREATE TABLE a.t (id int PRIMARY KEY, n int); INSERT INTO a.t VALUES (1, 1);
        CREATE TABLE b.t (id int PRIMARY KEY, n int, more text DEFAULT 'x'); INSERT INTO b.t VALUES (1, 1)";
    Postgres::script(&plain, schema).await.unwrap();
    let seata = application().await;
    let pool = PgPoolOptions::new().max_connections(1).before_acquire(|connection, _| {
        Box::pin(async move {
            // The other one each time.
            let sql = "SELECT set_config('search_path', CASE current_setting('search_path') \
                 WHEN 'a, public' THEN 'b, public' ELSE 'a, public' END, false)";
            sqlx::query(sql).execute(connection).await.map(|_| true)
        })
    });
    // First, as it makes the undo table where both find it.
    let place = Place { url: url.clone(), _directory };
    let world = World::<Postgres>::at_place(&seata, place, "", Options::default()).await;
    let pool = pool.connect(&url).await.unwrap();
    let at = AtPool::builder(pool, &seata).open().await.unwrap();
    let before = world.dump().await;
    world
        .rolled_back(async {
            for _ in 0..4 {
                sqlx::query("DELETE FROM t").execute(&at).await.unwrap();
                sqlx::query("INSERT INTO t (id, n) VALUES (1, 5)").execute(&at).await.unwrap_or_default();
            }
        })
        .await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_may_be_altered_between_two_statements() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(5)); INSERT INTO t VALUES (1, 1, 'x'), (2, 2, NULL)";
    let world = World::<Postgres>::new(schema).await;
    for change in [
        "SELECT 1",
        "ALTER TABLE t ADD COLUMN c text DEFAULT 'c'",
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "ALTER TABLE t ALTER COLUMN b TYPE varchar(50)",
        "UPDATE t SET b = repeat('y', 40)",
        "ALTER TABLE t ALTER COLUMN a TYPE text",
        "ALTER TABLE t RENAME COLUMN c TO \"C d\"",
        "ALTER TABLE t DROP COLUMN b",
        "ALTER TABLE t ADD COLUMN e interval DEFAULT '1 day'",
        "ALTER TABLE t ALTER COLUMN e TYPE text",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, id)",
        "ALTER TABLE t RENAME TO o; CREATE TABLE t (id int PRIMARY KEY, z int); INSERT INTO t VALUES (5, 5)",
    ] {
        world.script(change).await;
        undone(&world, &["DELETE FROM t"]).await;
    }
    world
        .script(
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER watch BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        )
        .await;
    assert!(
        matches!(refusal(&world, "DELETE FROM t").await, Refusal::Trigger { trigger, .. } if trigger == "watch")
    );
    world.script("ALTER TABLE t DISABLE TRIGGER watch").await;
    undone(&world, &["DELETE FROM t"]).await;
    world.script("CREATE TABLE child (t int REFERENCES t ON DELETE CASCADE)").await;
    let refused = refusal(&world, "DELETE FROM t").await;
    assert!(matches!(&refused, Refusal::ReferentialAction { child, .. } if child == "child"), "{refused}");
    world.assert_clean("after all").await;
}

/// What was changed before the table was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_the_table_has_outgrown_is_undone_or_says_why() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, a int, b time); INSERT INTO t VALUES (1, 1, '01:02:03.4')";
    let world = World::<Postgres>::new(schema).await;
    world
        .rolled_back(async {
            world.execute("DELETE FROM t", &[]).await.unwrap();
            world.script("ALTER TABLE t ADD COLUMN c text; ALTER TABLE t ALTER COLUMN a TYPE bigint").await;
        })
        .await;
    assert_eq!(world.dump().await, ["t: '1' | '1' | '01:02:03.4' | NULL"]);
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_ordinary_table_is_refused_by_name() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int);
        CREATE VIEW seen AS SELECT * FROM t; CREATE MATERIALIZED VIEW kept AS SELECT * FROM t;
        CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent);
        CREATE TABLE whole (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10);
        CREATE TABLE cased (id int PRIMARY KEY, a int, \"A\" int);
        CREATE TABLE ruled (id int PRIMARY KEY); CREATE RULE r AS ON DELETE TO ruled DO ALSO DELETE FROM t;
        CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE loosely (id text COLLATE loose PRIMARY KEY);
        CREATE TABLE keyless (n int UNIQUE NOT NULL);";
    let world = World::<Postgres>::new(schema).await;
    for (sql, kind) in [
        ("DELETE FROM seen", "view"),
        ("DELETE FROM kept", "materialized view"),
        ("DELETE FROM parent", "inheritance"),
        ("DELETE FROM part", "partition"),
        ("DELETE FROM cased", "case alone"),
        ("DELETE FROM pg_catalog.pg_description", "system table"),
    ] {
        let refused = refusal(&world, sql).await;
        assert!(
            matches!(&refused, Refusal::NotATable { kind: found, .. } if found.contains(kind)),
            "{refused}"
        );
    }
    let upsert = "INSERT INTO whole VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = 2";
    assert!(matches!(refusal(&world, upsert).await, Refusal::PartitionedUpsert(table) if table == "whole"));
    assert!(matches!(refusal(&world, "DELETE FROM ruled").await, Refusal::Trigger { .. }));
    assert!(matches!(refusal(&world, "DELETE FROM loosely").await, Refusal::KeyCollation { .. }));
    assert!(matches!(refusal(&world, "DELETE FROM keyless").await, Refusal::NoPrimaryKey(_)));
    assert!(matches!(refusal(&world, "DELETE FROM nowhere.t").await, Refusal::UnknownTable(_)));
    undone(&world, &["INSERT INTO heir VALUES (1)"]).await;
    undone(
        &world,
        &[
            "INSERT INTO whole VALUES (1, 1), (2, 2)",
            "UPDATE whole SET n = 2",
            "DELETE FROM whole WHERE id = 1",
        ],
    )
    .await;
    world.assert_clean("after all").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_policy_may_hide_are_refused() {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.unwrap();
    let role = url.rsplit('/').next().unwrap().replace("test", "clerk");
    let schema = format!(
        "CREATE ROLE {role} LOGIN; CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1);
         ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (n < 5);
         GRANT ALL ON t TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
    );
    Postgres::script(&plain, &schema).await.unwrap();
    let url = url.replace("postgres@", &format!("{role}@"));
    let world =
        World::<Postgres>::at_place(&application().await, Place { url, _directory }, "", Options::default())
            .await;
    let refused = refusal(&world, "DELETE FROM t").await;
    assert!(refused.to_string().contains("row-level security"), "{refused}");
}

/// DEFAULT is all that it can be set to, which gives it the next number for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_cannot_be_set_back_is_refused() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, n int, \"Always\" int GENERATED ALWAYS AS IDENTITY,
         free int GENERATED BY DEFAULT AS IDENTITY); INSERT INTO t (id, n) VALUES (1, 1), (2, 2)";
    let world = World::<Postgres>::new(schema).await;
    for sql in [
        "UPDATE t SET \"Always\" = DEFAULT",
        "UPDATE t SET (n, \"Always\") = (7, DEFAULT) WHERE id = 1",
        "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET \"Always\" = DEFAULT",
    ] {
        let refused = refusal(&world, sql).await;
        assert!(
            matches!(&refused, Refusal::IdentityChange { column, .. } if column == "Always"),
            "{refused}"
        );
    }
    undone(&world, &["UPDATE t SET free = DEFAULT, n = 8", "DELETE FROM t WHERE id = 1"]).await;
    undone(&world, &["INSERT INTO t (id) VALUES (3)", "UPDATE t SET n = 9"]).await;
    world.assert_clean("after all").await;
}

/// Whoever may not create tables may open a database that has an undo table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_table_that_is_there_is_enough() {
    let Place { url, _directory } = Postgres::database().await;
    let plain = Postgres::connect(&url, 1).await.unwrap();
    let role = url.rsplit('/').next().unwrap().replace("test", "teller");
    // As Java's script has it.
    let schema = format!(
        "CREATE TABLE IF NOT EXISTS public.undo_log (id SERIAL NOT NULL, branch_id BIGINT NOT NULL,
         xid VARCHAR(128) NOT NULL, context VARCHAR(128) NOT NULL, rollback_info BYTEA NOT NULL,
         log_status INT NOT NULL, log_created TIMESTAMP(0) NOT NULL, log_modified TIMESTAMP(0) NOT NULL,
         CONSTRAINT pk_undo_log PRIMARY KEY (id), CONSTRAINT ux_undo_log UNIQUE (xid, branch_id));
         CREATE INDEX ix_log_created ON undo_log (log_created);
         CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1);
         CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON t, undo_log TO {role};
         GRANT USAGE ON SEQUENCE undo_log_id_seq TO {role}"
    );
    Postgres::script(&plain, &schema).await.unwrap();
    let url = url.replace("postgres@", &format!("{role}@"));
    let world =
        World::<Postgres>::at_place(&application().await, Place { url, _directory }, "", Options::default())
            .await;
    undone(&world, &["UPDATE t SET n = 2", "DELETE FROM t"]).await;
    world.assert_clean("after all").await;
}

/// An error ends the local transaction, up to the last savepoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_error_only_a_rollback_goes_on() {
    let world = World::<Postgres>::new(
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1), (2, 2)",
    )
    .await;
    let before = world.dump().await;
    let work = async {
        let mut local = world.begin().await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE t SET n = 5 WHERE id = 1", &[]).await.unwrap();
        let mut savepoint = Postgres::nested(&mut local).await.unwrap();
        Postgres::local_execute(&mut savepoint, "UPDATE t SET n = 6 WHERE id = 2", &[]).await.unwrap();
        Postgres::local_execute(&mut savepoint, "INSERT INTO t VALUES (1, 1)", &[]).await.unwrap_err();
        Postgres::rollback(savepoint).await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap();
        Postgres::commit(local).await.unwrap();
        assert_eq!(world.dump().await, ["t: '1' | '6'", "t: '2' | '2'"]);

        let mut local = world.begin().await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE t SET n = 50 WHERE id = 2", &[]).await.unwrap();
        Postgres::local_execute(&mut local, "SELECT 1 / 0", &[]).await.unwrap_err();
        Postgres::commit(local).await.expect_err("it would commit nothing");
    };
    world.rolled_back(work).await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
}

/// Constraints that wait for the COMMIT, and rows that refer to each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deferred_constraints_are_kept_and_undone() {
    let schema = "CREATE TABLE a (id int PRIMARY KEY, b int, u int UNIQUE DEFERRABLE INITIALLY IMMEDIATE);
        CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
        BEGIN; INSERT INTO a VALUES (1, 1, 10), (2, 2, 20); INSERT INTO b VALUES (1, 1), (2, 2); COMMIT";
    let world = World::<Postgres>::new(schema).await;
    let before = world.dump().await;
    let work = async {
        let mut local = world.begin().await.unwrap();
        Postgres::local_execute(&mut local, "UPDATE a SET u = 30 - u", &[]).await.unwrap();
        Postgres::local_execute(&mut local, "DELETE FROM b", &[]).await.unwrap();
        Postgres::local_execute(&mut local, "DELETE FROM a", &[]).await.unwrap();
        Postgres::commit(local).await.unwrap();
        // One that fails at its end leaves nothing.
        world.execute("INSERT INTO b VALUES (9, 9)", &[]).await.unwrap_err();
    };
    world.rolled_back(work).await;
    assert_eq!(world.dump().await, before);
    world.assert_clean("after all").await;
}
