//! What `seata` says when a server is away, is something else, or tells what a terminal would obey.

use std::{
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
};

use seata_protocol::message::{GlobalBegin, Message};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    Run,
    peer::Peer,
    run, seata,
    server::{PASSWORD, Place},
};

const LOGIN: &str = r#"{"code":"200","message":"success","data":"Bearer x","success":true}"#;

/// An HTTP server that is no console of ours: it answers each path as it was told, with its status.
struct Pretender {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Pretender {
    async fn start(answer: impl Fn(&str) -> (u16, String) + Clone + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, answer.clone()));
            }
        });
        Self { address, task }
    }

    async fn seata(&self, arguments: &[&str]) -> Run {
        at(&format!("http://{}", self.address), arguments).await
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: TcpStream, answer: impl Fn(&str) -> (u16, String)) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.ok()? > 0 {}
        for line in head.lines() {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let (status, text) = answer(head.split(' ').nth(1)?);
        let head = format!("HTTP/1.1 {status} \r\nContent-Length: {}\r\n\r\n", text.len());
        stream.write_all(&[head.as_bytes(), text.as_bytes()].concat()).await.ok()?;
    }
}

/// The command, told of a console at `url`.
async fn at(url: &str, arguments: &[&str]) -> Run {
    let mut command = seata(arguments);
    command.env("SEATA_CONSOLE", url).env("SEATA_CONSOLE_PASSWORD", PASSWORD);
    run(command).await
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Nothing but lines of text.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|character| character != '\n' && (character.is_control() || character == '\u{202e}'))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_cannot_command_the_terminal_or_add_a_line() {
    let place = Place::start().await;
    let mut tm = Peer::tm(place.address, "2.6.0").await;
    let name = "pay\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}\r\n10.0.0.1:8091:1  Begin";
    let begin = Message::GlobalBegin(GlobalBegin { timeout_ms: 60_000, name: name.into() });
    let answer = tm.ask(begin).await;
    let Message::GlobalBeginResponse(answer) = answer else { panic!("{answer:?}") };
    let xid = answer.xid.to_string();

    for arguments in [&["tx", "list"][..], &["tx", "show", &xid], &["top"]] {
        let shown = place.seata(arguments).await;
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        assert!(is_plain(&shown.out), "{arguments:?}: {:?}", shown.out);
        assert!(shown.out.contains(r"pay\u{1b}]0;owned\u{7}"), "{}", shown.out);
        let lines = shown.out.lines().filter(|line| line.starts_with("10.0.0.1:8091:1"));
        assert_eq!(lines.count(), 0, "{}", shown.out);
    }
    let json = place.seata(&["tx", "show", &xid, "--json"]).await;
    assert!(is_plain(&json.out), "{:?}", json.out);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["name"], name, "a program reads what was written");
    place.stop().await;
}

#[tokio::test]
async fn nor_can_the_text_of_a_refusal() {
    let refusal = r#"{"error":"no\u001b[2J\u009b31m\nerror: all is well"}"#;
    let console = Pretender::start(|path| match path {
        "/api/v1/auth/login" => (200, LOGIN.to_owned()),
        _ => (409, refusal.to_owned()),
    })
    .await;
    let refused = console.seata(&["tx", "retry", "a:1:1"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert_eq!(refused.err, "error: no\\u{1b}[2J\\u{9b}31m\\nerror: all is well\n");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_said_to_be_that() {
    let console = Pretender::start(|path| match path {
        "/api/v1/auth/login" => (200, LOGIN.to_owned()),
        _ => (200, format!("\"{}\"", "x".repeat(33 << 20))),
    })
    .await;
    let list = console.seata(&["tx", "list"]).await;
    assert_eq!((list.code, list.out.as_str()), (Some(1), ""));
    assert!(list.err.contains("answers with more than 32 MiB; ask for less, with --limit"), "{}", list.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_at_the_wrong_place_is_told_what_to_try() {
    let place = Place::start().await;
    let list = ["tx", "list"];
    let nobody = at(&format!("http://127.0.0.1:{}", free_port()), &list).await;
    assert!(nobody.err.contains("nothing listens there: is seata-server running"), "{}", nobody.err);

    let seata_port = at(&format!("http://{}", place.address), &list).await;
    assert!(
        seata_port.err.contains("The console port is 7091 unless set, not the Seata port"),
        "{}",
        seata_port.err
    );

    let https = at(&place.console.replace("http:", "https:"), &list).await;
    assert!(https.err.contains("does that port speak HTTPS"), "{}", https.err);

    let other = Pretender::start(|_| (404, "<html>nothing here</html>".to_owned())).await;
    let other = other.seata(&list).await;
    assert!(other.err.contains("not as the console of a seata-server: it answered 404"), "{}", other.err);

    for run in [nobody, seata_port, https, other] {
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
    }
    for (url, hint) in [
        ("127.0.0.1:7091", "is http://127.0.0.1:7091 meant?"),
        ("ftp://127.0.0.1", "expected http://HOST:PORT or https://HOST:PORT"),
    ] {
        let run = at(url, &list).await;
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains(hint), "{}", run.err);
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_outlives_the_server_it_looks_at() {
    let place = Place::start().await;
    let port = place.server.console_addresses()[0].port();
    let mut command = seata(&["top", "--json", "--every", "100ms"]);
    command.env("SEATA_CONSOLE", &place.console).env("SEATA_CONSOLE_PASSWORD", PASSWORD);
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut top = command.spawn().expect("the command starts");
    let mut seen = BufReader::new(top.stdout.take().expect("piped")).lines();
    let mut said = BufReader::new(top.stderr.take().expect("piped")).lines();
    let limit = Duration::from_secs(30);
    let line = |text: Result<Option<String>, std::io::Error>| text.expect("readable").expect("a line");

    let first = line(tokio::time::timeout(limit, seen.next_line()).await.expect("in time"));
    place.stop().await;
    let gap = line(tokio::time::timeout(limit, said.next_line()).await.expect("in time"));
    assert!(gap.contains("no answer from the console") && gap.contains("until it answers"), "{gap}");

    let place = Place::start_at(port).await;
    let started =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["started_at"].as_u64();
    let again = async {
        loop {
            let next = line(seen.next_line().await);
            if started(&next) != started(&first) {
                break;
            }
        }
    };
    tokio::time::timeout(limit, again).await.expect("it looks at the new one");
    top.kill().await.expect("ended");
    place.stop().await;
}

#[tokio::test]
async fn top_does_not_wait_for_a_server_that_never_was_there() {
    let run = at(&format!("http://127.0.0.1:{}", free_port()), &["top", "--times", "3"]).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
}
