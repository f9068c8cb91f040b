//! Settings of the client that the Java server must get along with.

use seata::{
    BranchRegistration, BranchType, GlobalStatus, RowKey, RowLock, Seata,
    remote::{Codec, Compressor, Credentials, Services, Settings},
};
use seata_tests::{
    java::{Java, Make},
    wait,
};

use crate::office::{Office, PIECES};

/// Branches in several databases at the same moment, committed and rolled back.
async fn works_with(name: &str, change: impl FnOnce(&mut Settings)) {
    let java = Java::shared().await;
    let mut settings = Settings::new(Services::servers([java.server()]));
    change(&mut settings);
    let seata = Seata::builder(name).remote(settings).start().await.unwrap();
    let offices = [
        Office::open(seata.clone()).await,
        Office::open(seata.clone()).await,
        Office::open(seata.clone()).await,
    ];
    let [first, second, third] = &offices;
    let all = async || tokio::try_join!(first.take(1), second.take(1), third.take(1)).map(drop);
    seata
        .scope(async {
            let mut committed = first.begin("commits").await;
            all().await.unwrap();
            assert_eq!(committed.commit().await.unwrap(), GlobalStatus::Committed);
            let mut given_up = first.begin("rolls back").await;
            all().await.unwrap();
            assert_eq!(given_up.rollback().await.unwrap(), GlobalStatus::Rollbacked);
        })
        .await;
    for office in &offices {
        office.settle().await;
        assert_eq!(office.pieces(1).await, PIECES - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_registration_is_accepted() {
    let credentials = Credentials { access_key: "key".to_owned(), secret_key: "secret".to_owned() };
    works_with("signed", |settings| settings.credentials = Some(credentials)).await;
}

/// On one thread, so that all requests are there before the first is sent.
#[tokio::test]
async fn branch_requests_may_travel_merged() {
    let java = Java::shared().await;
    let mut settings = Settings::new(Services::servers([java.server()]));
    settings.merge_requests = true;
    let seata = Seata::builder("merged").remote(settings).start().await.unwrap();
    let office = Office::open(seata).await;
    let (resource, manager) = (office.resource(), office.seata.client().resource_manager());
    office
        .seata
        .scope(async {
            let mut transaction = office.begin("many at once").await;
            let xid = transaction.xid().clone();
            let lock = |row: &str| RowLock {
                resource: resource.as_str().into(),
                table: "stock".into(),
                key: RowKey::from_text(row).unwrap(),
            };
            let locks = ["1", "2", "3"].map(|row| [lock(row)]);
            let [one, two, three] = &locks;
            let query = |locks| manager.query_locks(Some(&xid), locks);
            let register = manager.register_branch(BranchRegistration {
                xid: xid.clone(),
                branch_type: BranchType::At,
                resource: resource.as_str().into(),
                locks: vec![lock("4")],
                application_data: String::new(),
            });
            tokio::join!(
                async { query(one).await.unwrap() },
                async { query(two).await.unwrap() },
                async { register.await.unwrap() },
                async { query(three).await.unwrap() },
            );
            // Ours does not tell.
            if java.server_is(Make::Java) {
                wait::until("the server's word", || async {
                    let said = java.server_said(&["receive msg[merged]", xid.as_str()]);
                    if said { Ok(()) } else { Err("the requests came one by one") }
                })
                .await;
            }
            assert_eq!(transaction.rollback().await.unwrap(), GlobalStatus::Rollbacked);
        })
        .await;
    works_with("merged-too", |settings| settings.merge_requests = true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_may_be_compressed() {
    for compressor in
        [Compressor::Gzip, Compressor::Deflater, Compressor::Lz4, Compressor::Zstd, Compressor::Bzip2]
    {
        works_with("compressed", |settings| settings.compressor = compressor).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_may_be_written_by_protobuf() {
    works_with("protobuf", |settings| settings.codec = Codec::Protobuf).await;
    works_with("protobuf-merged", |settings| {
        settings.codec = Codec::Protobuf;
        settings.compressor = Compressor::Gzip;
        settings.merge_requests = true;
    })
    .await;
}
