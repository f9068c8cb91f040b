//! The shop as a user runs it: what it prints, and how it exits.

use std::{
    path::Path,
    process::{Command, Output},
};

/// A wrong command line, or a server that cannot be used.
const USAGE_ERROR: i32 = 2;

#[test]
fn every_scene_ends_as_it_must_and_reads_the_same_each_time() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let first = shop(&directory.path().join("first"), &[]);
    let text = printed(&first);
    assert!(first.status.success(), "{text}");
    for line in [
        "alice buys 2 chairs: order 1",
        "branch    account   locks account:alice",
        "end       Committed",
        "alice buys 50 chairs: no, alice has less than 3000",
        "alice leaves when she is asked to confirm",
        "end       Rollbacked",
        "All sums are right.",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
    assert_eq!(text.matches("end       Committed").count(), 1, "{text}");
    assert_eq!(text.matches("end       Rollbacked").count(), 3, "{text}");

    let second = shop(&directory.path().join("second"), &["--orm", "sqlx"]);
    assert_eq!(printed(&second), text);
    let entities = shop(&directory.path().join("entities"), &["--orm", "sea-orm"]);
    assert_eq!(printed(&entities), text, "with SeaORM");
}

#[test]
fn what_a_killed_shop_left_is_finished_by_the_next_start() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let killed = shop(directory.path(), &["--crash", "--orm", "sea-orm"]);
    let text = printed(&killed);
    assert_eq!(killed.status.code(), None, "it dies by a signal:\n{text}");
    assert!(text.contains("decision  AsyncCommitting"), "{text}");
    assert!(!text.contains("phase two storage"), "phase two must not have begun:\n{text}");

    let next = shop(directory.path(), &[]);
    let text = printed(&next);
    assert!(next.status.success(), "{text}");
    for line in [
        "left      confirmed-purchase, to be rolled back",
        "left      purchase, to be committed",
        "resumed   purchase\n  phase two storage   PhaseTwo_Committed\n",
        "resumed   confirmed-purchase\n  phase two storage   PhaseTwo_Rollbacked\n  end       Rollbacked\n",
        "storage   lamps in stock          99     100  *",
        "all       undo log rows            4       0  *",
        "All sums are right.",
    ] {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
}

#[test]
fn a_wrong_sum_is_told_and_is_an_error() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    assert!(shop(directory.path(), &[]).status.success());
    steal_a_chair(directory.path());
    let robbed = shop(directory.path(), &[]);
    assert_eq!(robbed.status.code(), Some(1));
    let error = String::from_utf8_lossy(&robbed.stderr);
    assert_eq!(error, "shop: pieces in stock and ordered add up to 199, not to 200\n");
}

#[test]
fn a_directory_that_cannot_be_used_and_an_unknown_option_are_refused() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").expect("written");
    assert_eq!(shop(&file, &[]).status.code(), Some(1));
    assert_eq!(shop(directory.path(), &["--slow"]).status.code(), Some(USAGE_ERROR));
    let unknown = shop(directory.path(), &["--orm", "hand"]);
    assert_eq!(unknown.status.code(), Some(USAGE_ERROR));
    assert!(printed(&unknown).contains("it is sqlx or sea-orm"), "{}", printed(&unknown));
}

#[test]
fn a_server_that_is_not_there_is_reported_link_by_link() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let alone = shop(&directory.path().join("data"), &["--server", &server]);
    let text = printed(&alone);
    assert_eq!(alone.status.code(), Some(USAGE_ERROR), "{text}");
    assert!(text.contains(&format!("broken: tcp of {server}")), "{text}");
    assert!(!directory.path().join("data").exists(), "nothing was begun");

    let wrong = shop(directory.path(), &["--server", "nonsense"]);
    assert_eq!(wrong.status.code(), Some(USAGE_ERROR));
    assert!(printed(&wrong).contains("\"nonsense\" is no server address"), "{}", printed(&wrong));
}

fn shop(data: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.arg("--data").arg(data).args(options).env_remove("RUST_LOG");
    command.output().expect("the shop starts")
}

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
}

fn steal_a_chair(data: &Path) {
    use sqlx::Connection as _;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let databases = seata_examples::Databases::in_directory(data);
        let mut storage = databases.connect("storage").await.expect("the database opens");
        sqlx::query("UPDATE stock SET pieces = pieces - 1 WHERE product = 'chair'")
            .execute(&mut storage)
            .await
            .expect("the chair is gone");
        storage.close().await.expect("the database closes");
    });
}
