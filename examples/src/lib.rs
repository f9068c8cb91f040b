//! Runnable examples of Apache Seata for Rust.
