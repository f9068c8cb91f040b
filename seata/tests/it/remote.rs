//! An application whose coordinator is on a server of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use seata::{
    BranchAnswer, BranchRegistration, BranchTask, BranchType, Coordinator, Degradation, DegradeCheck, Error,
    GlobalTransaction, OnError, Resource, ResourceId, RootContext, Seata, SeataBuilder, ShutdownError,
    StartError, TransactionOptions, Xid,
    remote::{Services, Settings, Step},
    run,
};
use tokio::{net::TcpListener, time::timeout};

use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(20);

fn on(server: &Server) -> SeataBuilder {
    Seata::builder("shop").server(server.address.to_string())
}

/// Addresses at which nobody listens.
async fn dead() -> [String; 2] {
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push((listener.local_addr().unwrap().to_string(), listener));
    }
    let [one, other] = <[_; 2]>::try_from(addresses).unwrap();
    [one.0, other.0]
}

fn impatient() -> Settings {
    Settings::new(Services::new()).wait_for_server(Duration::ZERO)
}

async fn begin(seata: &Seata) -> Result<GlobalTransaction, Error> {
    seata.scope(GlobalTransaction::begin(TransactionOptions::new("purchase"))).await
}

#[tokio::test]
async fn it_commits_and_closes_in_order() {
    let server = Server::start().await;
    let seata = on(&server).start().await.unwrap();
    assert!(seata.coordinator().is_none());
    let mut transaction = begin(&seata).await.unwrap();
    assert_eq!(transaction.xid().to_string(), "127.0.0.1:8091:7");
    assert!(seata.client().knows(transaction.xid()));
    transaction.commit().await.unwrap();
    seata.shutdown(Duration::MAX).await.unwrap();
    assert_eq!(server.log()[..2], ["GlobalBeginRequest", "GlobalCommitRequest"]);
    seata.shutdown(LIMIT).await.unwrap();
    assert_eq!(begin(&seata).await.unwrap_err(), Error::ShuttingDown);
}

#[tokio::test]
async fn shutdown_sends_the_rollback_of_what_was_dropped_and_waits_for_its_answer() {
    let server = Server::slow(Duration::from_millis(300)).await;
    let seata = on(&server).start().await.unwrap();
    drop(begin(&seata).await.unwrap());
    seata.shutdown(LIMIT).await.unwrap();
    let log = server.log();
    assert_eq!(log[..3], ["GlobalBeginRequest", "GlobalRollbackRequest", "rolled back"], "{log:?}");
}

#[tokio::test]
async fn a_shutdown_that_is_too_short_says_what_is_open() {
    let server = Server::slow(LIMIT).await;
    let seata = on(&server).start().await.unwrap();
    drop(begin(&seata).await.unwrap());
    let left = seata.shutdown(Duration::from_millis(50)).await;
    assert!(matches!(left, Err(ShutdownError::StillOpen { open: 1, .. })), "{left:?}");
}

#[tokio::test]
async fn the_last_value_that_goes_takes_the_connections_along() {
    let server = Server::start().await;
    let seata = on(&server).start().await.unwrap();
    let (client, other) = (seata.client().clone(), seata.clone());
    drop(seata);
    begin(&other).await.unwrap().commit().await.unwrap();
    drop(other);
    tokio::task::yield_now().await; // its task ends when it is its turn
    let begun = client.scope(GlobalTransaction::begin(TransactionOptions::new("purchase"))).await;
    assert!(begun.is_err(), "{begun:?}");
    drop(client);
    let closed = async {
        while server.log().iter().filter(|line| *line == "closed").count() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, closed).await.expect("the connections are closed");
}

