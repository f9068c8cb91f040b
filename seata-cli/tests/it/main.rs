//! The `seata` command as a user runs it.

mod doctor;
#[allow(dead_code, reason = "the server's own tests use more of it")]
#[path = "../../../seata-server/tests/it/peer.rs"]
mod peer;
#[path = "../../../seata-client/tests/it/scripted.rs"]
mod scripted;
mod server;
mod sql;
mod trouble;
mod undo_log;

use std::process::{Command, Output};

/// The command, in an environment that configures nothing.
fn seata(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seata"));
    command.env_clear().args(arguments);
    command
}

/// What a run left behind.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(mut command: Command) -> Run {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let Output { status, stdout, stderr } = output.expect("the command starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Run { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[tokio::test]
async fn help_and_version_are_there() {
    let help = run(seata(&["--help"])).await;
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("doctor") && help.out.contains("Exit codes: 0"), "{}", help.out);
    let version = run(seata(&["--version"])).await;
    assert_eq!(version.out.trim(), concat!("seata ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_with_code_2() {
    for arguments in [&[][..], &["doktor"], &["doctor", "--sever", "a:1"]] {
        let run = run(seata(arguments)).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.err);
        assert!(run.err.contains("Usage: seata"), "{arguments:?}: {}", run.err);
    }
}

#[tokio::test]
async fn who_names_a_server_where_a_console_is_asked_is_told_so() {
    for arguments in [["tx", "list"], ["lock", "list"]] {
        let run = run(seata(&[&arguments[..], &["--server", "127.0.0.1:8091"]].concat())).await;
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains("--console http://HOST:7091"), "{}", run.err);
    }
}
