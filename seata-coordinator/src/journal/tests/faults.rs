//! What is acknowledged survives; what does not fit or does not read is said.
