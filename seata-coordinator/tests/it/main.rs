//! The coordinator as its users see it.

mod embedded;
mod support;
