//! What the store means to clients and operators.

use std::net::SocketAddr;

use seata_protocol::BranchType;
use seata_server::settings::StoreKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    peer::{PATIENCE, Peer},
    server, stop,
};

#[tokio::test]
async fn a_new_store_behind_an_old_address_repeats_no_xid() {
    for kind in [StoreKind::Memory, StoreKind::Journal] {
        let mut port = 0;
        let mut highest = 1_i64 << 32;
        for _life in 0..2 {
            // Each with a directory of its own: the earlier store is lost.
            let directory = tempfile::tempdir().unwrap();
            let (server, address) = server(|settings| {
                settings.front.port = port;
                (settings.store.kind, settings.store.directory) = (kind, directory.path().to_owned());
            })
            .await;
            port = address.port();
            let mut tm = Peer::tm(address, "2.6.0").await;
            for _ in 0..100 {
                let xid = tm.begin().await;
                let (host, id) = xid.rsplit_once(':').unwrap();
                assert!(host.ends_with(&format!(":{port}")), "{xid}");
                let id: i64 = id.parse().unwrap();
                assert!(id > highest, "{kind:?}: {id} after {highest}");
                highest = id;
            }
            stop(server).await;
        }
    }
}

#[tokio::test]
async fn flushes_of_the_journal_are_counted_and_timed() {
    let directory = tempfile::tempdir().unwrap();
    let (server, address) = server(|settings| {
        settings.console.port = Some(0);
        (settings.store.kind, settings.store.directory) = (StoreKind::Journal, directory.path().to_owned());
    })
    .await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    let mut rm = Peer::rm(address, "2.6.0", "jdbc:a").await;
    let console = server.console_addresses()[0];
    let before = sample(console, "seata_journal_flush_records_count").await;
    let xid = tm.begin().await;
    rm.branch(&xid, BranchType::At, "jdbc:a", "t:1").await;
    let after = sample(console, "seata_journal_flush_records_count").await;
    assert!(after > before, "{after} after {before}");
    assert!(sample(console, "seata_journal_flush_records_sum").await >= 2.0, "a transaction and a branch");
    assert_eq!(sample(console, "seata_journal_flush_duration_seconds_count").await, after);
    assert!(sample(console, "seata_journal_flush_duration_seconds_sum").await > 0.0);
    stop(server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("seata").join("data");
    let (server, _) = server(|settings| {
        settings.console.port = Some(0);
        (settings.store.kind, settings.store.directory) = (StoreKind::Journal, data.clone());
    })
    .await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = data.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "tables, logs, password: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    stop(server).await;
}

/// The value of this metric.
async fn sample(console: SocketAddr, name: &str) -> f64 {
    let get = async {
        let mut stream = TcpStream::connect(console).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let text = tokio::time::timeout(PATIENCE, get).await.expect("an answer");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} in {text}")).trim().parse().unwrap()
}
