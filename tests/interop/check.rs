//! The check of the way to the server, on a server that is well and on one that is not there.

use std::net::TcpListener;

use seata::{Seata, remote::Step};
use seata_tests::java::{Java, Make};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_well_is_found_so() {
    let java = Java::shared().await;
    let report = Seata::builder("checker").server(java.server()).check().await;
    assert!(report.is_ok(), "{report}");
    let text = report.to_string();
    let version = if java.server_is(Make::Java) { "2.0.0" } else { "2.6.0" };
    assert!(text.contains(&java.server()) && text.contains(version), "the server and its version: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_named_and_work_goes_on_with_the_other() {
    let java = Java::shared().await;
    let dead = dead_address();
    let builder = || Seata::builder("half").server(&dead).server(java.server());
    let report = builder().check().await;
    assert!(!report.is_ok() && report.is_usable(), "{report}");
    let broken = report.first_failure().expect("one of them is dead");
    assert_eq!((broken.server, broken.link.step), (Some(&dead[..]), Step::Tcp), "{report}");

    let seata = builder().start().await.unwrap();
    let office = crate::office::Office::open(seata).await;
    for row in 1..=4 {
        office
            .seata
            .scope(async {
                let mut transaction = office.begin("goes on").await;
                office.take(row).await.unwrap();
                transaction.commit().await.unwrap();
            })
            .await;
    }
    office.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_nothing_starts_and_the_error_names_it() {
    let dead = dead_address();
    let error = Seata::builder("lonely").server(&dead).start().await.expect_err("nobody is there");
    assert!(error.to_string().contains(&dead), "{error}");
}

/// An address where nobody listens.
fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
