//! What real clients said to a real server 2.0.0, said to this one, answer by answer.
//!
//! `tests/golden` holds the conversations. XIDs and branch ids are this server's own. It differs on purpose in three
//! ways: a report without application data erases none, an ended transaction is answered with its outcome where 2.0.0 says `Finished` or has yet to end it, and the text of a refusal
//! may say more.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
};

use seata_protocol::{
    BranchId, Frame, FrameDecoder, GlobalStatus, Header, Kind, Limits, Message, Outcome, RegisterRm, Release,
    Text,
};
use serde_json::Value;

use crate::{peer::Peer, server, stop};

#[derive(Default)]
struct Ids {
    xids: HashMap<String, String>,
    branches: HashMap<i64, i64>,
}

#[tokio::test]
async fn resource_managers_hear_what_they_heard_from_java() {
    for name in
        ["tcc_commit", "saga_report", "xa_commit_rollback", "at_commit", "at_lock_conflict", "tm_report"]
    {
        replay(name).await;
    }
}

#[tokio::test]
async fn a_2_0_0_client_hears_what_it_heard_from_java() {
    for name in ["tm_commit", "tm_rollback", "old_client", "old_client_protobuf"] {
        replay(name).await;
    }
}

async fn replay(name: &str) {
    let (server, address) = server(|_| {}).await;
    let path = format!("{}/tests/golden/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let mut peers: HashMap<i64, Peer> = HashMap::new();
    let (mut ids, mut asked, mut compared) = (Ids::default(), HashMap::new(), 0);
    // Newer clients are answered one by one here, which Java did later.
    let (mut takes_single, mut merged) = (HashMap::new(), HashMap::new());
    let mut last_status = None;
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(frame) = frame(&line) else { continue };
        let conn = line["conn"].as_i64().unwrap();
        let peer = match peers.entry(conn) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Peer::connect(address).await),
        };
        if matches!(frame.header.kind, Kind::Ping | Kind::Pong) {
            continue;
        }
        let golden = frame.message(&Limits::default()).unwrap().message;
        let place = format!("{name} {}", line["seq"]);
        match (&*line["dir"].as_str().unwrap().to_owned(), frame.header.kind) {
            ("c2s", Kind::Response) => {
                let header: Header = asked.remove(&(conn, frame.header.id)).expect("it was asked");
                let header = Header { id: header.id, ..frame.header };
                peer.send_as(&header, &ids.ours(golden)).await;
            }
            ("c2s", _) => {
                match &golden {
                    Message::RegisterRm(RegisterRm { version, .. }) => {
                        takes_single.insert(conn, Release::of(version).expects_single_answers());
                    }
                    Message::Merged(batch) if takes_single.get(&conn) == Some(&true) => {
                        merged.insert((conn, frame.header.id), batch.ids.clone());
                    }
                    _ => {}
                }
                let message = ids.ours(golden);
                if matches!(message, Message::GlobalStatus(_)) {
                    last_status = Some(message.clone());
                }
                peer.send_as(&frame.header, &message).await;
            }
            ("s2c", Kind::Response) if merged.contains_key(&(conn, frame.header.id)) => {
                let Message::MergeResult(golden) = golden else { panic!("{place}: {golden:?}") };
                for (golden, id) in golden.iter().zip(&merged[&(conn, frame.header.id)]) {
                    let ours = peer.answer_to(*id).await;
                    ids.compare(golden, &ours, &place);
                    compared += 1;
                }
            }
            ("s2c", Kind::Response) => {
                let mut ours = peer.answer_to(frame.header.id).await;
                // It was asked a while after phase two.
                while is_finished(&golden) && !is_complete(&ours) {
                    ours = peer.ask(last_status.clone().expect("it was asked")).await;
                }
                ids.compare(&golden, &ours, &place);
                compared += 1;
            }
            _ => {
                let (header, mut ours) = peer.asked().await;
                assert_eq!(ours.type_code(), golden.type_code(), "{place}");
                let golden = ids.ours(golden);
                if let (
                    Message::BranchCommit(golden) | Message::BranchRollback(golden),
                    Message::BranchCommit(ours) | Message::BranchRollback(ours),
                ) = (&golden, &mut ours)
                    && golden.application_data.is_empty()
                {
                    ours.application_data = Text::new();
                }
                assert_eq!(ours, golden, "{place}");
                asked.insert((conn, frame.header.id), header);
                compared += 1;
            }
        }
    }
    assert!(compared >= 5, "{name}: {compared}");
    stop(server).await;
}

