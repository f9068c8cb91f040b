//! The whole system: applications, databases and the coordinator together.

#![forbid(unsafe_code)]

mod bad_input;
mod conflicts;
mod documents;
mod drops;
mod kill;
mod propagation;
mod readme;
mod recovery;
mod server_kills;
mod shop;
mod transfers;
