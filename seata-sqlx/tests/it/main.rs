//! What users of AT mode depend on, end to end on real files.

mod golden;
mod statements;
mod world;
