//! Whether anything is still going on.

use seata::Seata;

/// What is still open of this application's transactions and at its coordinator, as a text.
///
/// # Panics
/// When the coordinator has ended, or is not in this process.
pub async fn open(seata: &Seata) -> Option<String> {
    // In this order: what is handed over to the coordinator is seen there.
    let under_way = seata.client().open_transactions();
    let coordinator = seata.coordinator().expect("a coordinator in this process");
    let open = coordinator.transactions().await.expect("the coordinator runs");
    let locks = coordinator.locks().await.expect("the coordinator runs");
    if under_way == 0 && open.is_empty() && locks.is_empty() {
        return None;
    }
    let open: Vec<String> = open
        .iter()
        .map(|view| {
            let (transaction, status) = (&view.snapshot.transaction, view.snapshot.status);
            format!("{} {status}, waits for {:?}, {:?}", transaction.xid, view.waits_for, view.reason)
        })
        .collect();
    Some(format!("{under_way} under way; open: {open:?}; locks: {locks:?}"))
}
