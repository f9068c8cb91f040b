//! Merged requests are answered as each release reads it.

use seata_protocol::{
    Batch, BranchType, Compressor, Header, Kind, Message, TransactionExceptionCode, compress::Lz4Form,
};

use crate::{
    peer::{Peer, begin, branch, register_rm},
    server, stop,
};

fn three_begins() -> Message {
    Message::Merged(Batch { messages: vec![begin(); 3], ids: vec![101, 102, 103] })
}

fn is_begun(message: &Message) -> bool {
    matches!(message, Message::GlobalBeginResponse(answer) if answer.outcome.is_success())
}

#[tokio::test]
async fn each_release_gets_the_answer_that_it_reads() {
    for (version, batch_results) in
        [("2.3.0", false), ("2.6.0", true), ("2.2.0", false), ("2.2.0", true), ("1.4.2", true)]
    {
        let (server, address) = server(|settings| settings.front.batch_results = batch_results).await;
        let mut tm = Peer::tm(address, version).await;
        tm.send_as(&Header::new(Kind::Oneway, 9), &three_begins()).await;
        if version.starts_with("2.3") || version.starts_with("2.6") {
            for id in [101, 102, 103] {
                assert!(is_begun(&tm.answer_to(id).await), "{version}");
            }
        } else if version == "2.2.0" && batch_results {
            let mut ids = Vec::new();
            while ids.len() < 3 {
                let Message::BatchResult(batch) = tm.answer_to(9).await else { panic!("another answer") };
                assert!(batch.messages.iter().all(is_begun));
                ids.extend(batch.ids);
            }
            ids.sort_unstable();
            assert_eq!(ids, [101, 102, 103]);
        } else {
            let Message::MergeResult(answers) = tm.answer_to(9).await else { panic!("another answer") };
            assert_eq!(answers.len(), 3);
            assert!(answers.iter().all(is_begun));
        }
        stop(server).await;
    }
}

#[tokio::test]
async fn a_merged_answer_keeps_the_order_of_its_requests() {
    let (server, address) = server(|_| {}).await;
    let mut rm = Peer::rm(address, "2.0.0", "jdbc:a").await;
    let xid = rm.begin().await;
    let messages = vec![
        branch(&xid, BranchType::At, "jdbc:a", "t:1"),
        branch("127.0.0.1:1:1", BranchType::At, "jdbc:a", "t:2"),
        register_rm("2.0.0", "app", "jdbc:b"),
        begin(),
    ];
    rm.send_as(&Header::new(Kind::Oneway, 9), &Message::Merged(Batch { messages, ids: vec![1, 2, 3, 4] }))
        .await;
    let Message::MergeResult(answers) = rm.answer_to(9).await else { panic!("another answer") };
    let codes: Vec<_> = answers.iter().map(Message::type_code).collect();
    assert_eq!(codes, [12, 12, 104, 2]);
    let Message::BranchRegisterResponse(refused) = &answers[1] else { unreachable!() };
    assert_eq!(refused.outcome.code, TransactionExceptionCode::GlobalTransactionNotExist);
    stop(server).await;
}

#[tokio::test]
async fn more_than_are_worked_on_at_a_time_are_answered_nevertheless() {
    for version in ["2.6.0", "2.0.0"] {
        let (server, address) = server(|settings| settings.front.max_requests_per_connection = 3).await;
        let mut tm = Peer::tm(address, version).await;
        let batch = Batch { messages: vec![begin(); 500], ids: (1_001..=1_500).collect() };
        tm.send_as(&Header::new(Kind::Oneway, 9), &Message::Merged(batch)).await;
        tm.send_as(&Header::new(Kind::Request, 10), &begin()).await;
        match version {
            "2.6.0" => {
                for id in 1_001..=1_500 {
                    assert!(is_begun(&tm.answer_to(id).await));
                }
            }
            _ => {
                let Message::MergeResult(answers) = tm.answer_to(9).await else { panic!("another answer") };
                assert_eq!(answers.len(), 500);
                assert!(answers.iter().all(is_begun));
            }
        }
        assert!(is_begun(&tm.answer_to(10).await), "what came behind it");
        stop(server).await;
    }
}

#[tokio::test]
async fn messages_without_ids_can_only_be_answered_as_a_whole() {
    let (server, address) = server(|settings| settings.front.batch_results = true).await;
    let mut tm = Peer::tm(address, "2.6.0").await;
    // Two begins, and the ids cut off.
    let mut bytes = bytes::BytesMut::new();
    let message = Message::Merged(Batch { messages: vec![begin(); 2], ids: vec![1, 2] });
    seata_protocol::frame::write(&mut bytes, &Header::new(Kind::Oneway, 9), &message).unwrap();
    bytes.truncate(bytes.len() - 8);
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[3..7].copy_from_slice(&length.to_be_bytes());
    bytes[18..22].copy_from_slice(&(length - 22).to_be_bytes());
    tm.write(&bytes).await;
    let Message::MergeResult(answers) = tm.answer_to(9).await else { panic!("another answer") };
    assert_eq!(answers.len(), 2);
    stop(server).await;
}

#[tokio::test]
async fn lz4_is_answered_in_the_form_in_which_it_came() {
    let (server, address) = server(|_| {}).await;
    for lz4 in [Lz4Form::BlockStream, Lz4Form::Frame] {
        let mut tm = Peer::tm(address, "2.0.0").await;
        let mut header = Header { compressor: Compressor::Lz4, ..Header::new(Kind::Request, 7) };
        header.dialect.lz4 = lz4;
        tm.send_as(&header, &begin()).await;
        let (answered, message) = tm.next().await.unwrap();
        assert!(is_begun(&message.unwrap()));
        assert_eq!((answered.compressor, answered.dialect.lz4), (Compressor::Lz4, lz4));
    }
    stop(server).await;
}
