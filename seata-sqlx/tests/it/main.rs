//! What users of AT mode depend on, end to end on real files.

mod conflicts;
mod contexts;
mod golden;
mod refusals;
mod statements;
mod usage;
mod world;
