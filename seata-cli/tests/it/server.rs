//! `seata tx`, `lock` and `top` against a real server.

use std::{fs, net::SocketAddr, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use seata_protocol::{BranchStatus, BranchType, GlobalStatus};
use seata_server::{
    Server,
    settings::{Settings, StoreKind, TlsSettings},
};
use serde_json::Value;

use crate::{Run, peer::Peer, run, seata};

pub(crate) const PASSWORD: &str = "a password of this test";

/// A server, and how to reach its console.
pub(crate) struct Place {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) console: String,
}

impl Place {
    pub(crate) async fn start() -> Self {
        Self::start_with(0, None).await
    }

    /// With this port for its console.
    pub(crate) async fn start_at(console: u16) -> Self {
        Self::start_with(console, None).await
    }

    async fn start_with(console: u16, tls: Option<TlsSettings>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut settings = Settings::default();
        settings.console.tls = tls;
        settings.front.port = 0;
        settings.console.port = Some(console);
        settings.console.password = Some(PASSWORD.to_owned());
        settings.store.kind = StoreKind::Memory;
        settings.coordinator.retry_period = Duration::from_millis(50);
        settings.front.lock_wait = Duration::from_secs(1);
        let server = Server::start(settings).await.expect("a server");
        let address = server.addresses()[0];
        let console = format!("{scheme}://{}", server.console_addresses()[0]);
        Self { server, address, console }
    }

    pub(crate) async fn seata(&self, arguments: &[&str]) -> Run {
        let mut command = seata(arguments);
        command.env("SEATA_CONSOLE", &self.console).env("SEATA_CONSOLE_PASSWORD", PASSWORD);
        run(command).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let run = self.seata(arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.err);
        serde_json::from_str(&run.out).expect("JSON")
    }

    /// An undecided transaction with rows `stock:1` and `stock:2` of `jdbc:a`.
    async fn open(&self) -> (Peer, Peer, String) {
        let mut tm = Peer::tm(self.address, "2.6.0").await;
        let mut rm = Peer::rm(self.address, "2.6.0", "jdbc:a").await;
        let xid = tm.begin().await;
        rm.branch(&xid, BranchType::At, "jdbc:a", "stock:1,2").await;
        (tm, rm, xid)
    }

