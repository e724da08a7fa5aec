//! Command admission and results: one effect and one result per command.
