//! AT mode for SeaORM: entities whose changes a global transaction commits or undoes.
//!
//! An [`AtDatabase`] takes the place of a [`sea_orm::DatabaseConnection`]; entities, queries and transactions stay as
//! they are. Inside a global transaction each change is wrapped in two images of its rows and locked with the
//! coordinator, as [`seata_sqlx`] does it: what is undone, refused and waited for is told there.
//!
//! ```
//! use sea_orm::{ExprTrait, TransactionTrait, entity::prelude::*, sea_query::Expr};
//! use seata_sea_orm::AtDatabase;
//! use seata_sqlx::AtSqlitePool;
//!
//! mod stock {
//!     use sea_orm::entity::prelude::*;
//!
//!     #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
//!     #[sea_orm(table_name = "stock")]
//!     pub struct Model {
//!         #[sea_orm(primary_key)]
//!         pub id: i64,
//!         pub pieces: i64,
//!     }
//!
//!     #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
//!     pub enum Relation {}
//!
//!     impl ActiveModelBehavior for ActiveModel {}
//! }
//!
//! # async fn deduct(pool: AtSqlitePool) -> Result<(), Box<dyn std::error::Error>> {
//! let db = AtDatabase::from(pool);
//!
//! // A statement by itself is a branch of its own …
//! stock::Entity::update_many()
//!     .col_expr(stock::Column::Pieces, Expr::col(stock::Column::Pieces).sub(2))
//!     .filter(stock::Column::Id.eq(7))
//!     .exec(&db)
//!     .await?;
//!
//! // … and a transaction is one branch.
//! db.transaction(|tx| {
//!     Box::pin(async move {
//!         let chair = stock::Entity::find_by_id(7).one(tx).await?.ok_or(DbErr::RecordNotUpdated)?;
//!         stock::ActiveModel { pieces: sea_orm::Set(chair.pieces - 2), ..chair.into() }.update(tx).await
//!     })
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Which transaction
//! The context is read when a method of [`ConnectionTrait`](sea_orm::ConnectionTrait) and its relatives is called. The
//! entity API calls them when its futures are polled.
//!
//! # Transactions
//! `begin` on a transaction sets a savepoint. While it is open, the transaction that it was begun in is not used: a
//! statement there would be rolled back with the savepoint, so it is refused, as a second savepoint beside it is. SeaORM
//! itself lets them pass. Dropped without a decision, a transaction or savepoint is rolled back.
//!
//! Isolation levels, access modes and SQLite's kinds of BEGIN are honoured, or refused with
//! [`DbErr::BackendNotSupported`](sea_orm::DbErr::BackendNotSupported) before anything has run:
//!
//! | | SQLite | MySQL, MariaDB | PostgreSQL |
//! |---|---|---|---|
//! | isolation level | all: its transactions are serializable, the strongest | honoured | honoured |
//! | read only | refused | honoured | honoured |
//! | deferred, immediate, exclusive | honoured; in AT mode, deferred is immediate | refused | refused |
//! | any of them for a savepoint | as the transaction has it, else refused | refused | refused |
//!
//! # Locking reads
//! `find().lock_exclusive()` and its relatives read what no *other* global transaction has changed and not yet decided.
//! SeaORM writes no FOR UPDATE for SQLite, which has none; the data source reads such a query as
//! [`AtPool::global_committed`](seata_sqlx::AtPool::global_committed) does, inside a global transaction and under
//! `#[global_lock]`. Where a query has one of SQLite's own operators (`GLOB`, `MATCH`, `->`, `->>`), nobody can see whether
//! it is to lock, and it is read so too; as a [`Statement`](sea_orm::Statement) of its own text it is read as it stands.
//!
//! # Streams
//! A stream of a transaction has its connection until it ends or is dropped. A statement of the same transaction waits
//! for it, and is refused when it has waited for 30 seconds: the usual cause is a loop over the stream that changes
//! what it reads. So is one that waits as long for another statement, which waits for a row.
//!
//! # Errors
//! [`at_error`] finds the cause in a [`DbErr`](sea_orm::DbErr), if it is one of AT mode.
//!
//! # Cancellation
//! Every future here may be dropped at any time, as those of [`seata_sqlx`].
//!
//! # Features
//! `sqlite` (default), `mysql` and `postgres`: the databases that a data source can stand on. Without any of them
//! there is nothing here.
#![forbid(unsafe_code)]

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod database;

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use database::{AtDatabase, AtDatabaseTransaction, at_error};
