//! What the log says, and how often.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use seata_protocol::BranchType;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{HandClock, NOON, Scripted, begin, branch, in_memory, settle};
use crate::driver::Reached;

/// Keeps the lines that operators see.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Log {
    fn count(&self, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

#[tokio::test]
async fn a_resource_that_is_lost_is_told_once_and_once_more_when_it_is_back() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    participants.lose_resource("db");
    let (driver, _running) = in_memory(&participants, &clock).await;
    for key in 0..100 {
        let xid = driver.begin(begin(true)).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[&key.to_string()])).await.unwrap();
        driver.rollback(&xid).await.unwrap();
        // Somebody says that it is there, and it is not.
        driver.resource_available(&"db".into());
        settle().await;
    }
    assert_eq!((log.count("nobody has this resource"), log.count("the resource is back")), (1, 0));
    participants.find_resource("db");
    driver.resource_available(&"db".into());
    settle().await;
    settle().await;
    assert_eq!((log.count("nobody has this resource"), log.count("the resource is back")), (1, 1));
    assert_eq!(driver.stats().open, 0);
}

#[tokio::test]
async fn a_transaction_that_fails_again_and_again_is_told_of_less_and_less_often() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    let id = driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    (0..20).for_each(|_| participants.will(id, Reached::Unreachable { reason: "away".to_owned() }));
    driver.rollback(&xid).await.unwrap();
    clock.advance(Duration::from_secs(1_000)).await;
    assert_eq!(participants.calls().len(), 21);
    assert_eq!(log.count("phase two failed"), 5, "at the tries 1, 2, 4, 8 and 16");
}
