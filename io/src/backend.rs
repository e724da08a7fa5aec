//! The Backend: what satellites are paired with, polls of and report to.

pub mod store;
