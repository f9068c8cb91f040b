//! One application, from its start to its shutdown.

mod remote;
mod server;
mod shutdown;
