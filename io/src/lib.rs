//! Performs what `satellite-core` decides: sockets, processes, files, the clock and the command line.

pub mod clock;
pub mod driver;
pub mod http_client;
