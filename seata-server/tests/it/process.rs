//! The real binary: how it starts, what it says, how it ends.

mod packaging;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    time::{Duration, Instant},
};

use seata_protocol::{BranchStatus, BranchType, GlobalStatus, Message, ResultCode};

use crate::peer::{self, Peer};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a directory of its own. Killed when it is dropped.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What was read of its log.
    said: String,
}

impl Process {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::spawn(command(directory, arguments))
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, log, said: String::new() }
    }

    /// Reads the log up to a line with this text, and returns that line.
    fn says(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).expect("text");
            assert!(length > 0, "{text:?} was not said:\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where, once it does.
    fn listens(&mut self) -> SocketAddr {
        let line = self.says("listening");
        address(&line, "addresses=").parse().expect("an address")
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// The exit code and the rest of the log.
    fn end(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        while self.child.try_wait().expect("a child").is_none() {
            assert!(started.elapsed() < PATIENCE, "it goes on:\n{}", self.said);
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.log.read_to_string(&mut self.said);
        (self.child.wait().expect("a child").code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seata-server"));
    command.current_dir(directory).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SEATA") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().expect("run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Any free ports, a journal in the directory.
const FREE: [&str; 4] = ["--port", "0", "--console-port", "0"];

/// The address after `name=` or `name=[` in a line of the log.
fn address(line: &str, name: &str) -> String {
    let rest = line.split_once(name).unwrap_or_else(|| panic!("{name} in {line}")).1;
    rest.trim_start_matches(['[', '"']).split([',', ']', '"', ' ', '\n']).next().expect("text").to_owned()
}

#[test]
fn it_starts_listens_and_ends_in_order() {
    let directory = directory();
    let mut server = Process::start(directory.path(), &FREE);
    let line = server.says("listening");
    assert!(line.contains(env!("CARGO_PKG_VERSION")) && line.contains("store=\"journal\""), "{line}");
    assert!(line.contains("open=0") && line.contains("seata-data"), "{line}");
    let at = address(&line, "addresses=");
    TcpStream::connect(&at).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(line.contains(&format!("xids=\"{at}\"")), "{line}");
    assert!(directory.path().join("seata-data").is_dir());
    server.signal("TERM");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopped"), "{said}");
}

#[test]
fn it_listens_on_ipv4_and_on_ipv6() {
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    let everywhere = if has_v6 { "0.0.0.0,::" } else { "0.0.0.0" };
    for arguments in [&[][..], &["--bind", everywhere, "--host", "tc.example.org"]] {
        let directory = directory();
        let mut server = Process::start(directory.path(), &[&FREE[..], arguments].concat());
        let line = server.says("listening");
        for port in ["addresses=", "console=\"http://"].map(|name| port(&address(&line, name))) {
            for ip in ["127.0.0.1", "::1"].iter().take(1 + usize::from(has_v6)) {
                TcpStream::connect((*ip, port))
                    .unwrap_or_else(|error| panic!("{ip} {port}: {error}: {line}"));
            }
        }
    }
}

fn port(address: &str) -> u16 {
    address.rsplit_once(':').expect("a port").1.parse().expect("a number")
}

#[test]
fn health_and_readiness_are_told() {
    let directory = directory();
    let mut server = Process::start(directory.path(), &FREE);
    let line = server.says("listening");
    let console = address(&line, "console=\"http://");
    for path in ["/health", "/ready", "/metrics"] {
        let mut stream = TcpStream::connect(&console).expect("the HTTP port");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
}

#[test]
fn an_open_connection_does_not_hold_a_stop_up_beyond_its_limit() {
    let directory = directory();
    let limit = ["--set", "transport.shutdown.wait=1"];
    let mut server = Process::start(directory.path(), &[&FREE[..], &limit].concat());
    let line = server.says("listening");
    let _connection = TcpStream::connect(address(&line, "addresses=")).expect("connected");
    server.signal("INT");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
}

/// A registration that waits for rows keeps the drain busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let directory = directory();
    let limits = ["--set", "transport.shutdown.wait=1h", "--set", "server.lockWait=10s"];
    let mut server = Process::start(directory.path(), &[&FREE[..], &limits].concat());
    let at = server.listens();
    let mut tm = Peer::tm(at, "2.6.0").await;
    let mut rm = Peer::rm(at, "2.6.0", "jdbc:a").await;
    let (holder, waiter) = (tm.begin().await, tm.begin().await);
    rm.branch(&holder, BranchType::At, "jdbc:a", "stock:1").await;
    rm.send(&peer::branch(&waiter, BranchType::At, "jdbc:a", "stock:1")).await;
    // Answered later than the registration was taken up.
    rm.status(&waiter).await;

    server.signal("TERM");
    server.says("stopping");
    let started = Instant::now();
    server.signal("TERM");
    let (code, said) = server.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a second signal"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_at_a_stop_is_answered_and_lasts() {
    let directory = directory();
    // On Linux a client's own end never has this address, so that none of another test takes the port meanwhile.
    let bind = ["--bind", if cfg!(target_os = "linux") { "127.0.0.2" } else { "127.0.0.1" }];
    let limits = ["--set", "server.lockWait=2s", bind[0], bind[1]];
    let mut server = Process::start(directory.path(), &[&FREE[..], &limits].concat());
    let at = server.listens();
    let mut tm = Peer::tm(at, "2.6.0").await;
    let mut at_rm = Peer::rm(at, "2.6.0", "jdbc:a").await;
    let mut tcc_rm = Peer::rm(at, "2.6.0", "pay").await;
    let (holder, waiter, paid) = (tm.begin().await, tm.begin().await, tm.begin().await);
    at_rm.branch(&holder, BranchType::At, "jdbc:a", "stock:1").await;
    tcc_rm.branch(&paid, BranchType::Tcc, "pay", "").await;
    let registration = at_rm.send(&peer::branch(&waiter, BranchType::At, "jdbc:a", "stock:1")).await;
    at_rm.status(&waiter).await;
    let commit = tm.send(&Message::GlobalCommit(peer::global(&paid))).await;
    let (header, asked) = tcc_rm.asked().await;

    server.signal("TERM");
    server.says("stopping");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = peer::phase_two_answer(&asked, BranchStatus::PhaseTwoCommitted);
    tcc_rm.send_as(&header.reply(), &answer).await;
    assert_eq!(peer::status_of(tm.answer_to(commit).await), GlobalStatus::Committed);
    let Message::BranchRegisterResponse(refused) = at_rm.answer_to(registration).await else {
        panic!("a registration is answered as one")
    };
    assert_eq!(refused.outcome.result, ResultCode::Failed, "{refused:?}");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");

    // The address in the XIDs is that of the first life.
    let port = at.port().to_string();
    let again = [&bind[..], &["--port", &port, "--console-port", "0"]].concat();
    let mut server = Process::start(directory.path(), &again);
    let at = server.listens();
    let mut tm = Peer::tm(at, "2.6.0").await;
    let mut rm = Peer::rm(at, "2.6.0", "jdbc:a").await;
    assert_eq!(tm.status(&paid).await, GlobalStatus::Committed);
    assert_eq!(tm.status(&holder).await, GlobalStatus::Begin);
    let other = tm.begin().await;
    let answer = rm.ask(peer::branch(&other, BranchType::At, "jdbc:a", "stock:1")).await;
    let Message::BranchRegisterResponse(refused) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.outcome.result, ResultCode::Failed, "the row is held still: {refused:?}");
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[tokio::test]
async fn without_file_descriptors_it_waits_and_accepts_again_when_there_are_some() {
    let directory = directory();
    let mut command = Command::new("sh");
    command.current_dir(directory.path()).args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_seata-server")).args(FREE);
    let mut server = Process::spawn(command);
    let at = server.listens();
    let many: Vec<_> = (0..80).map(|_| TcpStream::connect(at).expect("a place in the queue")).collect();
    server.says("no connection can be accepted now");
    drop(many);
    Peer::tm(at, "2.6.0").await.begin().await;
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn memory_is_said_loudly() {
    let directory = directory();
    let mut server = Process::start(directory.path(), &[&FREE[..], &["--store", "memory"]].concat());
    let line = server.says("every transaction is forgotten");
    assert!(line.contains("WARN"), "{line}");
    assert!(server.says("listening").contains("store=\"memory\""));
    assert!(!directory.path().join("seata-data").exists());
}

#[test]
fn a_port_in_use_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (flags, way_out) in [
        (["--port", &port, "--console-port", "0"], "with --port"),
        (["--port", "0", "--console-port", &port], "with --console-port"),
    ] {
        let directory = directory();
        let output = run(directory.path(), &flags);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        let address = format!("127.0.0.1:{port}");
        for part in ["cannot be listened on", &address, "in use", way_out] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_data_directory_in_use_or_of_no_use_ends_the_start() {
    let directory = directory();
    let mut first = Process::start(directory.path(), &FREE);
    first.says("listening");
    let output = run(directory.path(), &FREE);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("in use"), "{}", text(&output.stderr));

    fs::write(directory.path().join("file"), "").expect("written");
    let output = run(directory.path(), &[&FREE[..], &["--data-dir", "file"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("directory"), "{}", text(&output.stderr));
}

#[test]
fn a_mistake_ends_the_start_before_anything_is_opened() {
    let directory = directory();
    fs::write(directory.path().join("bad.toml"), "\nserver.maxLock = 1").expect("written");
    for (arguments, parts) in [
        (&["--port", "x"][..], &["server.servicePort", "\"x\"", "--port", "65535"][..]),
        (&["--config", "bad.toml"], &["bad.toml:2", "did you mean server.maxLocks?"]),
        (&["--config", "none.toml"], &["none.toml"]),
        (&["--store", "db"], &["--store", "journal"]),
        (&["--bind", "0.0.0.0", "--host", "localhost"], &["each client's own machine"]),
        (&["--log-level", "seata=loud"], &["logging.level"]),
        (&["--log-level", "inof"], &["logging.level", "\"inof\"", "--log-level", "debug"]),
        (&["--log-level", "inof", "config"], &["logging.level", "\"inof\""]),
        (&["--store", "memory", "-m", "file"], &["store.mode is given twice", "-m", "--store"]),
        (&["--bnid", "127.0.0.1"], &["--bind"]),
        (&["--set", "colour=red"], &["unknown key colour", "--set"]),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        for part in parts {
            assert!(text(&output.stderr).contains(part), "{arguments:?}: {}", text(&output.stderr));
        }
        assert!(!directory.path().join("seata-data").exists(), "{arguments:?}");
    }
}

#[test]
fn certificates_are_read_before_anything_is_opened_and_are_no_trouble_with_ports() {
    let directory = directory();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    for (name, text) in [
        ("certificate.pem", made.cert.pem()),
        ("key.pem", made.signing_key.serialize_pem()),
        ("other.pem", other.signing_key.serialize_pem()),
        ("empty.pem", String::new()),
    ] {
        fs::write(directory.path().join(name), text).expect("written");
    }
    for (port, whose) in [("server", "the Seata port's TLS"), ("console", "the console's TLS")] {
        for (certificate, key, code, what) in [
            // It may come yet: whoever watches the server tries again.
            ("none.pem", "key.pem", 1, "none.pem cannot be read"),
            ("empty.pem", "key.pem", 2, "empty.pem holds no usable certificate"),
            ("certificate.pem", "certificate.pem", 2, "certificate.pem holds no usable private key"),
            ("certificate.pem", "other.pem", 2, "other.pem cannot be used together"),
        ] {
            let flags = [
                "--set",
                &format!("{port}.tls.certificate={certificate}"),
                "--set",
                &format!("{port}.tls.key={key}"),
            ];
            for command in [&[][..], &["config"]] {
                let output = run(directory.path(), &[&FREE[..], &flags, command].concat());
                assert_eq!(output.status.code(), Some(code), "{certificate} {key}");
                let said = text(&output.stderr);
                assert!(said.contains(whose) && said.contains(what), "{what}: {said}");
                assert!(!said.contains("listened on"), "{said}");
            }
        }
    }
    assert!(!directory.path().join("seata-data").exists());
}

/// Where a process may have a network of its own, which has no address yet.
#[cfg(target_os = "linux")]
#[test]
fn a_network_that_is_not_up_yet_is_no_mistake_of_the_configuration() {
    let alone = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--net", env!("CARGO_BIN_EXE_seata-server")]).args(arguments).args(FREE);
        command.current_dir(directory().path()).env_remove("SEATA_IP").output()
    };
    let is_possible = Command::new("unshare").args(["--user", "--net", "true"]).status();
    if !is_possible.is_ok_and(|status| status.success()) {
        return;
    }
    let shown = alone(&["--bind", "0.0.0.0", "config"]).expect("run");
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(text(&shown.stderr).contains("warning: server.host"), "{}", text(&shown.stderr));
    let started = alone(&["--bind", "0.0.0.0"]).expect("run");
    assert_eq!(started.status.code(), Some(1), "{}", text(&started.stderr));
    assert!(text(&started.stderr).contains("--host"), "{}", text(&started.stderr));
}

#[test]
fn javas_flags_without_effect_are_told_by_their_names() {
    let output = run(directory().path(), &["-n", "1", "-e", "prod", "config"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("warning: -n: no effect, there is no cluster"), "{said}");
    assert!(said.contains("warning: -e: no effect, it names one of several"), "{said}");
    assert!(!said.contains("SERVER_NODE") && !said.contains("SEATA_ENV"), "{said}");
}

#[test]
fn every_setting_is_printed_with_its_origin() {
    let directory = directory();
    fs::write(directory.path().join("s.toml"), "server.maxLocks = 5\nserver.inbox = 6").expect("written");
    let mut command = command(directory.path(), &["--config", "s.toml", "--port", "9", "config", "--json"]);
    let output = command.env("SEATA_SERVER_INBOX", "7").env("SEATA_PORT", "8").output().expect("run");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let settings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let find = |key: &str| {
        let all = settings.as_array().expect("an array").iter();
        let setting = all.clone().find(|setting| setting["key"] == key).expect(key);
        (
            setting["value"].as_str().expect("text").to_owned(),
            setting["from"].as_str().expect("text").to_owned(),
        )
    };
    assert_eq!(find("server.servicePort"), ("9".into(), "--port".into()));
    assert_eq!(find("server.inbox"), ("7".into(), "environment variable SEATA_SERVER_INBOX".into()));
    assert_eq!(find("server.maxLocks"), ("5".into(), "s.toml:1".into()));
    assert_eq!(find("console.port"), ("7091".into(), "default".into()));

    let output = run(directory.path(), &["config"]);
    assert!(
        text(&output.stdout).contains("server.servicePort = 8091    [default]"),
        "{}",
        text(&output.stdout)
    );
    assert!(!directory.path().join("seata-data").exists());
}

#[test]
fn a_hang_up_reads_the_configuration_again() {
    let directory = directory();
    let file = directory.path().join("s.toml");
    let write = |text: &str| fs::write(&file, text).expect("written");
    write("server.maxLocks = 5");
    let mut server = Process::start(directory.path(), &[&FREE[..], &["--config", "s.toml"]].concat());
    server.says("listening");

    write("server.maxLocks = 6\nserver.inbox = 7\nlogging.level = 'info,seata_server=debug'\nclient.log = 1");
    server.signal("HUP");
    assert!(server.says("server.inbox").contains("takes effect at the next start"));
    assert!(server.said.contains("client.log: no effect"), "{}", server.said);
    assert!(server.said.contains("server.maxLocks from \"5\" to \"6\": takes effect"), "{}", server.said);

    write("server.maxLocks = 'x'");
    server.signal("HUP");
    let line = server.says("nothing was changed");
    assert!(line.contains("s.toml:1"), "{line}");

    write("server.maxLocks = 7\nlogging.level = 'inof'");
    server.signal("HUP");
    let line = server.says("nothing was changed");
    assert!(line.contains("s.toml:2") && line.contains("inof"), "{line}");

    write("server.maxLocks = 6\nserver.inbox = 7\nlogging.level = 'info,seata_server=debug'\nclient.log = 1");
    server.signal("HUP");
    assert!(server.says("server.inbox").contains("takes effect at the next start"), "it is told until then");

    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn the_log_may_be_json() {
    let directory = directory();
    let mut server = Process::start(directory.path(), &[&FREE[..], &["--log-format", "json"]].concat());
    let line = server.says("listening");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["fields"]["message"], "listening");
    assert_eq!(line["fields"]["store"], "journal");
}

#[test]
fn help_and_version_are_printed() {
    let directory = directory();
    let help = text(&run(directory.path(), &["--help"]).stdout);
    for flag in
        ["--bind", "--host", "--port", "--console-port", "--data-dir", "--config", "--store", "config"]
    {
        assert!(help.contains(flag), "{help}");
    }
    assert!(text(&run(directory.path(), &["--version"]).stdout).contains(env!("CARGO_PKG_VERSION")));
}
