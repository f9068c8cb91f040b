//! Undo logs on PostgreSQL beside Java's: what is written for a row of every type is what Java's resource manager
//! wrote for it, and what that wrote is undone.

use seata::at::{
    AtPool,
    undo::{Field, Zone, decode, encode},
};
use sqlx::{AssertSqlSafe, Postgres};

use crate::{
    engine::Engine,
    world::{Options, World, application},
};

/// By Java, of the rows below, each deleted by itself.
const BY_JAVA: [(i64, &str); 2] = [
    (1, include_str!("../../seata-sqlx/tests/golden/undo/postgresql/types_delete.json")),
    (2, include_str!("../../seata-sqlx/tests/golden/undo/postgresql/types_delete_null.json")),
];

const SCHEMA: &str = r#"
    CREATE TABLE t_all (id bigserial PRIMARY KEY, c_bool boolean, c_small smallint, c_int int, c_big bigint,
        c_num numeric(20,6), c_real real, c_double double precision, c_char char(4), c_varchar varchar(64),
        c_text text, c_date date, c_time time, c_timetz timetz, c_ts timestamp, c_ts0 timestamp(0),
        c_tstz timestamptz, c_interval interval, c_bytea bytea, c_uuid uuid, c_json json, c_jsonb jsonb,
        c_bit8 bit(8), c_varbit varbit(16), c_iarr int[], c_tarr text[], c_inet inet, c_null varchar(10));
    INSERT INTO t_all VALUES (1, true, -7, 42, 9007199254740993, 12345.678900, 1.5, 2.718281828459045, 'ab',
        'héllo "q" 你', E'line1\nline2', '2024-02-29', '13:14:15', '11:14:15+00', '2024-02-29 13:14:15.123456',
        '2024-02-29 13:14:15', '2024-02-29 13:14:15.5+02', '1 day 02:03:04', '\xdeadbeef00',
        '123e4567-e89b-12d3-a456-426614174000', '{"a": 1}', '{"b": [1, 2]}', B'10101010', B'101', '{1,2,3}',
        '{x,"y z"}', '10.0.0.1', NULL);
    INSERT INTO t_all (id) VALUES (2);
"#;

/// A database with these rows, and a data source in the zone in which Java wrote.
async fn world() -> (World<Postgres>, AtPool<Postgres>) {
    let seata = application().await;
    let place = Postgres::database().await;
    let pool = Postgres::connect(&place.url, 2).await.expect("a pool");
    let world = World::<Postgres>::at_place(&seata, place, SCHEMA, Options::default()).await;
    let named = AtPool::builder(pool, &seata).resource_id("java").time_zone(Zone::utc());
    (world, named.open().await.expect("a data source"))
}

fn fields(document: &str) -> Vec<Field> {
    let log = decode(document.as_bytes()).expect("a document");
    let image = log.sql_undo_logs[0].before_image.as_ref().expect("an image");
    let mut fields = image.rows[0].fields.clone();
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_row_is_written_as_java_writes_it() {
    let (world, at) = world().await;
    for (id, by_java) in BY_JAVA {
        let written = world.rolled_back(async {
            sqlx::query("DELETE FROM t_all WHERE id = $1").bind(id).execute(&at).await.unwrap();
            let sql = "SELECT convert_from(rollback_info, 'UTF8') FROM undo_log";
            Postgres::raw_texts(&world.raw, sql).await.unwrap().remove(0).unwrap()
        });
        let (written, by_java) = (fields(&written.await), fields(by_java));
        assert_eq!(written.len(), by_java.len());
        for (ours, java) in written.iter().zip(&by_java) {
            assert_eq!(
                (&ours.name, ours.is_key, ours.jdbc_type, &ours.value),
                (&java.name, java.is_key, java.jdbc_type, &java.value)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_java_wrote_is_undone() {
    let (world, at) = world().await;
    let before = world.dump().await;
    for (id, by_java) in BY_JAVA {
        let log = decode(by_java.as_bytes()).expect("a document");
        let by_java = by_java.replace('\'', "''");
        let (xid, branch) = (log.xid, log.branch_id);
        world
            .rolled_back(async {
                sqlx::query("DELETE FROM t_all WHERE id = $1").bind(id).execute(&at).await.unwrap();
                world
                    .script(&format!(
                        "UPDATE undo_log SET context = 'serializer=jackson&compressorType=NONE&map=', rollback_info = \
                         convert_to(replace(replace('{by_java}', '{xid}', xid), '{branch}', branch_id::text), 'UTF8')"
                    ))
                    .await;
            })
            .await;
        assert_eq!(world.dump().await, before, "{id}");
    }
    world.assert_clean("after all").await;
}

/// What Java writes says no more of such a key than its class can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_java_wrote_of_a_row_whose_key_its_classes_cannot_tell_is_undone() {
    let (world, at) = world().await;
    for (key, first, second) in [
        ("time", "'13:14:15'", "'13:14:16'"),
        ("timetz", "'11:14:15+00'", "'11:14:16+00'"),
        ("money", "1.50::money", "2.50::money"),
        ("tsrange", "'[2024-01-01,2024-02-01)'", "'[2024-02-01,2024-03-01)'"),
        ("double precision[]", "'{1.5,2}'", "'{1.5,3}'"),
    ] {
        let table = format!(
            "DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (id {key} PRIMARY KEY, n int); \
             INSERT INTO keyed VALUES ({first}, 1)"
        );
        world.script(&table).await;
        let before = world.dump().await;
        for change in [
            format!("INSERT INTO keyed VALUES ({second}, 2)"),
            "UPDATE keyed SET n = 5".to_owned(),
            "DELETE FROM keyed".to_owned(),
        ] {
            world
                .rolled_back(async {
                    sqlx::query(AssertSqlSafe(change.as_str())).execute(&at).await.unwrap();
                    assert_ne!(world.dump().await, before, "{change}");
                    leave_out_what_java_does_not_write(&world).await;
                })
                .await;
            assert_eq!(world.dump().await, before, "{key}: {change}");
        }
    }
    world.assert_clean("after all").await;
}

async fn leave_out_what_java_does_not_write(world: &World<Postgres>) {
    let sql = "SELECT convert_from(rollback_info, 'UTF8') FROM undo_log";
    let document = Postgres::raw_texts(&world.raw, sql).await.unwrap().remove(0).unwrap();
    let mut log = decode(document.as_bytes()).expect("a document");
    let images = log.sql_undo_logs.iter_mut().flat_map(|log| [&mut log.before_image, &mut log.after_image]);
    let rows = images.flatten().flat_map(|image| &mut image.rows);
    let mut exact = 0;
    for field in rows.flat_map(|row| &mut row.fields) {
        exact += usize::from(field.exact.take().is_some());
    }
    assert!(exact > 0, "{document}");
    let written = sqlx::query("UPDATE undo_log SET rollback_info = $1").bind(encode(&log));
    written.execute(&world.raw).await.unwrap();
}
