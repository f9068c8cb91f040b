//! A client at a server.

use std::{sync::Arc, time::Duration};

use seata_tests::{
    go::{GoPeer, Rows},
    java::{Holdings, Loaded, Make, Mode, Peer, PeerProcess, Server},
    line::Line,
    mariadb::MariaDb,
};

use crate::outcome::Outcome;

pub(crate) const JAVA_2_6_0: &str = "Java 2.6.0";
pub(crate) const JAVA_2_0_0: &str = "Java 2.0.0";
pub(crate) const GO: &str = "Go (scripted)";

/// Rows of each database, numbered from 1. Each scenario has its own.
pub(crate) const ROWS: usize = 256;
/// For what takes its time.
pub(crate) const LONG: Duration = Duration::from_secs(120);

const TABLES: &str = "
    CREATE TABLE account (
        id BIGINT PRIMARY KEY, money BIGINT NOT NULL, price DECIMAL(12,4) NOT NULL, note VARCHAR(64) CHARSET utf8mb4,
        code VARBINARY(16), made DATETIME NOT NULL
    );
    CREATE TABLE undo_log (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, branch_id BIGINT NOT NULL, xid VARCHAR(128) NOT NULL,
        context VARCHAR(128) NOT NULL, rollback_info LONGBLOB NOT NULL, log_status INT NOT NULL,
        log_created DATETIME(6) NOT NULL, log_modified DATETIME(6) NOT NULL, UNIQUE KEY ux_undo_log (xid, branch_id)
    );
    INSERT INTO account
        SELECT seq, 1000, seq / 8, CONCAT('\"ä\\\\\\n', seq), CONCAT(x'00ff', seq), '2024-02-29 12:34:56' FROM seq_1_to_256;
";
const ALL_ROWS: &str = "SELECT id, money, price, HEX(note), HEX(code), made FROM account ORDER BY id";

/// A client of some kind, on a line of its own to the server.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// Of which make the server is.
    pub(crate) server: Make,
    client: Client,
    pub(crate) line: Line,
    /// Another application at the same server, on no line that is cut.
    pub(crate) other: GoPeer,
}

enum Client {
    /// With the names of its two databases.
    Java(Box<Peer>, [String; 2]),
    Go(Arc<GoPeer>),
}

impl Place {
    /// Lines for three clients.
    pub(crate) async fn lines(server: &Server) -> [Line; 3] {
        let address = server.address();
        [Line::to(&address).await, Line::to(&address).await, Line::to(&address).await]
    }

    pub(crate) async fn java(
        name: &'static str,
        process: &PeerProcess,
        line: Line,
        database: &MariaDb,
        prefix: &str,
        server: &Server,
    ) -> Self {
        let peer = Peer::new(process);
        let databases = [format!("{prefix}_left"), format!("{prefix}_right")];
        for name in &databases {
            database.create(name, TABLES);
            peer.open_database(name, &database.jdbc(name)).await.expect("a database");
        }
        let other = GoPeer::start(&format!("other-{prefix}"), &server.address(), 0).await;
        Self { name, server: server.made_as(), client: Client::Java(Box::new(peer), databases), line, other }
    }

    pub(crate) async fn go(name: &'static str, line: Line, server: &Server) -> Self {
        let peer = GoPeer::start("go", &line.address(), ROWS).await;
        let other = GoPeer::start("other-go", &server.address(), 0).await;
        Self { name, server: server.made_as(), client: Client::Go(Arc::new(peer)), line, other }
    }

    pub(crate) async fn begin(&self) -> Outcome<String> {
        self.begin_for(LONG).await
    }

