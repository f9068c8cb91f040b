//! The attributes on real functions, against a coordinator that writes down what it is asked.

mod coordinator;
mod forms;
mod refused;
mod rules;
