//! The transaction coordinator: state machine, lock table, driver, stores.
