//! The shop: four services with a database each, and purchases that change three of them as one.
//!
//! ```text
//!                     ┌─────────── business ───────────┐   begins, commits and rolls back
//!                     │ HTTP/1                   gRPC  │
//!                     ▼                                ▼
//!                  storage                           order
//!                axum                           tonic
//!                                                      │ HTTP/1
//!                                                      ▼
//!                                                   account
//!                                                hyper
//! ```
//!
//! Each service is a file. `cargo run -p seata-examples --bin shop` plays purchases that commit, fail,
//! are given up half-way and are killed; with `--server` a Java Seata server is their coordinator, with `--orm sea-orm`
//! the services speak to their databases by entities, and with `--db mysql` or `--db postgres` these are on a server.

#![forbid(unsafe_code)]

pub mod account;
pub mod books;
pub mod business;
pub mod crash;
pub mod database;
pub mod error;
pub mod http;
pub mod life;
pub mod order;
pub mod scenes;
pub mod schemas;
pub mod server;
pub mod shop;
pub mod statements;
pub mod storage;
pub mod with_sea_orm;
pub mod with_sqlx;
pub mod witness;

pub use database::{Databases, Db, Orm};
pub use error::ShopError;
pub use shop::{Place, Shop};
