//! A bank with an office in each of several databases, and transfers between their accounts.

use std::{fmt, path::Path, time::Duration};

use rand::{Rng, rngs::StdRng};
use seata::{
    Coordinator, Seata,
    at::{AtError, AtPool},
    coordinator::Settings,
    global_transactional,
};
use sqlx::{
    Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    books::Books,
    rest,
    wait::{self, LIMIT},
};

/// What each account has at first.
pub const OPENING_BALANCE: i64 = 1000;

/// A whole bank: an application, its coordinator, and a data source in AT mode for each office.
#[derive(Clone, Debug)]
pub struct Bank {
    /// The application that makes the transfers.
    pub seata: Seata,
    /// Its databases.
    pub offices: Vec<Office>,
    plan: Plan,
}

/// One database.
#[derive(Clone, Debug)]
pub struct Office {
    /// The database as transactions use it.
    pub at: AtPool<Sqlite>,
    /// The same database, past AT mode.
    pub raw: SqlitePool,
}

/// How a bank is made.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many databases there are.
    pub offices: usize,
    /// How many accounts each of them has. Few make conflicts.
    pub accounts: i64,
    /// The pause between two tries to get a row.
    pub lock_interval: Duration,
    /// How many such pauses are made.
    pub lock_times: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self { offices: 2, accounts: 3, lock_interval: Duration::from_millis(10), lock_times: 30 }
    }
}

/// One account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The index of the office.
    pub office: usize,
    /// The primary key there, from 1.
    pub number: i64,
}

/// Money that is to change hands.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Its name in the ledger.
    pub id: String,
    /// Who pays.
    pub from: Account,
    /// Who gets it.
    pub to: Account,
    /// How much.
    pub amount: i64,
    /// The bank changes its mind when all is written.
    pub is_declined: bool,
}

/// Why a transfer was not made.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The payer has too little.
    #[error("account {0} has too little")]
    NoFunds(Account),
    /// The bank changed its mind.
    #[error("declined")]
    Declined,
    /// Another transfer holds a row.
    #[error("row {row} is held by {holder}")]
    Locked {
        /// The row.
        row: String,
        /// The global transaction that holds it.
        holder: String,
    },
    /// The database file is in use by others for too long.
    #[error("the database is busy")]
    Busy,
    /// Anything else that a database said.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// The global transaction did not commit.
    #[error("transaction: {0}")]
    Transaction(#[from] seata::Error),
}

impl Bank {
    /// Opens the bank in this directory, and builds it when it is not there. An earlier life's
    /// transactions are finished in the background; see [`settle`](Self::settle).
    ///
    /// # Errors
    /// Whatever keeps the coordinator or a database from being opened.
    pub async fn open(directory: &Path, plan: Plan) -> Result<Self, Box<dyn std::error::Error>> {
        let coordinator = open_coordinator(directory).await?;
        Self::open_on(&coordinator, directory, plan).await
    }

    /// As [`open`](Self::open), on a coordinator that is there.
    ///
    /// # Errors
    /// Whatever keeps a database from being opened.
    pub async fn open_on(
        coordinator: &Coordinator,
        directory: &Path,
        plan: Plan,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let seata = Seata::builder("bank").coordinator(coordinator).start().await?;
        let mut offices = Vec::new();
        for office in 0..plan.offices {
            let raw = open_database(directory, office).await?;
            build(&raw, plan.accounts).await?;
            let at = AtPool::builder(raw.clone(), &seata)
                .lock_retry(plan.lock_interval, plan.lock_times)
                .open()
                .await?;
            offices.push(Office { at, raw });
        }
        Ok(Self { seata, offices, plan })
    }

    /// Makes a transfer, wholly or not at all.
    ///
    /// # Errors
    /// [`TransferError`] names why it was not made.
    #[global_transactional(name = "transfer", timeout = "60s", client = self.seata)]
    pub async fn transfer(&self, transfer: &Transfer) -> Result<(), TransferError> {
        self.withdraw(transfer).await?;
        self.deposit(transfer).await?;
        if transfer.is_declined { Err(TransferError::Declined) } else { Ok(()) }
    }

    /// Two statements in one local transaction. A conflict ends it at once, so it is up to us to try again.
    async fn withdraw(&self, transfer: &Transfer) -> Result<(), TransferError> {
        let mut tried = 0;
        loop {
            match self.try_withdraw(transfer).await {
                Err(TransferError::Locked { .. }) if tried < self.plan.lock_times => tried += 1,
                result => return result,
            }
            tokio::time::sleep(self.plan.lock_interval).await;
        }
    }

    async fn try_withdraw(&self, transfer: &Transfer) -> Result<(), TransferError> {
        let Transfer { id, from, amount, .. } = transfer;
        let mut local = self.offices[from.office].at.begin().await?;
        let paid =
            sqlx::query("UPDATE account SET balance = balance - ?1 WHERE number = ?2 AND balance >= ?1")
                .bind(amount)
                .bind(from.number)
                .execute(&mut local)
                .await?;
        if paid.rows_affected() == 0 {
            return Err(TransferError::NoFunds(*from));
        }
        sqlx::query("INSERT INTO ledger (transfer, account, amount) VALUES (?, ?, ?)")
            .bind(id)
            .bind(from.number)
            .bind(-amount)
            .execute(&mut local)
            .await?;
        Ok(local.commit().await?)
    }

