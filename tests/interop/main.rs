//! Rust beside Java: one server, Java's own, and applications of both kinds in one transaction.
//!
//! Needs a JDK, Maven, and the servers of MariaDB and PostgreSQL; `tests/interop/prepare` fetches the rest. Run it with
//! `cargo test -p seata-tests --features interop --test interop`.

#![forbid(unsafe_code)]

mod aged_undo_logs;
mod at;
mod both;
mod check;
mod cluster;
mod java_alone;
mod kills;
mod locks;
mod mixed;
mod office;
mod options;
mod services;
mod shop;