    pub(crate) async fn begin_for(&self, timeout: Duration) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.begin_for("compatibility", timeout).await,
            Client::Go(peer) => peer.begin("compatibility", timeout).await,
        }
        .map_err(|refused| format!("begin: {refused}"))
    }

    /// Returns the name of the status.
    pub(crate) async fn commit(&self, xid: &str) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.commit(xid).await,
            Client::Go(peer) => peer.commit(xid).await,
        }
        .map_err(|refused| format!("commit: {refused}"))
    }

    /// Returns the name of the status.
    pub(crate) async fn rollback(&self, xid: &str) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.rollback(xid).await,
            Client::Go(peer) => peer.rollback(xid).await,
        }
        .map_err(|refused| format!("rollback: {refused}"))
    }

    /// Returns the name of the status.
    pub(crate) async fn status(&self, xid: &str) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.status(xid).await,
            Client::Go(peer) => peer.status(xid).await,
        }
        .map_err(|refused| format!("status: {refused}"))
    }

    /// Returns the name of the status.
    pub(crate) async fn report(&self, xid: &str, status: &str) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.report(xid, status).await,
            Client::Go(peer) => peer.report(xid, status).await,
        }
        .map_err(|refused| format!("global report: {refused}"))
    }

    pub(crate) async fn saga_branch(&self, xid: &str) -> Outcome<String> {
        match &self.client {
            Client::Java(peer, _) => peer.saga_branch(xid).await,
            Client::Go(peer) => peer.saga_branch(xid).await,
        }
        .map_err(|refused| format!("saga branch: {refused}"))
    }

    pub(crate) async fn report_branch(&self, xid: &str, branch: &str) -> Outcome {
        match &self.client {
            Client::Java(peer, _) => peer.report_branch(xid, branch, "PhaseOne_Done").await,
            Client::Go(peer) => peer.report_branch(xid, branch).await,
        }
        .map_err(|refused| format!("branch report: {refused}"))
    }

    /// A branch that takes 7 from a row of one of the databases.
    pub(crate) async fn take(&self, xid: &str, kind: Rows, database: usize, row: usize) -> Outcome {
        match &self.client {
            Client::Java(peer, databases) => {
                let mode = if kind == Rows::At { Mode::At } else { Mode::Xa };
                let update = format!(
                    "UPDATE account SET money = money - 7, price = price / 3, note = 'changed', code = x'01',
                        made = '1999-12-31 23:59:59' WHERE id = {row}"
                );
                peer.run(Some(xid), &databases[database], mode, &[&update]).await.map(drop)
            }
            Client::Go(peer) => peer.take(xid, kind, database, row, 7).await,
        }
        .map_err(|refused| format!("branch: {refused}"))
    }

    /// Whether a row is free for this transaction: with Java by SELECT ... FOR UPDATE.
    pub(crate) async fn lock(&self, xid: &str, database: usize, row: usize) -> Outcome<bool> {
        let select = format!("SELECT money FROM account WHERE id = {row} FOR UPDATE");
        match &self.client {
            Client::Java(peer, databases) => {
                match peer.run(Some(xid), &databases[database], Mode::At, &[&select]).await {
                    Ok(_) => Ok(true),
                    Err(refused) if refused.to_string().contains("LockWaitTimeout") => Ok(false),
                    Err(refused) => Err(format!("lock query: {refused}")),
                }
            }
            Client::Go(peer) => {
                peer.is_lockable(xid, database, row).await.map_err(|refused| format!("lock query: {refused}"))
            }
        }
    }

    /// All rows of a database, byte for byte.
    pub(crate) async fn rows(&self, database: usize) -> Outcome<Vec<String>> {
        match &self.client {
            Client::Java(peer, databases) => {
                let rows = peer.run(None, &databases[database], Mode::Plain, &[ALL_ROWS]).await;
                rows.map_err(|refused| format!("rows: {refused}"))
            }
            Client::Go(peer) => Ok(peer.rows(database)),
        }
    }

    /// What a row holds.
    pub(crate) async fn money(&self, database: usize, row: usize) -> Outcome<i64> {
        let rows = self.rows(database).await?;
        rows[row - 1]
            .split('|')
            .nth(1)
            .and_then(|money| money.parse().ok())
            .ok_or(format!("no money in {rows:?}"))
    }

    /// How many branches of both databases are not finished.
    pub(crate) async fn unfinished(&self) -> Outcome<usize> {
        match &self.client {
            Client::Java(peer, databases) => {
                let mut count = 0;
                for name in databases {
                    let select = "SELECT count(*) FROM undo_log WHERE log_status = 0";
                    let rows = peer.run(None, name, Mode::Plain, &[select]).await;
                    let rows = rows.map_err(|refused| format!("undo log: {refused}"))?;
                    count += rows[0].parse::<usize>().map_err(|error| error.to_string())?;
                }
                Ok(count)
            }
            Client::Go(peer) => Ok(peer.unfinished()),
        }
    }

    pub(crate) async fn open_account(&self, account: &str) -> Outcome {
        match &self.client {
            Client::Java(peer, _) => peer.open_account(account, 100).await.map(drop),
            Client::Go(peer) => peer.open_account(account, 100).await,
        }
        .map_err(|refused| format!("account: {refused}"))
    }

    /// A TCC branch that sets 30 aside.
    pub(crate) async fn reserve(&self, xid: &str, account: &str) -> Outcome {
        match &self.client {
            Client::Java(peer, _) => peer.reserve_in(xid, account, 30).await.map(drop),
            Client::Go(peer) => peer.reserve(xid, account, 30).await,
        }
        .map_err(|refused| format!("TCC branch: {refused}"))
    }

    pub(crate) async fn fail_commits(&self, account: &str, times: u64) -> Outcome {
        match &self.client {
            Client::Java(peer, _) => {
                peer.fail_commits(account, times).await.map_err(|error| error.to_string())
            }
            Client::Go(peer) => {
                peer.fail_commits(times);
                Ok(())
            }
        }
    }

    pub(crate) async fn holdings(&self, account: &str) -> Outcome<Holdings> {
        match &self.client {
            Client::Java(peer, _) => peer.holdings(account).await.map_err(|error| error.to_string()),
            Client::Go(peer) => Ok(peer.holdings(account)),
        }
    }

    /// Transfers from the first database to the second.
    pub(crate) async fn load(&self, threads: usize, times: usize, merging: bool) -> Outcome<Loaded> {
        match &self.client {
            Client::Java(peer, [left, right]) => {
                let loaded = peer.load((threads, times), merging, [left, right], ROWS).await;
                loaded.map_err(|refused| format!("load: {refused}"))
            }
            Client::Go(peer) => Ok(peer.load(threads, times, ROWS).await),
        }
    }
}
