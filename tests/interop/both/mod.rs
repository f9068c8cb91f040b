//! Rust and Java in AT mode on one database, on MariaDB and on PostgreSQL: each undoes what the other wrote, and a row
//! that one has locked is locked for the other.

mod column_types;
mod database;
mod dirty;
mod row_keys;
mod statements;
mod transfers;
mod undone;
