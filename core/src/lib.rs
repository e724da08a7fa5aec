//! Every rule of Satellite, free of I/O.
//!
//! # The contract of a machine
//!
//! 1. `handle` is total: no input from any wire makes it panic. Unknown input gets a verdict, a log
//!    line and a counter.
//! 2. One event, then *all* its effects *in order*, then the next event. `Persist` precedes
//!    whatever presumes it.
//! 3. Time is a [`time::Timestamp`] passed in; deadlines live in states; the host asks
//!    [`Machine::next_deadline`]. There are no timer effects.
//! 4. Randomness is an owned, seeded, forkable [`random::Random`]; ids come from it.
//! 5. Every effect that expects an answer carries an id and an incarnation; late answers are
//!    `Ignored("late")`.
//! 6. Entry actions say what must be true in a state, so restoring and re-entering is harmless.
//! 7. Everything has a bound in [`limits`]; reaching it is a verdict.
//! 8. Ordered maps only. Same inputs, same outputs, on every machine.
//! 9. Events are past tense, effects imperative, states adjectives or participles.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod allowance;
pub mod backend;
pub mod backoff;
pub mod cgroup;
pub mod commands;
pub mod configuration;
pub mod control;
pub mod credentials;
pub mod doctor;
pub mod egress;
pub mod exit;
pub mod heartbeat;
pub mod http;
pub mod id;
pub mod instance;
pub mod isolation;
pub mod journal;
pub mod json;
pub mod limits;
pub mod link;
pub mod log;
mod machine;
pub mod mcp_json;
pub mod metrics;
pub mod outbox;
pub mod package;
pub mod process;
mod query;
pub mod random;
pub mod reconcile;
pub mod recording;
pub mod redaction;
pub mod relay;
pub mod remote;
pub mod request;
pub mod router;
#[cfg(feature = "schema")]
pub mod schema;
pub mod secret;
pub mod server;
pub mod session;
pub mod sse;
pub mod team_user;
pub mod time;
pub mod tokens;
pub mod usage;
pub mod view;
pub mod wire;

pub use machine::{Deadline, Machine, Refusal, Verdict};
