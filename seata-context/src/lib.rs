//! The transaction context of a task.
#![forbid(unsafe_code)]

pub mod coordination;
