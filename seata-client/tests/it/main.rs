//! The client against a coordinator that does what its script says.

mod check;
mod scripted;
