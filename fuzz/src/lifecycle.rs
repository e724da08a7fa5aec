//! The whole control machine under a script that is made of bytes: a Backend, a host and children
//! that do anything at any time.

mod host;
mod script;

use host::Host;
use script::Script;

/// Plays a script.
///
/// # Panics
///
/// When the control machine breaks what it promises: see `lifecycle/host.rs`.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut host = Host::start(&mut script);
    while !script.is_over() && !host.has_ended() {
        host.step(&mut script);
    }
    host.finish();
}
