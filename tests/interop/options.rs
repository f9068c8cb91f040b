//! Settings of the client that the Java server must get along with.

use seata::{
    GlobalStatus, Seata,
    remote::{Credentials, Services, Settings},
};
use seata_protocol::{Codec, Compressor};
use seata_tests::java::Java;

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

#[tokio::test(flavor = "multi_thread")]
async fn branch_requests_may_travel_merged() {
    works_with("merged", |settings| settings.merge_requests = true).await;
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
