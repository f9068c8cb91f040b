//! The servers themselves: killed and started again they have lost nothing, and they leave nothing behind.

use seata_tests::{mariadb::MariaDb, postgres::Postgres};
use sqlx::{Connection, MySqlConnection, PgConnection};

#[tokio::test]
async fn a_killed_mariadb_has_lost_nothing() {
    let mut server = MariaDb::start().await;
    server.create("shop", "CREATE TABLE t (id BIGINT PRIMARY KEY)");
    for id in [1, 2] {
        let mut connection = MySqlConnection::connect(&server.url("shop")).await.unwrap();
        sqlx::query("INSERT INTO t VALUES (?)").bind(id).execute(&mut connection).await.unwrap();
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM t").fetch_all(&mut connection).await.unwrap();
        assert_eq!(ids, (1..=id).collect::<Vec<_>>());
        server.kill();
        sqlx::query("SELECT 1").execute(&mut connection).await.expect_err("the server is gone");
        server.restart().await;
    }
}

#[tokio::test]
async fn a_killed_postgresql_has_lost_nothing() {
    let mut server = Postgres::start().await;
    server.create("shop", "CREATE TABLE t (id BIGINT PRIMARY KEY)");
    for id in [1, 2] {
        let mut connection = PgConnection::connect(&server.url("shop")).await.unwrap();
        sqlx::query("INSERT INTO t VALUES ($1)").bind(id).execute(&mut connection).await.unwrap();
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM t").fetch_all(&mut connection).await.unwrap();
        assert_eq!(ids, (1..=id).collect::<Vec<_>>());
        server.kill();
        server.restart().await;
    }
}

#[tokio::test]
async fn a_mariadb_keeps_its_temporary_tables_from_others() {
    let server = MariaDb::start().await;
    let mut connection = MySqlConnection::connect(&server.url("")).await.unwrap();
    let place: String = sqlx::query_scalar("SELECT @@tmpdir").fetch_one(&mut connection).await.unwrap();
    assert!(place.starts_with(server.directory().to_str().unwrap()), "{place}");
}

#[tokio::test]
async fn a_server_leaves_nothing_behind() {
    let (mariadb, postgres) = (MariaDb::start().await, Postgres::start().await);
    let directories = [mariadb.directory().to_owned(), postgres.directory().to_owned()];
    drop((mariadb, postgres));
    for directory in directories {
        assert!(!directory.exists(), "{directory:?}");
    }
}