#[tokio::test]
async fn each_server_that_cannot_be_used_is_named() {
    let [one, other] = dead().await;
    let builder = || Seata::builder("shop").server(&*one).server(&*other).remote(impatient());
    let error = builder().start().await.unwrap_err();
    assert!(matches!(error, StartError::Connect(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&one) && text.contains(&other) && text.contains("refused"), "{text}");

    let report = builder().check().await;
    assert!(!report.is_usable());
    let broken = report.first_failure().expect("nobody listens");
    assert_eq!((broken.server, broken.link.step), (Some(&*one), Step::Tcp));
    assert_eq!(report.servers.len(), 2);
}

#[tokio::test]
async fn one_server_of_two_is_enough() {
    let server = Server::start().await;
    let [dead, _] = dead().await;
    let seata = Seata::builder("shop").server(dead).server(server.address.to_string()).start().await.unwrap();
    begin(&seata).await.unwrap().commit().await.unwrap();
    seata.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn named_servers_stand_in_for_those_of_the_settings() {
    let server = Server::start().await;
    let [dead, _] = dead().await;
    let settings = Settings::new(Services::servers([dead])).wait_for_server(Duration::ZERO);
    on(&server).remote(settings.clone()).start().await.unwrap();
    Seata::builder("shop").remote(settings).server(server.address.to_string()).start().await.unwrap();
}

#[tokio::test]
async fn what_was_said_last_of_the_place_counts() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let embedded = on(&server).data_dir(directory.path()).start().await.unwrap();
    assert!(embedded.coordinator().is_some() && embedded.remote().is_none());
    embedded.shutdown(LIMIT).await.unwrap();

    let coordinator = Coordinator::in_memory();
    let remote = Seata::builder("shop").coordinator(&coordinator).server(server.address.to_string());
    let remote = remote.start().await.unwrap();
    assert!(remote.coordinator().is_none() && remote.remote().is_some());
}

#[tokio::test]
async fn a_setting_that_cannot_work_is_refused_before_anything_is_tried() {
    for (builder, found) in [
        (Seata::builder("shop").remote(Settings::new(Services::new())), "default_tx_group"),
        (Seata::builder("shop").server("8091"), "\"8091\""),
        (Seata::builder("a:b").server("127.0.0.1:8091"), "\"a:b\""),
    ] {
        let error = builder.start().await.unwrap_err();
        assert!(matches!(error, StartError::Connect(_)), "{error:?}");
        assert!(error.to_string().contains(found), "{error}");
    }
}

/// What starts and what is checked are refused alike.
#[tokio::test]
async fn a_check_refuses_the_name_that_start_refuses() {
    for name in ["", "a name that no column of Java's holds"] {
        let server = Server::start().await;
        let builder = || Seata::builder(name).server(server.address.to_string());
        let error = builder().start().await.unwrap_err().to_string();
        let report = builder().check().await;
        let broken = report.first_failure().expect("the name is refused").link;
        assert_eq!((broken.step, &broken.found), (Step::Settings, &error));
    }
}

#[tokio::test]
async fn a_call_that_gets_no_answer_names_the_server() {
    let server = Server::slow(LIMIT).await;
    let mut settings = impatient();
    settings.transaction_request_timeout = Duration::from_millis(500);
    let seata = on(&server).remote(settings).rollback_attempts(1).start().await.unwrap();
    let error = begin(&seata).await.unwrap().rollback().await.unwrap_err();
    assert!(matches!(error, Error::RollbackUnanswered { attempts: 1, .. }), "{error:?}");
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
}

#[tokio::test]
async fn a_check_of_a_server_walks_the_whole_chain_beside_a_running_application() {
    let server = Server::start().await;
    let seata = on(&server).start().await.unwrap();
    for report in [seata.check().await, on(&server).check().await] {
        assert!(report.is_ok(), "{report}");
        let steps: Vec<Step> = report.servers[0].links.iter().map(|link| link.step).collect();
        assert_eq!(steps.last(), Some(&Step::Transaction), "{report}");
    }
}

#[tokio::test]
async fn a_check_of_an_embedded_coordinator_begins_and_rolls_back() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Seata::builder("shop").data_dir(directory.path());
    let report = builder().check().await;
    assert!(report.is_ok(), "{report}");

    let seata = builder().start().await.unwrap();
    let report = seata.check().await;
    assert!(report.is_ok(), "{report}");
    assert_eq!(seata.coordinator().unwrap().transactions().await.unwrap(), []);

    let report = builder().check().await;
    let broken = report.first_failure().expect("the directory is in use");
    assert!(broken.link.found.contains(directory.path().to_str().unwrap()), "{report}");
    seata.shutdown(LIMIT).await.unwrap();
    assert!(!seata.check().await.is_ok(), "it is shut down");
}

#[tokio::test]
async fn it_is_done_without_until_it_works_again() {
    let server = Server::start().await;
    let check = DegradeCheck { period: Duration::from_millis(500), allowed_times: 1 };
    let seata = on(&server).remote(impatient()).degrade_check(check).start().await.unwrap();
    let mut events = seata.client().degrade_events();
    assert!(!seata.client().degraded());
    let address = server.address;
    drop(server);
    timeout(LIMIT, events.changed()).await.expect("it is noticed").unwrap();
    assert!(seata.client().degraded());
    assert_eq!(purchase(&seata).await, Ok(None));

    let _server = Server::again(address).await;
    timeout(LIMIT, events.changed()).await.expect("it is noticed").unwrap();
    assert!(!seata.client().degraded());
    assert!(matches!(purchase(&seata).await, Ok(Some(_))));
}

