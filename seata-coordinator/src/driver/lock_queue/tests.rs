use seata_protocol::RowKey;

use super::*;

fn xid(id: u64) -> Xid {
    format!("tc:0:{id}").parse().unwrap()
}

fn rows(keys: impl IntoIterator<Item = u64>) -> LockSet {
    LockSet::new(&keys.into_iter().map(row).collect::<Vec<_>>())
}

fn row(key: u64) -> RowLock {
    let key = RowKey::from_text(key.to_string()).unwrap();
    RowLock { resource: "db".into(), table: "stock".into(), key }
}

fn enter(queue: &LockQueue, id: u64, rows: LockSet) -> Place<'_> {
    let limits = Limits { waiters: usize::MAX, per_client: 0, rows: usize::MAX };
    try_to_enter(queue, id, rows, "", limits).unwrap()
}

fn try_to_enter<'a>(
    queue: &'a LockQueue,
    id: u64,
    rows: LockSet,
    client: &str,
    limits: Limits,
) -> Result<Place<'a>, NoPlace> {
    let wanted = Wanted { xid: xid(id), resource: "db".into(), rows, client: client.into() };
    queue.enter(wanted, (row(0), xid(0)), 0, limits)
}

/// The steps that `act` takes under the lock.
fn steps<T>(queue: &LockQueue, act: impl FnOnce() -> T) -> (T, usize) {
    queue.lock().steps.set(0);
    let result = act();
    (result, queue.lock().steps.get())
}

/// Many wait for the rows of a holder, one behind the other.
fn waiters(queue: &LockQueue, count: u64, keys: u64) -> Vec<Place<'_>> {
    let waiter = |id| {
        let place = enter(queue, id, rows(1..=keys));
        if id == 1 {
            assert_eq!(place.turn(), Turn::Ask);
            assert_eq!(place.is_blocked(row(1), &[xid(0)]), Blocked::New);
        } else {
            assert_eq!(place.turn(), Turn::Sleep);
        }
        place
    };
    (1..=count).map(waiter).collect()
}

#[test]
fn no_call_is_more_work_than_there_are_waiters() {
    let queue = LockQueue::default();
    let count = 2_000;
    let mut places = waiters(&queue, count, 1);
    let few = 4 * count as usize;
    let holder = xid(0).transaction_id();
    let (barrier, taken) = steps(&queue, || queue.barrier(holder, &"db".into(), &rows([1])));
    assert_eq!(barrier, None, "they all wait for it");
    assert!(taken <= few, "{taken} steps of one who passes all");
    let last = enter(&queue, 0, rows([1, 5]));
    let (turn, taken) = steps(&queue, || last.turn());
    assert_eq!(turn, Turn::Ask);
    assert!(taken <= few, "{taken} steps of a waiter who passes all");
    let far: Vec<Xid> = (1..=16).map(|id| xid(count - id)).collect();
    let (blocked, taken) = steps(&queue, || last.is_blocked(row(5), &far));
    let Blocked::DeadLock(cycle) = blocked else { panic!("they wait for it: {blocked:?}") };
    assert!(cycle.len() > 2 && far.contains(&cycle[1]), "{cycle:?}");
    assert!(taken <= few, "{taken} steps to find a dead lock");
    drop(last);
    // Those in the middle go first.
    while !places.is_empty() {
        drop(places.remove(places.len() / 2));
        let Some(next) = places.get(places.len() / 2) else { continue };
        let (_, taken) = steps(&queue, || next.turn());
        assert!(taken <= few, "{taken} steps of one whose neighbour went");
    }
}

#[test]
fn neither_a_client_nor_a_long_list_of_rows_takes_the_whole_queue() {
    let queue = LockQueue::default();
    let limits = Limits { waiters: 9, per_client: 2, rows: 10 };
    let enter = |id, client, count| try_to_enter(&queue, id, rows(0..count), client, limits);
    let mut places = vec![enter(1, "shop:1", 1).unwrap(), enter(2, "shop:1", 1).unwrap()];
    assert_eq!(enter(3, "shop:1", 1).map(drop), Err(NoPlace::Full), "it has two");
    places.push(enter(4, "shop:2", 8).unwrap());
    assert_eq!(enter(5, "", 1).map(drop), Err(NoPlace::Full), "ten rows are wanted");
    places.clear();
    for id in 6..16 {
        places.extend(enter(id, "", 1));
    }
    assert_eq!(places.len(), 9, "this process is no client");
    places.clear();
    let state = queue.lock();
    assert_eq!((state.wanted_rows, state.clients.len(), state.waiters.len()), (0, 0, 0));
}

#[test]
fn rows_of_long_names_take_the_room_of_several() {
    let queue = LockQueue::default();
    let limits = Limits { waiters: 9, per_client: 9, rows: 10 };
    let long = |length| {
        let key = RowKey::from_text("k".repeat(length)).unwrap();
        LockSet::new(&[RowLock { key, ..row(0) }])
    };
    let places = [1, 2].map(|id| try_to_enter(&queue, id, long(1_000), "", limits).unwrap());
    assert_eq!(try_to_enter(&queue, 3, long(1_000), "", limits).map(drop), Err(NoPlace::Full));
    assert!(try_to_enter(&queue, 4, rows([1, 2]), "", limits).is_ok());
    drop(places);
    assert_eq!(queue.lock().wanted_rows, 0);
}

#[test]
fn one_that_is_ahead_of_many_rows_is_followed_once() {
    let queue = LockQueue::default();
    let places = waiters(&queue, 2, 10_000);
    assert_eq!(queue.lock().waiters[&places[1].ticket].ahead, [places[0].ticket]);
}
