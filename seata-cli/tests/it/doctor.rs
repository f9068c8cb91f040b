//! `seata doctor`.

use std::{fs, net::TcpListener};

use serde_json::Value;

use crate::{
    run,
    scripted::{Reply, ScriptedTc},
    seata,
};

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.expect("a free port").to_string()
}

#[tokio::test]
async fn a_server_that_is_well() {
    let tc = ScriptedTc::start().await;
    let run = run(seata(&["doctor", "--server", &tc.address().to_string()])).await;
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    assert!(run.out.contains(&format!("{} (Seata 2.0.0)", tc.address())), "{}", run.out);
    assert!(run.out.ends_with("every link holds\n"), "{}", run.out);
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    let address = free_address();
    let run = run(seata(&["doctor", "--server", &address, "--timeout", "2s"])).await;
    assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
    assert!(
        run.out.contains(&format!("broken: tcp of {address}: {address} refused the connection")),
        "{}",
        run.out
    );
    assert!(run.out.contains("  next: nothing listens there: start the server"), "{}", run.out);
}

#[tokio::test]
async fn json_says_the_same() {
    let tc = ScriptedTc::start().await;
    let (well, dead) = (tc.address().to_string(), free_address());
    let run = run(seata(&["doctor", "--json", "--server", &dead, "--server", &well])).await;
    assert_eq!(run.code, Some(1));
    let report: Value = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!((&report["ok"], &report["usable"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(report["first_failure"]["server"], Value::from(dead));
    assert_eq!(report["first_failure"]["step"], "tcp");
    assert_eq!(report["servers"][1]["version"], "2.0.0");
    let links = report["servers"][1]["links"].as_array().expect("a list");
    let steps: Vec<_> = links.iter().map(|link| link["step"].as_str().expect("a name")).collect();
    assert_eq!(steps, ["address", "tcp", "handshake", "tm", "rm", "transaction"]);
}

#[tokio::test]
async fn the_console_port_is_recognised() {
    let tc = ScriptedTc::start().await;
    tc.script(|_| Reply::All(vec![Reply::Bytes(b"HTTP/1.1 400 \r\n\r\n".to_vec()), Reply::Close]));
    let run = run(seata(&["doctor", "--server", &tc.address().to_string()])).await;
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("answers HTTP, not Seata"), "{}", run.out);
    assert!(
        run.out.contains("the console's port (7091 by default)? list the Seata port: 8091"),
        "{}",
        run.out
    );
}

#[tokio::test]
async fn a_configuration_is_walked_as_a_client_does() {
    let tc = ScriptedTc::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("seata.toml");
    let text = format!(
        "application-id = 'order'\ntx-service-group = 'orders'\nservice.vgroupMapping.orders = 'shanghai'\n\
         service.shanghai.grouplist = '{}'\nclient.undo.logTable = 'undo_log'\n",
        tc.address()
    );
    fs::write(&path, text).expect("a file");
    let path = path.to_str().expect("a path that is text");

    let good = run(seata(&["doctor", "--config", path])).await;
    assert_eq!(good.code, Some(0), "{}{}", good.out, good.err);
    assert!(good.out.starts_with("application \"order\", transaction group \"orders\""), "{}", good.out);
    assert!(good.err.contains("no effect on this client: client.undo.logTable"), "{}", good.err);

    let other_group = run(seata(&["doctor", "--config", path, "--group", "order"])).await;
    assert_eq!(other_group.code, Some(1));
    assert!(other_group.out.contains("is \"orders\" meant?"), "{}", other_group.out);

    let mut overridden = seata(&["doctor", "--config", path]);
    overridden.env("SERVICE_SHANGHAI_GROUPLIST", free_address());
    assert_eq!(run(overridden).await.code, Some(1), "the environment stands above the file");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_with_code_2() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("seata.toml");
    fs::write(&path, "transport.rpcTmTimeout = 5").expect("a file");
    let path = path.to_str().expect("a path that is text");
    for (arguments, expected) in [
        (
            &["--config", path][..],
            "unknown key transport.rpcTmTimeout; did you mean transport.rpcTmRequestTimeout?",
        ),
        (&["--config", "/nowhere.toml"], "cannot read the configuration /nowhere.toml"),
        (&["--server", "localhost"], "the port is missing"),
        (&["--timeout", "0"], "a step needs some time"),
        (&["--timeout", "soon"], "expected a length of time"),
        (&["--access-key", "key"], "--secret-key-env"),
        (
            &["--access-key", "key", "--secret-key-env", "NO_SUCH"],
            "--secret-key-env names NO_SUCH, which is not set, or empty",
        ),
        (
            &["--access-key", "key", "--secret-key-env", "EMPTY"],
            "--secret-key-env names EMPTY, which is not set, or empty",
        ),
    ] {
        let mut command = seata(&[&["doctor"], arguments].concat());
        command.env("EMPTY", " ");
        let run = run(command).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.err.contains(expected), "{arguments:?}: {}", run.err);
        assert_eq!(run.out, "");
    }
}

#[tokio::test]
async fn the_secret_is_taken_from_the_environment_and_only_signs() {
    let tc = ScriptedTc::start().await;
    let address = tc.address().to_string();
    let arguments = ["doctor", "--server", &address, "--access-key", "key", "--secret-key-env", "THE_SECRET"];
    let mut command = seata(&arguments);
    command.env("THE_SECRET", "s3cret");
    let run = run(command).await;
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let registration = format!("{:?}", tc.messages());
    assert!(registration.contains("ak=key") && !registration.contains("s3cret"), "{registration}");
    assert!(!run.out.contains("s3cret"), "{}", run.out);
}
