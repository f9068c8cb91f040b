//! AT mode on SQLite, MariaDB and PostgreSQL: what users depend on, on each of them the same.

mod bad_input;
mod cancellation;
mod crash;
mod dirty;
mod engine;
mod faults;
mod generated;
mod isolation;
mod mysql;
mod mysql_choices;
mod mysql_sessions;
mod mysql_types;
mod orm;
mod outcomes;
mod postgres;
mod postgres_documents;
mod postgres_phase_two;
mod postgres_tables;
mod postgres_types;
mod round_trips;
mod servers;
mod shop;
mod sqlite;
mod statements;
mod transfers;
mod world;
