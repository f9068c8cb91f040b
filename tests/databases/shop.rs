//! The example shop on a server: word for word what it is on SQLite, and nothing stays behind.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::engine::{Engine, on_each_server};

/// A wrong command line, or a server that cannot be used.
const USAGE_ERROR: i32 = 2;
/// The schemas of one run.
const SCHEMAS: &[i64] = &[4];
const NO_SCHEMAS: &[i64] = &[0];

/// A shop that is played again and again, from one directory.
struct Shop {
    db: &'static str,
    url: Option<String>,
    directory: tempfile::TempDir,
}

impl Shop {
    fn on(db: &'static str, url: Option<&str>) -> Self {
        Self { db, url: url.map(str::to_owned), directory: tempfile::tempdir().unwrap() }
    }

    fn play(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-shop"));
        command.current_dir(&self.directory).args(["--db", self.db]).args(options);
        command.env_remove("RUST_LOG").env_remove("DATABASE_URL");
        command.envs(self.url.iter().map(|url| ("DATABASE_URL", url)));
        command.output().expect("the shop starts")
    }

    /// What it prints when all goes well.
    fn told(&self, options: &[&str]) -> String {
        let output = self.play(options);
        assert!(output.status.success(), "{} {options:?}\n{}", self.db, printed(&output));
        printed(&output)
    }

    /// What it prints before it is killed.
    fn told_when_killed(&self, options: &[&str]) -> String {
        let output = self.play(options);
        assert_eq!(output.status.code(), None, "it dies by a signal:\n{}", printed(&output));
        printed(&output)
    }

    /// What it prints when there is nothing that it could play on.
    fn refused(&self, options: &[&str]) -> String {
        let output = self.play(options);
        assert_eq!(output.status.code(), Some(USAGE_ERROR), "{}", printed(&output));
        assert_eq!(output.stdout, b"", "nothing was begun");
        printed(&output)
    }
}

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

/// In one story, for the schemas of all runs are counted.
async fn it_tells_the_same_as_on_sqlite_and_leaves_nothing<E: Engine>() {
    let place = E::database().await;
    let raw = E::connect(&place.url, 1).await.unwrap();
    let schemas = async || {
        let count = r"SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'shop\_%'";
        E::raw_numbers(&raw, count).await.unwrap()
    };
    let (files, server) = (Shop::on("sqlite", None), Shop::on(E::NAME, Some(&place.url)));

    let told = files.told(&[]);
    let told_when_killed = files.told_when_killed(&["--crash"]);
    let told_afterwards = files.told(&[]);
    for orm in ["sqlx", "sea-orm"] {
        assert_eq!(server.told(&["--orm", orm]), told, "{orm}");
        assert_eq!(schemas().await, NO_SCHEMAS, "{orm}");

        assert_eq!(server.told_when_killed(&["--orm", orm, "--crash"]), told_when_killed, "{orm}");
        assert_eq!(schemas().await, SCHEMAS, "{orm}");
        assert_eq!(server.told(&["--orm", orm]), told_afterwards, "{orm}");
        assert_eq!(schemas().await, NO_SCHEMAS, "{orm}");
        assert!(is_empty(&server.directory.path().join("target")), "{orm}");
    }

    fs_err::write(server.directory.path().join("file"), "not a directory").unwrap();
    let refused = server.refused(&["--data", "file"]);
    assert!(refused.contains("the note of the schemas' names"), "{refused}");
    assert_eq!(schemas().await, NO_SCHEMAS, "what was made is removed");

    // Kept where the user says so, until another server is named.
    assert_eq!(server.told(&["--data", "kept"]), told);
    assert_eq!(schemas().await, SCHEMAS);
    assert!(server.told(&["--data", "kept", "--orm", "sea-orm"]).contains("alice buys 2 chairs: order 4"));
    let note = server.directory.path().join("kept/schemas");
    let kept = fs_err::read_to_string(&note).unwrap();
    fs_err::write(&note, "shop_00000000").unwrap();
    let elsewhere = server.refused(&["--data", "kept"]);
    assert!(
        elsewhere.contains("shop_00000000_… of this directory's earlier run are not on the server"),
        "{elsewhere}"
    );
    for service in ["storage", "order", "account", "business"] {
        E::script(&raw, &format!("DROP SCHEMA {kept}_{service}{}", E::CASCADE)).await.unwrap();
    }
}

async fn a_url_of_no_use_says_what_would_do<E: Engine>() {
    let url = E::database().await.url;
    let other = if E::NAME == "mysql" { "postgres://localhost" } else { "mysql://localhost" };
    let (server, _) = url.rsplit_once('/').unwrap();
    let nowhere = format!("{}:1", server.rsplit_once(':').unwrap().0);
    let no_database = format!("{server}/no_such_database");
    for (url, expected) in [
        (None, "which server? Set DATABASE_URL, such as DATABASE_URL="),
        (Some(""), "which server? Set DATABASE_URL, such as DATABASE_URL="),
        (Some("nonsense"), "DATABASE_URL names no such server: "),
        (Some(other), "DATABASE_URL names no such server: "),
        (Some(&*nowhere), "cannot be used; does it run"),
        (Some(&*no_database), "no_such_database"),
    ] {
        let shop = Shop::on(E::NAME, url);
        let refused = shop.refused(&["--data", "data"]);
        assert!(refused.contains(expected), "{url:?}: {refused}");
        assert!(is_empty(shop.directory.path()), "{url:?}: nothing was begun");
    }
}

async fn a_user_without_the_right_is_told_what_to_ask_for<E: Engine>() {
    let place = E::database().await;
    let raw = E::connect(&place.url, 1).await.unwrap();
    E::script(&raw, "CREATE USER guest").await.unwrap();
    let url = place.url.replace("//root@", "//guest@").replace("//postgres@", "//guest@");
    // MySQL lets nobody into a database with no right there.
    let url = if E::NAME == "mysql" { url.rsplit_once('/').unwrap().0 } else { &url };
    let shop = Shop::on(E::NAME, Some(url));
    let refused = shop.refused(&["--data", "data"]);
    assert!(refused.contains("an administrator can allow it: GRANT"), "{refused}");
    assert!(is_empty(shop.directory.path()), "nothing was begun");
    E::script(&raw, "DROP USER guest").await.unwrap();
}

fn is_empty(directory: &Path) -> bool {
    fs_err::read_dir(directory).unwrap().next().is_none()
}

on_each_server!(
    it_tells_the_same_as_on_sqlite_and_leaves_nothing,
    a_url_of_no_use_says_what_would_do,
    a_user_without_the_right_is_told_what_to_ask_for,
);
