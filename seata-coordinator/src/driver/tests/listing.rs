//! Lists that are longer than what is read at a time.

use std::collections::HashSet;

use seata_protocol::{BranchType, GlobalStatus, Xid};

use super::{HandClock, NOON, Scripted, begin, branch, in_memory};
use crate::{
    driver::{Driver, Known},
    session::Decision,
    store::{LockFilter, MemoryStore, Store},
};

const MANY: usize = 3_000;

async fn fill(driver: &Driver<MemoryStore, HandClock>) -> Vec<Xid> {
    let mut all = Vec::new();
    for number in 0..MANY {
        let xid = driver.begin(begin(false)).await.unwrap();
        let keys = [format!("a{number}"), format!("b{number}")];
        let resource = if number % 3 == 0 { "db-0" } else { "db-1" };
        let request = branch(&xid, BranchType::At, resource, &[&keys[0], &keys[1]]);
        driver.register_branch(request).await.unwrap();
        all.push(xid);
    }
    all
}

#[tokio::test]
async fn pages_name_each_open_transaction_once_while_others_come_and_go() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let all = fill(&driver).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = driver.page(after, 700).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.snapshot.transaction.id);
        seen.extend(page.into_iter().map(|view| view.snapshot.transaction.xid.clone()));
        // The place of the cursor may be gone; what is behind it is found all the same.
        driver.store().finish(after.unwrap(), GlobalStatus::Committed, None, NOON).await.unwrap();
    }
    assert_eq!(seen, all);
    let even = |snapshot: &crate::record::Snapshot| snapshot.transaction.id.0 % 4 == 1;
    let wanted = driver.page_where(None, 1_000, even).await.unwrap();
    assert_eq!(wanted.len(), 1_000);
    assert!(wanted.iter().all(|view| view.snapshot.transaction.id.0 % 4 == 1));
    assert!(driver.page_where(None, 10, |_| false).await.unwrap().is_empty());
    assert!(driver.page(None, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn locks_are_paged_and_filtered_and_their_holder_is_found() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let all = fill(&driver).await;
    let filters = [
        (LockFilter::default(), MANY * 2),
        (LockFilter { resource: Some("db-0".into()), ..Default::default() }, MANY / 3 * 2),
        (LockFilter { table: Some("stock".into()), key: Some("b77".into()), ..Default::default() }, 1),
        (LockFilter { transaction: Some(all[5].transaction_id()), ..Default::default() }, 2),
        (LockFilter { table: Some("nothing".into()), ..Default::default() }, 0),
    ];
    for (filter, count) in filters {
        let (mut seen, mut after) = (HashSet::new(), None);
        loop {
            let page = driver.locks_after(after, &filter, 999).await.unwrap();
            assert!(page.locks.len() <= 999);
            for held in page.locks {
                assert!(seen.insert((held.lock.key.as_str().to_owned(), held.holder)), "twice");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), count, "{filter:?}");
    }
    let lock = branch(&all[77], BranchType::At, "db-1", &["b77"]).locks.remove(0);
    let held = driver.holder(&lock).await.unwrap().expect("it is held");
    assert_eq!((held.holder, held.since), (all[77].clone(), NOON));
    driver.rollback(&all[77]).await.unwrap();
    assert_eq!(driver.holder(&lock).await, Ok(None));
}

#[tokio::test]
async fn what_ended_is_listed_from_the_last_and_found_as_long_as_it_is_remembered() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let mut all = Vec::new();
    for _ in 0..250 {
        let xid = driver.begin(begin(false)).await.unwrap();
        driver.rollback(&xid).await.unwrap();
        all.push(xid);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = driver.ended(after, 30).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.transaction.id);
        seen.extend(page.iter().map(|ended| ended.transaction.xid.clone()));
    }
    let remembered: Vec<Xid> = all.iter().rev().take(100).cloned().collect();
    assert_eq!(seen, remembered);
    assert_eq!(driver.find(&all[0]).await, Ok(None));
    let Some(Known::Ended(ended)) = driver.find(&all[200]).await.unwrap() else { panic!("it is remembered") };
    assert_eq!((ended.status, ended.at), (GlobalStatus::Rollbacked, NOON));
    assert_eq!((&*ended.transaction.name, &*ended.transaction.application), ("buy", "shop"));
    assert_eq!(ended.transaction.xid, all[200]);
    assert!(driver.ended(Some(all[0].transaction_id()), 9).await.unwrap().is_empty());
}

/// Among many that are open, only those that are parked are looked at.
#[tokio::test]
async fn parked_ones_are_found_without_a_look_at_the_others() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let all = fill(&driver).await;
    participants.lose_resource("db-0");
    participants.lose_resource("db-1");
    let mut parked = Vec::new();
    for xid in all.iter().step_by(29) {
        driver.force(xid, Decision::Rollback, "by hand".into()).await.unwrap();
        driver.park(xid, "later".into()).await.unwrap();
        parked.push(xid.clone());
    }
    let (mut seen, mut after, mut looks) = (Vec::new(), None, 0);
    loop {
        let page = driver
            .parked_where(after, 10, |snapshot| {
                looks += 1;
                snapshot.transaction.id.0 % 2 == 1
            })
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.snapshot.transaction.id);
        seen.extend(page.into_iter().map(|view| view.snapshot.transaction.xid.clone()));
    }
    let odd: Vec<Xid> = parked.iter().filter(|xid| xid.transaction_id().0 % 2 == 1).cloned().collect();
    assert_eq!(seen, odd);
    assert!(looks <= parked.len(), "{looks} looks at {} that are parked", parked.len());
    assert_eq!(driver.parked().await.unwrap().len(), parked.len());
    driver.retry(&parked[0]).await.unwrap();
    assert_eq!(driver.parked().await.unwrap().len(), parked.len() - 1);
}

#[tokio::test]
async fn transactions_of_many_branches_and_branches_of_many_rows_are_listed_in_parts() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let mut rows = Vec::new();
    for number in 0..3 {
        let xid = driver.begin(begin(false)).await.unwrap();
        for _ in 0..3_000 {
            driver.register_branch(branch(&xid, BranchType::At, "db-0", &[])).await.unwrap();
        }
        for part in 0..2 {
            let keys: Vec<String> = (0..3_000).map(|key| format!("{number}-{part}-{key}")).collect();
            let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
            driver.register_branch(branch(&xid, BranchType::At, "db-1", &keys)).await.unwrap();
            rows.extend(keys.into_iter().map(str::to_owned));
        }
    }
    assert_eq!(driver.store().page(None, 3).await.unwrap().len(), 2, "so many branches are enough for once");
    assert_eq!(driver.page(None, 3).await.unwrap().len(), 3);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = driver.locks_after(after, &LockFilter::default(), 7).await.unwrap();
        seen.extend(page.locks.into_iter().map(|held| held.lock.key.as_str().to_owned()));
        after = page.next;
        // It comes back as text, from whoever holds it.
        let Some(text) = after.map(|after| after.to_string()) else { break };
        after = Some(text.parse().unwrap());
    }
    assert_eq!(seen, rows);
    let first = driver.page(None, 1).await.unwrap().remove(0).snapshot;
    let branch = first.branches.last().unwrap().id;
    for place in [1, 3, 5, 17, 60_000_000, u32::MAX] {
        let after = format!("{}.{branch}.{place}", first.transaction.id).parse().unwrap();
        let page = driver.locks_after(Some(after), &LockFilter::default(), 99_999).await.unwrap();
        assert!(page.locks.len() >= 2 * 6_000, "what is behind a place that is none is listed");
    }
}
