//! Whole-system tests of Apache Seata for Rust.
