//! The control machine: one per daemon, it owns every lifecycle and the talk with the Backend.

mod effect;
mod event;

pub use effect::{Effect, Exit, ProcessSpec, Record};
pub use event::{Ended, Event, SpawnFailure, Start, StderrLine};
