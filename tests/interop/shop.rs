//! The example shop with its coordinator on the server: purchases that commit, fail, are given up and are killed.

use std::process::{Command, Output};

use seata_tests::{java::Server, mariadb::MariaDb, postgres::Postgres};

/// What a coordinator in the shop's own process tells of a transaction, and a server keeps to itself.
const LIFE: [&str; 5] = ["  begin ", "  branch ", "  decision ", "  phase two ", "  end "];

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_on_sqlite_is_on_the_server_what_it_is_alone() {
    it_is_on_the_server_what_it_is_alone("sqlite", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_on_mariadb_is_on_the_server_what_it_is_alone() {
    it_is_on_the_server_what_it_is_alone("mysql", &MariaDb::shared().url("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_on_postgresql_is_on_the_server_what_it_is_alone() {
    it_is_on_the_server_what_it_is_alone("postgres", &Postgres::shared().url("postgres")).await;
}

async fn it_is_on_the_server_what_it_is_alone(db: &str, url: &str) {
    // Its own: to Java's server, applications of one name on one machine have the same databases. It would ask other
    // shops for what the killed one left.
    let server = Server::start().await;
    let address = server.address();
    let alone = told(&Shop::on(db, url).play(&[]));
    let shop = Shop::on(db, url);
    for orm in ["sqlx", "sea-orm"] {
        let told = told(&shop.play(&["--server", &address, "--orm", orm]));
        assert_eq!(without_lives(&told), without_lives(&alone), "{orm}");
        assert_eq!(told.matches("  end       no undo log row is left\n").count(), 4, "{orm}\n{told}");
    }

    let killed = shop.play(&["--server", &address, "--crash"]);
    assert_eq!(killed.status.code(), None, "it dies by a signal:\n{killed:?}");
    let told = told(&shop.play(&["--server", &address]));
    for line in [
        "storage   chairs in stock         98      98\n",
        "storage   lamps in stock          99     100  *\n",
        "all       undo log rows            4       0  *\n",
        "All sums are right.\n",
    ] {
        assert!(told.contains(line), "{line:?} is missing in:\n{told}");
    }
}

/// A shop that is played again and again, from one directory.
struct Shop<'a> {
    db: &'a str,
    url: &'a str,
    directory: tempfile::TempDir,
}

impl<'a> Shop<'a> {
    fn on(db: &'a str, url: &'a str) -> Self {
        Self { db, url, directory: tempfile::tempdir().unwrap() }
    }

    fn play(&self, options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-shop"));
        command.current_dir(&self.directory).args(["--db", self.db]).args(options);
        command.env_remove("RUST_LOG").env("DATABASE_URL", self.url).output().unwrap()
    }
}

/// What it prints when all goes well.
fn told(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told.into_owned()
}

fn without_lives(told: &str) -> Vec<&str> {
    told.lines().filter(|line| !LIFE.iter().any(|life| line.starts_with(life))).collect()
}
