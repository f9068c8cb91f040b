//! What users of AT mode depend on, end to end on real files.

mod cancellation;
mod concurrency;
mod conflicts;
mod contexts;
mod dirty;
mod generated;
mod golden;
mod long_logs;
mod phase_two;
mod refusals;
mod rollback_order;
mod statements;
mod undo_documents;
mod undo_table;
mod usage;
mod world;
