//! The journal on disks that work, lose, tear, fill up and rot.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::{
    journal::{JournalStore, Options},
    store::{Store, suite},
};

pub(crate) mod disk;
mod faults;

/// A journal in a directory of its own.
struct OnDisk;

thread_local! {
    static DIRECTORIES: std::cell::RefCell<Vec<TempDir>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl suite::Subject for OnDisk {
    type Store = JournalStore;

    async fn create(&self) -> JournalStore {
        let directory = tempfile::tempdir().unwrap();
        let store = JournalStore::open(directory.path(), 100).unwrap();
        DIRECTORIES.with_borrow_mut(|directories| directories.push(directory));
        store
    }

    async fn reopen(&self, store: JournalStore) -> JournalStore {
        drop(store);
        let path = DIRECTORIES.with_borrow(|directories| directories.last().unwrap().path().to_owned());
        JournalStore::open(path, 100).unwrap()
    }
}

#[tokio::test]
async fn the_journal_passes_the_suite() {
    suite::run(&OnDisk).await;
}

#[tokio::test]
async fn opening_tells_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = JournalStore::open(directory.path(), 0).unwrap();
    for id in 1..=1_000 {
        store.begin(faults::transaction(id)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    // Once more, so that the tables have what was in the log.
    drop(JournalStore::open(directory.path(), 0).unwrap());

    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let on_progress = Some(Arc::new(move |percent| hears.lock().unwrap().push(percent)) as _);
    let _store = JournalStore::open(directory.path(), Options { on_progress, ..Options::from(0) }).unwrap();
    assert_eq!(*told.lock().unwrap(), (1..=100).collect::<Vec<u8>>());
}
