//! Performs what `satellite-core` decides: sockets, processes, files, the clock and the command line.

#[cfg(feature = "backend")]
pub mod backend;
pub mod cli;
pub mod client;
pub mod clock;
pub mod daemon;
pub mod demo;
pub mod driver;
pub mod egress;
pub mod entropy;
pub mod exit;
pub mod heartbeat_task;
pub mod host;
pub mod host_sample;
pub mod http_client;
mod jail;
pub mod mcp;
pub mod recording;
pub mod relay_task;
pub mod relays;
pub mod remote_task;
pub mod remotes;
pub mod settings;
pub mod state_dir;
pub mod telemetry;
pub mod tokens;
pub mod usage_task;
pub mod world;
