//! AT mode on SQLite, MariaDB and PostgreSQL: what users depend on, on each of them the same.

mod bad_input;
mod cancellation;
mod engine;
mod generated;
mod isolation;
mod outcomes;
mod servers;
mod sqlite;
mod statements;
mod transfers;
mod world;
