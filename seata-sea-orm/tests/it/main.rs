//! What users of SeaORM in AT mode depend on, end to end on real files.

mod cancellation;
mod conflicts;
mod entities;
mod nesting;
mod outcome;
mod refusals;
mod stories;
mod world;
