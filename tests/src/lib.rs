//! What the whole-system tests share: a bank whose books must balance, seeds, and waiting with a limit.

#![forbid(unsafe_code)]

pub mod bank;
pub mod books;
#[cfg(feature = "interop")]
pub mod go;
#[cfg(feature = "interop")]
pub mod java;
#[cfg(feature = "interop")]
pub mod line;
#[cfg(any(feature = "databases", feature = "interop"))]
pub mod mariadb;
pub mod polls;
pub mod port;
#[cfg(any(feature = "databases", feature = "interop"))]
pub mod postgres;
#[cfg(any(feature = "databases", feature = "interop"))]
pub mod process;
pub mod rest;
pub mod seed;
#[cfg(feature = "interop")]
pub mod server;
#[cfg(any(feature = "databases", feature = "interop"))]
pub mod sweep;
pub mod wait;

/// How much of something a test does: `short` by default, `long` with the feature of that name.
pub const fn amount(short: usize, long: usize) -> usize {
    if cfg!(feature = "long") { long } else { short }
}
