//! What is killed between phase one and phase two comes back in the same place, and the work is finished.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use seata::{
    GlobalStatus, Seata,
    remote::{Services, Settings},
};
use seata_examples::Databases;
use seata_tests::{
    java::{Java, Peer, Server},
    process::Process,
    wait,
};
use serde_json::json;
use sqlx::Connection as _;

use crate::office::{Office, PIECES};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_goes_on_where_it_was() {
    let mut server = Server::start().await;
    let settings =
        Settings::new(Services::servers([server.address()])).wait_for_server(Duration::from_secs(120));
    let seata = Seata::builder("survivor").remote(settings).start().await.unwrap();
    let office = Office::open(seata).await;
    let scope = |future| office.seata.scope(future);

    let mut committed = scope(begun(&office, 1)).await;
    let mut rolled_back = scope(begun(&office, 2)).await;
    server.kill();
    assert_eq!(office.unfinished().await, 2);
    let (decided, ()) = tokio::join!(
        async { (committed.commit().await.unwrap(), rolled_back.rollback().await.unwrap()) },
        server.restart(),
    );
    // The decision may come before the branch's application is known again, and its answer before the branch's.
    let (committed, rolled_back) = decided;
    assert_eq!(committed, GlobalStatus::Committed);
    assert!(rolled_back.is_rollback(), "{rolled_back}");
    office.settle().await;
    assert_eq!((office.pieces(1).await, office.pieces(2).await), (PIECES - 1, PIECES));

    // And once more, with what is new.
    let mut after = scope(begun(&office, 3)).await;
    assert_eq!(after.commit().await.unwrap(), GlobalStatus::Committed);
    office.settle().await;
    assert_eq!(office.pieces(3).await, PIECES - 1);
}

/// A transaction with one branch, not decided.
async fn begun(office: &Office, row: i64) -> seata::GlobalTransaction {
    let transaction = office.begin("is under way").await;
    office.take(row).await.unwrap();
    transaction
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_finishes_its_branches_when_it_is_back() {
    let java = Java::shared().await;
    let peer = &java.peer;
    let directory = tempfile::tempdir().unwrap();

    let (xid, killed) = branch_of_one_killed(peer, &java.server(), directory.path()).await;
    assert_eq!(peer.commit(&xid).await.unwrap(), "Committed");
    assert_eq!(Stock::read(directory.path()).await, Stock { chairs: 98, unfinished: 1 });
    let clerk = killed.again().await;
    settle(directory.path(), Stock { chairs: 98, unfinished: 0 }).await;
    finished(peer, &xid).await;
    drop(clerk);

    let (xid, killed) = branch_of_one_killed(peer, &java.server(), directory.path()).await;
    // There is nobody who could undo it: the server goes on asking.
    let _ = peer.rollback(&xid).await;
    let status = peer.status(&xid).await.unwrap();
    assert!(matches!(&status[..], "Rollbacking" | "RollbackRetrying"), "{status}");
    assert_eq!(Stock::read(directory.path()).await, Stock { chairs: 96, unfinished: 1 });
    let _clerk = killed.again().await;
    settle(directory.path(), Stock { chairs: 98, unfinished: 0 }).await;
    finished(peer, &xid).await;
}

/// A transaction begun in Java with a branch in a process that is no more.
async fn branch_of_one_killed(peer: &Peer, server: &str, directory: &Path) -> (String, Clerk) {
    let mut clerk = Clerk::start(server, directory).await;
    let xid = peer.begin("loses one").await.unwrap();
    let chairs = json!({ "product": "chair", "pieces": 2 });
    peer.call_http(&xid, clerk.address, "/deduct", chairs).await.unwrap();
    clerk.process.kill();
    (xid, clerk)
}

/// The storage service in a process of its own.
struct Clerk {
    process: Process,
    address: SocketAddr,
    server: String,
    directory: std::path::PathBuf,
}

impl Clerk {
    async fn start(server: &str, directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clerk"));
        command.arg(server).arg(directory);
        let log = tempfile::NamedTempFile::new_in(directory).unwrap().into_temp_path().keep().unwrap();
        let mut process = Process::start("clerk", &mut command, log);
        let address = process.ready(|log| {
            let log = fs_err::read_to_string(log).ok()?;
            log.lines().find_map(|line| line.strip_prefix("open ")?.parse().ok())
        });
        let Some(address) = address.await else { panic!("the clerk does not start:\n{}", process.log()) };
        Self { process, address, server: server.to_owned(), directory: directory.to_owned() }
    }

    /// The same one, in another life.
    async fn again(self) -> Self {
        Self::start(&self.server, &self.directory).await
    }
}

/// What the clerk's database says.
#[derive(Debug, PartialEq, Eq)]
struct Stock {
    chairs: i64,
    unfinished: i64,
}

impl Stock {
    async fn read(directory: &Path) -> Self {
        let mut connection = Databases::in_directory(directory).connect("storage").await.unwrap();
        let mut number = async |query| sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        let chairs = number("SELECT pieces FROM stock WHERE product = 'chair'").await;
        let unfinished = number("SELECT count(*) FROM undo_log WHERE log_status = 0").await;
        connection.close().await.unwrap();
        Self { chairs, unfinished }
    }
}

async fn settle(directory: &Path, expected: Stock) {
    wait::until("phase two", || async {
        let stock = Stock::read(directory).await;
        if stock == expected { Ok(()) } else { Err(format!("{stock:?}")) }
    })
    .await;
}

async fn finished(peer: &Peer, xid: &str) {
    wait::until("the end of the transaction", || async {
        match peer.status(xid).await.map_err(|error| error.to_string())?.as_str() {
            // Java's server has forgotten how.
            "Finished" | "Committed" | "Rollbacked" => Ok(()),
            status => Err(status.to_owned()),
        }
    })
    .await;
}
