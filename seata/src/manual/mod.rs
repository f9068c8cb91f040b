//! The manual: how things work, and why.
//!
//! - [`context`]: which transaction a piece of code is in, and how it gets there.
//! - [`outcomes`]: what commits, what rolls back, and what a caller sees.
//! - [`at`]: what AT mode does to your SQL, and what it refuses.
//! - [`sea_orm`]: the same with SeaORM.
//! - [`coordinator`]: the embedded coordinator, its data directory, crashes and recovery.
//! - [`remote`]: a coordinator on a server of its own, such as the Java one.
//! - [`differences`]: what is other than in Java Seata, and what is the same.

#[doc = include_str!("context.md")]
pub mod context {}

#[doc = include_str!("outcomes.md")]
pub mod outcomes {}

#[doc = include_str!("at.md")]
pub mod at {}

#[doc = include_str!("sea_orm.md")]
pub mod sea_orm {}

#[doc = include_str!("coordinator.md")]
pub mod coordinator {}

#[doc = include_str!("remote.md")]
pub mod remote {}

#[doc = include_str!("differences.md")]
pub mod differences {}