fn is_finished(answer: &Message) -> bool {
    matches!(answer, Message::GlobalStatusResponse(answer) if answer.status == GlobalStatus::Finished)
}

fn is_complete(answer: &Message) -> bool {
    matches!(answer, Message::GlobalStatusResponse(answer) if answer.status.is_complete())
}

fn frame(line: &Value) -> Option<Frame> {
    let hex = line["hex"].as_str()?;
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    let mut bytes = bytes.collect::<Vec<_>>().as_slice().into();
    FrameDecoder::new(Limits::default()).next(&mut bytes).unwrap()
}

impl Ids {
    /// The message with our ids in place of those of the recording.
    fn ours(&self, mut message: Message) -> Message {
        let xid = |xid: &mut Text| {
            if let Some(ours) = self.xids.get(&**xid) {
                *xid = ours.as_str().into();
            }
        };
        let branch = |branch: &mut BranchId| {
            branch.0 = self.branches.get(&branch.0).copied().unwrap_or(branch.0);
        };
        match &mut message {
            Message::GlobalCommit(request)
            | Message::GlobalRollback(request)
            | Message::GlobalStatus(request) => xid(&mut request.xid),
            Message::GlobalReport(request) => xid(&mut request.xid),
            Message::BranchRegister(request) | Message::GlobalLockQuery(request) => xid(&mut request.xid),
            Message::BranchReport(request) => {
                xid(&mut request.xid);
                branch(&mut request.branch_id);
            }
            Message::BranchCommit(request) | Message::BranchRollback(request) => {
                xid(&mut request.xid);
                branch(&mut request.branch_id);
            }
            Message::BranchCommitResponse(answer) | Message::BranchRollbackResponse(answer) => {
                xid(&mut answer.xid);
                branch(&mut answer.branch_id);
            }
            Message::Merged(batch) => {
                let messages = std::mem::take(&mut batch.messages);
                batch.messages = messages.into_iter().map(|message| self.ours(message)).collect();
            }
            _ => {}
        }
        message
    }

    fn compare(&mut self, golden: &Message, ours: &Message, place: &str) {
        use Message::*;
        let outcome = |golden: &Outcome, ours: &Outcome| {
            assert_eq!((golden.result, golden.code), (ours.result, ours.code), "{place}: {ours:?}");
        };
        match (golden, ours) {
            (RegisterTmResponse(golden), RegisterTmResponse(ours))
            | (RegisterRmResponse(golden), RegisterRmResponse(ours)) => {
                assert_eq!(golden.identified, ours.identified, "{place}");
            }
            (GlobalBeginResponse(golden), GlobalBeginResponse(ours)) => {
                outcome(&golden.outcome, &ours.outcome);
                self.xids.insert(golden.xid.to_string(), ours.xid.to_string());
            }
            (BranchRegisterResponse(golden), BranchRegisterResponse(ours)) => {
                // 2.0.0 has forgotten a transaction that this server still knows as ended: both refuse.
                assert_eq!(golden.outcome.result, ours.outcome.result, "{place}: {ours:?}");
                self.branches.insert(golden.branch_id.0, ours.branch_id.0);
            }
            (BranchReportResponse(golden), BranchReportResponse(ours)) => outcome(golden, ours),
            (GlobalLockQueryResponse(golden), GlobalLockQueryResponse(ours)) => {
                outcome(&golden.outcome, &ours.outcome);
                assert_eq!(golden.lockable, ours.lockable, "{place}");
            }
            (GlobalCommitResponse(golden), GlobalCommitResponse(ours))
            | (GlobalRollbackResponse(golden), GlobalRollbackResponse(ours))
            | (GlobalStatusResponse(golden), GlobalStatusResponse(ours))
            | (GlobalReportResponse(golden), GlobalReportResponse(ours)) => {
                outcome(&golden.outcome, &ours.outcome);
                use seata_protocol::GlobalStatus::{AsyncCommitting, Finished};
                let is_known_here =
                    matches!(golden.status, Finished | AsyncCommitting) && ours.status.is_complete();
                assert!(
                    golden.status == ours.status || is_known_here,
                    "{place}: {golden:?}, but here {ours:?}"
                );
            }
            (MergeResult(golden), MergeResult(ours)) => {
                assert_eq!(golden.len(), ours.len(), "{place}");
                for (golden, ours) in golden.iter().zip(ours) {
                    self.compare(golden, ours, place);
                }
            }
            (golden, ours) => panic!("{place}: {golden:?}, but here {ours:?}"),
        }
    }
}