/// Restarted during an outage, a service is there for its business, and has transactions when it can.
#[tokio::test]
async fn it_starts_without_a_server_is_degraded_and_has_transactions_when_one_comes() {
    let [dead, _] = dead().await;
    let check = DegradeCheck { period: Duration::from_millis(400), allowed_times: 2 };
    let began = Instant::now();
    let seata = Seata::builder("shop").start_without_server().server(&*dead).degrade_check(check);
    let seata = seata.start().await.expect("no server is needed");
    let stock = Arc::new(Stock("jdbc:stock".into()));
    seata.client().resource_manager().register_resource(stock.clone()).await.expect("no server is needed");
    assert!(began.elapsed() < Duration::from_secs(4), "nothing is waited for: {:?}", began.elapsed());
    assert!(!seata.client().degraded());

    let mut events = seata.client().degrade_events();
    timeout(LIMIT, events.changed()).await.expect("it is noticed").unwrap();
    let Degradation::Degraded { failures: 2, cause } = events.borrow_and_update().clone() else {
        panic!("{events:?}")
    };
    assert!(cause.to_string().contains(&dead), "{cause}");
    assert_eq!(purchase(&seata).await, Ok(None));

    let server = Server::again(dead.parse().unwrap()).await;
    timeout(LIMIT, events.changed()).await.expect("it is noticed").unwrap();
    assert!(!seata.client().degraded());
    let xid = purchase(&seata).await.expect("the server is there").expect("in a transaction");
    let branch = BranchRegistration {
        xid,
        branch_type: BranchType::At,
        resource: stock.0.clone(),
        locks: Vec::new(),
        application_data: String::new(),
    };
    seata.client().resource_manager().register_branch(branch).await.expect("the server knows the resource");
    assert!(server.log().iter().any(|line| line == "BranchRegisterRequest"), "{:?}", server.log());
    seata.shutdown(LIMIT).await.unwrap();
}

#[tokio::test]
async fn one_start_without_a_server_is_enough_to_say() {
    let [dead, _] = dead().await;
    let settings = Settings::new(Services::servers([&*dead]));
    Seata::builder("shop").remote(settings.clone().start_without_server()).start().await.unwrap();
    Seata::builder("shop").start_without_server().remote(settings).start().await.unwrap();
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_data_source_opens_without_a_server_and_writes_outside_of_transactions() {
    let [dead, _] = dead().await;
    let seata = Seata::builder("shop").server(dead).start_without_server().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(directory.path().join("stock.db"));
    let pool = sqlx::SqlitePool::connect_with(file.create_if_missing(true)).await.unwrap();
    sqlx::query("CREATE TABLE stock (id INTEGER PRIMARY KEY)").execute(&pool).await.unwrap();
    let stock =
        timeout(Duration::from_secs(4), seata.at(pool)).await.expect("nothing is waited for").unwrap();
    let written = sqlx::query("INSERT INTO stock VALUES (1)").execute(&stock).await.unwrap();
    assert_eq!(written.rows_affected(), 1);
}

#[cfg(feature = "config")]
#[tokio::test]
async fn a_configuration_says_group_servers_retries_and_degrade_check() {
    let server = Server::start().await;
    let text = format!(
        "tx-service-group = 'shops'
         [service]
         vgroupMapping.shops = 'shanghai'
         shanghai.grouplist = '{}'
         [client.tm]
         degradeCheck = true
         degradeCheckPeriod = '500ms'
         degradeCheckAllowTimes = 1
         rollbackRetryCount = 2
         [transport]
         waitForServer = 0",
        server.address
    );
    let config = seata::remote::config::Config::from_toml(&text).unwrap();
    let seata = Seata::builder("shop").config(config).start().await.unwrap();
    assert_eq!(seata.check().await.group, "shops");
    let mut events = seata.client().degrade_events();
    let mut transaction = begin(&seata).await.unwrap();
    drop(server);
    let unanswered = transaction.rollback().await.unwrap_err();
    assert!(matches!(unanswered, Error::RollbackUnanswered { attempts: 2, .. }), "{unanswered:?}");
    timeout(LIMIT, events.changed()).await.expect("it is probed").unwrap();
    assert!(seata.client().degraded());
}

/// A resource that nobody finishes a branch of.
struct Stock(ResourceId);

impl Resource for Stock {
    fn id(&self) -> &ResourceId {
        &self.0
    }

    fn branch_type(&self) -> BranchType {
        BranchType::At
    }

    fn commit(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async { BranchAnswer::committed() })
    }

    fn rollback(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async { BranchAnswer::rollbacked() })
    }
}

/// The transaction in which a body runs.
async fn purchase(seata: &Seata) -> Result<Option<Xid>, Error> {
    let options = TransactionOptions::new("purchase").client(seata.client().clone());
    run(options, |_| OnError::Rollback, async { Ok(RootContext::xid()) }).await
}
