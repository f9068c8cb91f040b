//! The client against a coordinator that does what its script says.

mod check;
mod cluster;
mod faults;
mod phase_two;
mod reconnect;
mod registration;
mod scripted;
mod shutdown;
mod support;
mod transactions;
mod waiting;
mod without_server;
