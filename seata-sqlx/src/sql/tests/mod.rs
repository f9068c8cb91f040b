//! What statements are, by database.

mod sqlite;
