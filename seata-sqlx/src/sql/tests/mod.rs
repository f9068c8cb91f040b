//! What statements are, by database.

mod cases;
mod fuzz;
mod images;
mod sqlite;
