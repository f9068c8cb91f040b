//! What statements are, by database.

mod cases;
mod images;
mod sqlite;
