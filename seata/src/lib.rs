//! Apache Seata for Rust: distributed transactions for async services.
