//! The Seata port.

mod clients;
mod listener;

pub(crate) use clients::Clients;
pub(crate) use listener::{Bound, Front};
