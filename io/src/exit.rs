//! How a command ends: the exit codes, and an error with what to do about it.

pub use satellite_core::exit::Exit;

/// Done.
pub const DONE: u8 = 0;
/// Something went wrong.
pub const FAULT: u8 = 1;
/// The command line or a setting is wrong.
pub const USAGE: u8 = 2;
/// The Backend cannot be reached.
pub const UNREACHABLE: u8 = 3;
/// The Backend refused the pairing, or revoked it.
pub const REFUSED: u8 = 4;
/// A port is taken.
pub const PORT_IN_USE: u8 = 5;
/// Ended by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// An end with code [`FAULT`].
pub fn fault(error: impl Into<String>, hint: impl Into<String>) -> Exit {
    Exit { code: FAULT, error: error.into(), hint: hint.into() }
}

/// An end with code [`USAGE`].
pub fn usage(error: impl Into<String>, hint: impl Into<String>) -> Exit {
    Exit { code: USAGE, error: error.into(), hint: hint.into() }
}