    /// The same, rolled back by its starter, with a branch that cannot be undone.
    async fn parked(&self) -> (Peer, Peer, String) {
        let (mut tm, mut rm, xid) = self.open().await;
        let dirty = BranchStatus::PhaseTwoRollbackFailedUnretryable;
        let (status, _) = tokio::join!(tm.rollback(&xid), rm.serve_phase_two(dirty));
        assert_eq!(status, GlobalStatus::RollbackFailed);
        (tm, rm, xid)
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_listed_and_shown() {
    let place = Place::start().await;
    let (_tm, _rm, open) = place.open().await;
    let list = place.seata(&["tx", "list"]).await;
    assert_eq!((list.code, list.err.as_str()), (Some(0), ""));
    let row = list.out.lines().find(|line| line.starts_with(&open)).expect("the transaction");
    assert!(row.contains("Begin") && row.contains("app") && row.contains("purchase"), "{row}");

    let show = place.seata(&["tx", "show", &open]).await;
    assert_eq!(show.code, Some(0), "{}", show.err);
    assert!(show.out.starts_with(&format!("{open} is Begin\n")), "{}", show.out);
    assert!(show.out.contains("jdbc:a") && show.out.contains("stock:1 stock:2"), "{}", show.out);

    let json = place.json(&["tx", "list", "--json", "--status", "Begin"]).await;
    assert_eq!(json["transactions"][0]["xid"], Value::from(open));
    let none = place.seata(&["tx", "list", "--state", "parked"]).await;
    assert_eq!(none.out, "no such transaction\n");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_goes_on_from_its_cursor() {
    let place = Place::start().await;
    let mut tm = Peer::tm(place.address, "2.6.0").await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(tm.begin().await);
    }
    let first = place.seata(&["tx", "list", "--limit", "3"]).await;
    let cursor =
        first.out.lines().last().and_then(|line| line.strip_prefix("more: --after ")).expect("a cursor");
    let rest = place.seata(&["tx", "list", "--limit", "3", "--after", cursor]).await;
    let listed = |run: &Run| begun.iter().filter(|xid| run.out.contains(xid.as_str())).count();
    assert_eq!((listed(&first), listed(&rest)), (3, 2), "{}\n{}", first.out, rest.out);
    assert!(!rest.out.contains("more:"), "{}", rest.out);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_transaction_is_tried_again() {
    let place = Place::start().await;
    let (mut tm, mut rm, xid) = place.parked().await;
    let list = place.seata(&["tx", "list", "--state", "parked"]).await;
    assert!(list.out.contains(&xid) && list.out.contains("RollbackFailed"), "{}", list.out);
    let show = place.seata(&["tx", "show", &xid]).await;
    assert!(show.out.contains(&format!("seata undo-log show --database URL {xid}\n")), "{}", show.out);
    let retry = ["tx", "retry", &xid, "--reason", "the row was restored"];
    let (retry, _) = tokio::join!(place.seata(&retry), rm.serve_phase_two(BranchStatus::PhaseTwoRollbacked));
    assert_eq!(retry.code, Some(0), "{}", retry.err);
    assert!(retry.out.starts_with(&format!("{xid} is ")), "{}", retry.out);
    let mut status = tm.status(&xid).await;
    while status != GlobalStatus::Rollbacked {
        assert_eq!(status, GlobalStatus::RollbackRetrying);
        tokio::time::sleep(Duration::from_millis(10)).await;
        status = tm.status(&xid).await;
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_parked_transaction_are_released_and_it_is_given_up() {
    let place = Place::start().await;
    let (_tm, _rm, xid) = place.parked().await;
    let release = place.seata(&["tx", "release", &xid, "--reason", "checked by hand"]).await;
    assert_eq!(release.code, Some(0), "{}", release.err);
    let locks = place.seata(&["lock", "list", "--xid", &xid]).await;
    assert_eq!(locks.out, "no such lock is held\n");
    let again = place.seata(&["tx", "rollback", &xid, "--reason", "to be sure"]).await;
    assert_eq!(again.code, Some(0), "{}", again.err);
    let still = place.json(&["tx", "show", &xid, "--json"]).await;
    assert_eq!((&still["status"], &still["branch_count"]), (&"RollbackFailed".into(), &1.into()), "{still}");
    let given_up = place.seata(&["tx", "give-up", &xid, "--reason", "restored by hand"]).await;
    assert_eq!(given_up.code, Some(0), "{}", given_up.err);
    let ended = place.seata(&["tx", "show", &xid]).await;
    assert!(ended.out.contains("Rollbacked") && ended.out.contains("restored by hand"), "{}", ended.out);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_told_with_code_1() {
    let place = Place::start().await;
    let (_tm, _rm, xid) = place.open().await;
    let unknown = format!("{}:999999999999", xid.rsplit_once(':').expect("an XID").0);
    for arguments in [&["tx", "show", &unknown][..], &["tx", "retry", &unknown], &["tx", "show", "no-xid"]] {
        let run = place.seata(arguments).await;
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(run.err.starts_with("error: "), "{}", run.err);
    }
    // For good only with a reason.
    let run = place.seata(&["tx", "rollback", &xid]).await;
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("--reason"), "{}", run.err);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_has_a_holder_and_somebody_waits_for_it() {
    let place = Place::start().await;
    let (mut tm, mut rm, holder) = place.open().await;
    let second = tm.begin().await;
    let waiting = tokio::spawn({
        let second = second.clone();
        async move {
            let request = crate::peer::branch(&second, BranchType::At, "jdbc:a", "stock:2");
            rm.ask(request).await
        }
    });
    let who = ["lock", "who", "--resource", "jdbc:a", "--table", "stock", "--key", "2"];
    let mut told = place.seata(&who).await;
    for _ in 0..20 {
        if told.out.contains(&second) {
            break;
        }
        told = place.seata(&who).await;
    }
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(
        told.out.starts_with(&format!("stock:2 on jdbc:a is held by\n\n{holder} is Begin\n")),
        "{}",
        told.out
    );
    assert!(told.out.contains("WAITS FOR IT") && told.out.contains(&second), "{}", told.out);
    waiting.await.expect("an answer");
    let free = place.seata(&["lock", "who", "--resource", "jdbc:a", "--table", "stock", "--key", "3"]).await;
    assert_eq!((free.code, free.out.as_str()), (Some(1), "nobody holds stock:3 on jdbc:a\n"));
    let locks = place.json(&["lock", "list", "--json", "--table", "stock"]).await;
    assert_eq!(locks["locks"].as_array().map(Vec::len), Some(2), "{locks}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn top_tells_rates_and_what_is_open() {
    let place = Place::start().await;
    let (_tm, _rm, xid) = place.parked().await;
    let (_tm, _rm, open) = {
        let mut tm = Peer::tm(place.address, "2.6.0").await;
        let rm = Peer::rm(place.address, "2.6.0", "jdbc:b").await;
        let open = tm.begin().await;
        (tm, rm, open)
    };
    let top = place.seata(&["top", "--times", "2", "--every", "100ms"]).await;
    assert_eq!(top.code, Some(0), "{}", top.err);
    assert!(
        top.out.contains("memory store") && top.out.contains("2 open") && top.out.contains("1 parked"),
        "{}",
        top.out
    );
    assert!(top.out.contains("rates         begun "), "{}", top.out);
    let parked = top.out.find(&xid).expect("the parked one");
    assert!(parked < top.out.find(&open).expect("the open one"), "{}", top.out);
    let json = place.json(&["top", "--json", "--times", "1"]).await;
    assert_eq!((json["open"].as_u64(), json["parked"].as_u64()), (Some(2), Some(1)), "{json}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_how() {
    let place = Place::start().await;
    let mut nobody = seata(&["tx", "list"]);
    nobody.env("SEATA_CONSOLE", &place.console);
    let nobody = run(nobody).await;
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.err.contains("console.password"), "{}", nobody.err);

    let mut wrong = seata(&["tx", "list", "--console", &place.console]);
    wrong.env("SEATA_CONSOLE_PASSWORD", "wrong");
    let wrong = run(wrong).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("refuses user \"seata\""), "{}", wrong.err);

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("console.password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
    let file = file.to_str().expect("text");
    let right = run(seata(&["tx", "list", "--console", &place.console, "--password-file", file])).await;
    assert_eq!((right.code, right.out.as_str()), (Some(0), "no such transaction\n"), "{}", right.err);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_with_https_is_trusted_by_its_authority_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let mut params = CertificateParams::new(Vec::new()).expect("good");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("good");
    let certificate = certificate.signed_by(&key, &authority).expect("signed");
    let tls = TlsSettings {
        certificate: write("console.pem", certificate.pem()),
        key: write("console.key", key.serialize_pem()),
        client_authorities: None,
    };
    let place = Place::start_with(0, Some(tls)).await;

    let authorities = write("authorities.pem", authority.pem());
    let authorities = authorities.to_str().expect("text");
    let trusted = place.seata(&["tx", "list", "--authorities", authorities]).await;
    assert_eq!((trusted.code, trusted.out.as_str()), (Some(0), "no such transaction\n"), "{}", trusted.err);

    let unknown = place.seata(&["tx", "list"]).await;
    assert_eq!((unknown.code, unknown.out.as_str()), (Some(1), ""));
    assert!(unknown.err.contains("certificate"), "{}", unknown.err);

    let no_certificate = write("none.pem", "nothing\n".to_owned());
    let arguments = ["top", "--authorities", no_certificate.to_str().expect("text")];
    let none = place.seata(&arguments).await;
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("none.pem holds no certificate"), "{}", none.err);
    let missing = place.seata(&["lock", "list", "--authorities", "/no/such/file.pem"]).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("/no/such/file.pem cannot be read"), "{}", missing.err);

    let plain = place.console.replace("https", "http");
    let plain = place.seata(&["tx", "list", "--console", &plain]).await;
    assert_eq!(plain.code, Some(1), "{}", plain.out);
    assert!(plain.err.starts_with("error: "), "{}", plain.err);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_parked_by_hand_and_every_command_explains_itself() {
    let place = Place::start().await;
    let (mut tm, mut rm, xid) = place.open().await;
    let undecided = place.seata(&["tx", "park", &xid, "--reason", "too early"]).await;
    assert_eq!(undecided.code, Some(1));
    assert!(undecided.err.contains("undecided"), "{}", undecided.err);

    let later = BranchStatus::PhaseTwoRollbackFailedRetryable;
    let (status, _) = tokio::join!(tm.rollback(&xid), rm.serve_phase_two(later));
    assert_eq!(status, GlobalStatus::RollbackRetrying);
    let parked = place.seata(&["tx", "park", &xid, "--reason", "its database is repaired"]).await;
    assert_eq!(parked.code, Some(0), "{}", parked.err);
    let shown = place.json(&["tx", "show", &xid, "--json"]).await;
    assert_eq!(shown["status"], "StopRollbackOrRollbackRetry", "{shown}");
    assert!(shown["reason"].as_str().is_some_and(|why| why.contains("repaired")), "{shown}");
    assert_eq!(shown["locks"], 2, "{shown}");
    place.stop().await;

    for command in [&["tx"][..], &["tx", "list"], &["tx", "release"], &["lock", "who"], &["top"]] {
        let help = run(seata(&[command, &["--help"]].concat())).await;
        assert_eq!(help.code, Some(0), "{}", help.err);
        for part in ["Usage: seata", "--console", "SEATA_CONSOLE", "--password-file", "--authorities"] {
            assert!(help.out.contains(part), "{command:?}: {}", help.out);
        }
    }
    let nobody = place_that_is_gone().await;
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""));
    assert!(nobody.err.contains("nothing listens there"), "{}", nobody.err);
}

async fn place_that_is_gone() -> Run {
    let place = Place::start().await;
    let console = place.console.clone();
    place.stop().await;
    let mut command = seata(&["tx", "list", "--console", &console]);
    command.env("SEATA_CONSOLE_PASSWORD", PASSWORD);
    run(command).await
}
