//! The world around Satellite, simulated, in two tiers.
//!
//! Tier 1, the [`stage`], is pure: control machines as they ship, a model of the Backend that knows
//! only what the wire says, a model network and model processes, all in one queue ordered by time
//! that jumps from one moment to the next at which something happens. It covers days in seconds and
//! is for lifecycles: pairing, polling, back-off, crashes, restarts.
//!
//! Tier 2, the net (feature `net`), runs the shipped io crate and its Backend over simulated
//! sockets, for what bytes do.
//!
//! Beside both, [`fleet`] counts what thousands of tier 1's satellites ask for in simulated time, and
//! `drive` (feature `drive`) has them ask a Backend that runs, over real HTTP.
//!
//! The tiers take every decision from one seed. A run writes a trace, one JSON object a line; two runs
//! of one seed write the same bytes. What must be true after every step is in
//! [`stage::invariants`]; what must be true once all faults have ended is each scenario's own.

pub mod coverage;
pub mod cpu;
pub mod diff;
#[cfg(feature = "drive")]
pub mod drive;
pub mod edge;
pub mod fleet;
pub mod kill_points;
#[cfg(feature = "net")]
pub mod net;
pub mod replay;
pub mod scenario;
pub mod stage;
pub mod sweep;
pub mod trace;
