//! What one of them wrote, the other undoes or makes final.

use seata::{Seata, at::undo::Zone};
use seata_tests::{
    java::{Java, Mode, Peer, PeerProcess, Release},
    line::Line,
};

use super::{
    database::{Database, Kind, Options},
    statements::{self, Writer},
};

/// Neither that of the servers nor one without summer time.
const ZONE: &str = "America/New_York";

const KINDS: [(Kind, &str); 2] = [(Kind::MariaDb, "undone_mariadb"), (Kind::PostgreSql, "undone_postgresql")];
/// Made final by the other.
const KEPT: &str = "UPDATE account SET note = 'kept' WHERE id = 60";

#[tokio::test(flavor = "multi_thread")]
async fn what_one_wrote_the_other_undoes_byte_for_byte() {
    // Its peer decides, and has nothing to do with the databases.
    let java = Java::shared().await;
    let line_of_java = Line::to(&java.server()).await;
    let zone = format!("-Duser.timezone={ZONE}");
    let address = line_of_java.address();
    let process = PeerProcess::start_with(Release::V2_6_0, "java-writes", &address, &[&zone]).await;
    let writer = Peer::new(&process);
    for (kind, name) in KINDS {
        kind.create(name, &statements::tables(kind));
    }

    let line_of_rust = Line::to(&java.server()).await;
    let (rust, databases) = application(&line_of_rust.address()).await;
    for database in &databases {
        database.open_in_java(&writer).await;
    }
    let round = Round { java: &java, databases: &databases };
    round
        .run(Writer::Rust, &line_of_rust, async |database, xid, statements| {
            database.run_in(&rust, xid, statements).await.map_err(|error| error.to_string())
        })
        .await;

    let (_rust, databases) = application(&java.server()).await;
    let round = Round { java: &java, databases: &databases };
    round
        .run(Writer::Java, &line_of_java, async |database, xid, statements| {
            let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
            let run = writer.run(Some(xid), &database.name, Mode::At, &statements).await;
            run.map(drop).map_err(|error| error.to_string())
        })
        .await;
}

/// A Rust application with its databases.
async fn application(server: &str) -> (Seata, Vec<Database>) {
    let seata = Seata::builder("rust-writes").server(server).start().await.unwrap();
    let options = Options { zone: Zone::named(ZONE).unwrap(), ..Options::default() };
    let mut databases = Vec::new();
    for (kind, name) in KINDS {
        databases.push(Database::open(kind, name, &seata, &options).await);
    }
    (seata, databases)
}

/// One direction.
struct Round<'a> {
    java: &'a Java,
    databases: &'a [Database],
}

impl Round<'_> {
    /// All changes; then the writer is cut off, and the server has only the other to ask.
    async fn run(
        &self,
        writer: Writer,
        line: &Line,
        write: impl AsyncFn(&Database, &str, &[String]) -> Result<(), String>,
    ) {
        let decider = &self.java.peer;
        let (mut undone, mut kept, mut dumps, mut problems) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for database in self.databases {
            let side = format!("{writer:?} on {:?}", database.kind);
            let xid = decider.begin("is kept").await.unwrap();
            write(database, &xid, &[KEPT.to_owned()]).await.unwrap_or_else(|error| panic!("{side}: {error}"));
            kept.push(xid);
            dumps.push(database.dump().await);
            for change in statements::changes(database.kind, writer) {
                let what = format!("{side}, {}", change.name);
                let rows = database.dump().await;
                let xid = decider.begin(change.name).await.unwrap();
                if let Err(error) = write(database, &xid, &change.statements).await {
                    problems.push(format!("{what}: {error}"));
                } else if database.dump().await == rows {
                    problems.push(format!("{what}: changes nothing"));
                }
                undone.push((what, xid));
            }
        }

        line.cut();
        for (what, xid) in &undone {
            match decider.rollback(xid).await {
                Ok(status) if status == "Rollbacked" => {}
                other => problems.push(format!("{what}: {other:?}")),
            }
        }
        for (database, before) in self.databases.iter().zip(&dumps) {
            problems.extend(differences(before, &database.dump().await));
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        for xid in &kept {
            assert_eq!(decider.commit(xid).await.unwrap(), "Committed");
        }
        for database in self.databases {
            database.settle().await;
            database.assert_free(decider, "account:1,2,60;stock:1_1,1_2").await;
        }
    }
}

/// What is not there any more, and what is there instead.
fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let only = |here: &[String], there: &[String], what: &str| -> Vec<String> {
        let rows = here.iter().filter(|row| !there.contains(row));
        rows.map(|row| format!("{what}: {}", row.chars().take(2000).collect::<String>())).collect()
    };
    [only(before, after, "gone"), only(after, before, "there instead")].concat()
}
