//! End to end: the real program with real clients and real servers, most of which nobody here
//! wrote. Each test starts its own Backend and satellite on free ports and a directory of its own.
//!
//! Nothing here asserts a duration: what must come is waited for, with a bound that only a hang
//! reaches.

mod administration;
mod alike;
mod bad_input;
mod clients;
mod crashes;
mod daemon;
mod disk;
mod doctor;
mod events;
mod failover;
mod flap;
mod fleet;
mod gate;
mod generator;
mod harness;
mod heartbeat;
mod jailed;
mod kills;
mod mcp;
mod migration;
mod oauth;
mod orphans;
mod peer;
mod plain;
mod postgres;
mod real_servers;
mod recordings;
mod remotes;
mod schema;
