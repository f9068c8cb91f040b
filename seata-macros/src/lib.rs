//! The attribute macros #[global_transactional] and #[global_lock].
