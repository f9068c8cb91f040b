//! Servers that go away and come back: of several, and the only one.

use std::time::Duration;

use seata::{
    DegradeCheck, GlobalStatus, RootContext, Seata, Xid, global_transactional,
    remote::{Services, Settings},
};
use seata_tests::{java::Server, wait};

use crate::office::{Office, PIECES};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_one_may_die_and_keeps_its_transactions_until_it_is_back() {
    let (first, second) = tokio::join!(Server::start(), Server::start());
    let mut servers = [first, second];
    let addresses = servers.iter().map(Server::address);
    let settings = Settings::new(Services::servers(addresses)).wait_for_server(Duration::from_secs(20));
    let office = Office::open(Seata::builder("cluster").remote(settings).start().await.unwrap()).await;

    let mut waiting = office.seata.scope(begun(&office, 1)).await;
    let port = |server: &Server| server.address().rsplit_once(':').map(|(_, port)| port.to_owned());
    let owner = servers
        .iter()
        .position(|server| port(server) == Some(waiting.xid().port().to_string()))
        .expect("one of them began it");
    servers[owner].kill();

    for _ in 0..4 {
        let mut other = office.seata.scope(begun(&office, 2)).await;
        assert_ne!(other.xid().port(), waiting.xid().port());
        assert_eq!(other.commit().await.unwrap(), GlobalStatus::Committed);
    }
    servers[owner].restart().await;
    assert_eq!(waiting.commit().await.unwrap(), GlobalStatus::Committed);
    office.settle().await;
    assert_eq!((office.pieces(1).await, office.pieces(2).await), (PIECES - 1, PIECES - 4));
}

async fn begun(office: &Office, row: i64) -> seata::GlobalTransaction {
    let transaction = office.begin("is begun somewhere").await;
    office.take(row).await.unwrap();
    transaction
}

#[tokio::test(flavor = "multi_thread")]
async fn business_goes_on_without_transactions_while_the_server_is_away() {
    let mut server = Server::start().await;
    let settings = Settings::new(Services::servers([server.address()])).wait_for_server(Duration::ZERO);
    let check = DegradeCheck { period: Duration::from_millis(500), allowed_times: 2 };
    let seata = Seata::builder("goes-on").remote(settings).degrade_check(check).start().await.unwrap();
    assert!(business(&seata).await.unwrap().is_some());

    server.kill();
    wait::until("the degradation", || async {
        if seata.client().degraded() { Ok(()) } else { Err("transactions are still begun") }
    })
    .await;
    assert_eq!(business(&seata).await.unwrap(), None, "the body runs without a transaction");

    server.restart().await;
    wait::until("the restoration", || async {
        if seata.client().degraded() { Err("transactions are still switched off") } else { Ok(()) }
    })
    .await;
    assert!(business(&seata).await.unwrap().is_some());
}

/// Says what transaction it runs in.
#[global_transactional(name = "business", client = seata)]
async fn business(seata: &Seata) -> Result<Option<Xid>, seata::Error> {
    Ok(RootContext::xid())
}