    /// Two statements, each a branch of its own, which the data source tries again by itself.
    async fn deposit(&self, transfer: &Transfer) -> Result<(), TransferError> {
        let Transfer { id, to, amount, .. } = transfer;
        let office = &self.offices[to.office].at;
        sqlx::query("UPDATE account SET balance = balance + ? WHERE number = ?")
            .bind(amount)
            .bind(to.number)
            .execute(office)
            .await?;
        sqlx::query("INSERT INTO ledger (transfer, account, amount) VALUES (?, ?, ?)")
            .bind(id)
            .bind(to.number)
            .bind(amount)
            .execute(office)
            .await?;
        Ok(())
    }

    /// Waits until nothing is open: no global transaction, no lock, no undo row of an open branch.
    ///
    /// # Panics
    /// When that takes longer than [`LIMIT`], with what is left and why.
    pub async fn settle(&self) -> Books {
        wait::until("the end of all transactions", || async {
            match self.leftovers().await {
                None => Ok(self.books().await),
                Some(leftovers) => Err(leftovers),
            }
        })
        .await
    }

    async fn leftovers(&self) -> Option<String> {
        if let Some(open) = rest::open(&self.seata).await {
            return Some(open);
        }
        match self.books().await.unfinished {
            0 => None,
            unfinished => Some(format!("{unfinished} undo rows of open branches")),
        }
    }

    /// What is written now.
    ///
    /// # Panics
    /// When a database cannot be read.
    pub async fn books(&self) -> Books {
        Books::read(self.offices.iter().map(|office| &office.raw)).await.expect("the databases can be read")
    }

    /// One account's balance, past AT mode.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn balance(&self, account: Account) -> i64 {
        sqlx::query_scalar("SELECT balance FROM account WHERE number = ?")
            .bind(account.number)
            .fetch_one(&self.offices[account.office].raw)
            .await
            .expect("the account is there")
    }

    /// The coordinator, which is in this process.
    pub fn coordinator(&self) -> &Coordinator {
        self.seata.coordinator().expect("it is in this process")
    }

    /// Ends in order.
    ///
    /// # Panics
    /// When something is still open after [`LIMIT`].
    pub async fn close(&self) {
        self.seata.shutdown(LIMIT).await.expect("nothing is open");
        self.coordinator().shutdown(LIMIT).await.expect("the journal is well");
        for office in &self.offices {
            office.at.close().await;
        }
    }
}

/// The coordinator of the bank in this directory, quick to try again.
///
/// # Errors
/// Whatever keeps the data directory from being opened.
pub async fn open_coordinator(directory: &Path) -> Result<Coordinator, seata::coordinator::OpenError> {
    let mut settings = Settings::default();
    settings.retry_period = Duration::from_millis(50);
    Coordinator::open_with(directory.join("seata-data"), settings).await
}

/// The database of one office, past AT mode.
///
/// # Errors
/// As the database reports.
pub async fn open_database(directory: &Path, office: usize) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(directory.join(format!("office-{office}.db")))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(10));
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await
}

async fn build(pool: &SqlitePool, accounts: i64) -> sqlx::Result<()> {
    for table in [
        "CREATE TABLE IF NOT EXISTS account (number INTEGER PRIMARY KEY, balance INTEGER NOT NULL)",
        "CREATE TABLE IF NOT EXISTS ledger (transfer TEXT NOT NULL, account INTEGER NOT NULL, \
         amount INTEGER NOT NULL, PRIMARY KEY (transfer, account))",
    ] {
        sqlx::query(table).execute(pool).await?;
    }
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for number in 1..=accounts {
        sqlx::query("INSERT INTO account VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(number)
            .bind(OPENING_BALANCE)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

impl Plan {
    /// A transfer between two accounts, one in ten of which is declined.
    pub fn any_transfer(&self, id: String, numbers: &mut StdRng) -> Transfer {
        let from = self.any_account(numbers);
        let to = loop {
            let to = self.any_account(numbers);
            if to != from {
                break to;
            }
        };
        Transfer { id, from, to, amount: numbers.random_range(1..=50), is_declined: numbers.random_bool(0.1) }
    }

    fn any_account(&self, numbers: &mut StdRng) -> Account {
        Account {
            office: numbers.random_range(0..self.offices),
            number: numbers.random_range(1..=self.accounts),
        }
    }
}

impl From<sqlx::Error> for TransferError {
    fn from(error: sqlx::Error) -> Self {
        const SQLITE_BUSY: i32 = 5;
        if let Some(AtError::LockConflict { row, holder, .. }) = AtError::from_sqlx(&error) {
            return Self::Locked { row: row.clone(), holder: holder.clone() };
        }
        let code = error.as_database_error().and_then(|error| error.code());
        match code.and_then(|code| code.parse::<i32>().ok()) {
            Some(code) if code & 0xff == SQLITE_BUSY => Self::Busy,
            _ => Self::Database(error),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.office, self.number)
    }
}
