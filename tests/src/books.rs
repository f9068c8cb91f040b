//! What a bank's databases say, read past AT mode, and whether it can be true.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Row, SqlitePool};

use crate::bank::{Account, OPENING_BALANCE};

/// All that is written in the offices of a bank.
#[derive(Debug, Default)]
pub struct Books {
    /// The balance of each account.
    pub balances: BTreeMap<Account, i64>,
    /// What each transfer did to which accounts.
    pub transfers: BTreeMap<String, Vec<(Account, i64)>>,
    /// Undo rows of branches that are not finished.
    pub unfinished: usize,
    /// Marks against a phase one that comes after its rollback.
    pub defences: usize,
}

impl Books {
    /// Reads the databases, in the order of the offices.
    ///
    /// # Errors
    /// As the databases report.
    pub async fn read(offices: impl IntoIterator<Item = &SqlitePool>) -> sqlx::Result<Self> {
        let mut books = Self::default();
        for (office, pool) in offices.into_iter().enumerate() {
            // One snapshot of each file.
            let mut transaction = pool.begin().await?;
            let accounts = sqlx::query("SELECT number, balance FROM account").fetch_all(&mut *transaction);
            for row in accounts.await? {
                let account = Account { office, number: row.try_get(0)? };
                books.balances.insert(account, row.try_get(1)?);
            }
            let entries = sqlx::query("SELECT transfer, account, amount FROM ledger");
            for row in entries.fetch_all(&mut *transaction).await? {
                let account = Account { office, number: row.try_get(1)? };
                books.transfers.entry(row.try_get(0)?).or_default().push((account, row.try_get(2)?));
            }
            for row in sqlx::query("SELECT log_status FROM undo_log").fetch_all(&mut *transaction).await? {
                match row.try_get::<i64, _>(0)? {
                    0 => books.unfinished += 1,
                    _ => books.defences += 1,
                }
            }
            transaction.commit().await?;
        }
        Ok(books)
    }

    /// Checks what must hold when nothing is open: no money came or went, each balance is what the ledger
    /// says, each transfer has both its ends, and nothing is left to be undone.
    ///
    /// # Panics
    /// When something of it does not hold.
    pub fn assert_balanced(&self, when: &str) {
        let total: i64 = self.balances.values().sum();
        let expected = OPENING_BALANCE * i64::try_from(self.balances.len()).expect("a test has few accounts");
        assert_eq!(total, expected, "{when}: the sum of all balances");
        assert_eq!(self.unfinished, 0, "{when}: undo rows of open branches are left");
        for (transfer, entries) in &self.transfers {
            let sum: i64 = entries.iter().map(|(_, amount)| amount).sum();
            assert!(entries.len() == 2 && sum == 0, "{when}: transfer {transfer} is half done: {entries:?}");
        }
        let mut from_ledger: BTreeMap<Account, i64> =
            self.balances.keys().map(|account| (*account, OPENING_BALANCE)).collect();
        for (account, amount) in self.transfers.values().flatten() {
            *from_ledger.entry(*account).or_default() += amount;
        }
        assert_eq!(self.balances, from_ledger, "{when}: balances, and what the ledger makes of them");
    }

    /// The transfers that were made.
    pub fn made(&self) -> BTreeSet<&str> {
        self.transfers.keys().map(String::as_str).collect()
    }
}
