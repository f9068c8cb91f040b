//! The context and the transaction template, against a coordinator that is told what to answer.

mod bounds;
mod coordinator;
mod degrade;
mod dropped;
mod outcome;
mod propagation;
mod scope;
mod steps;
