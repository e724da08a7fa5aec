//! What needs a kernel with cgroup v2 of its own. Runs as a whole in one VM: `tests/run vm`.
//!
//! Without KVM everything takes long in there, so waits are bounded generously; nothing asserts how
//! long something took.

mod attacks;
mod bench;
mod control_groups;
mod daemon;
mod delegation;
mod frost;
mod places;
mod systemd;
