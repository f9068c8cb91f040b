//! The journal on disks that work, lose, tear, fill up and rot.

use tempfile::TempDir;

use crate::{journal::JournalStore, store::suite};

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
