//! The surface over a real socket, with a scripted server behind the relays.

mod bad_input;
mod calls;
mod identity;
mod streams;
mod usage;
mod world;
