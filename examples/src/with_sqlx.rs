//! The services' statements with sqlx: ordinary SQL, in the words of each database.

mod mysql;
mod postgres;
mod sqlite;
