//! One application, from its start to its shutdown.

mod shutdown;
