//! Control groups (cgroup v2): each process of a server is born in a group of its own, below that of
//! its team, in the part of the hierarchy that was delegated to this daemon:
//!
//! ```text
//! delegated directory          where the daemon was started
//! └ satellite-MARKER           this state directory's
//!   ├ daemon                   the daemon itself: beside controllers there may be no processes
//!   └ team-HASH                the team's limits
//!     └ HASH-INCARNATION       the process's limits
//! ```

mod delegated;
mod group;
mod tree;

pub(super) use group::Group;
pub use tree::{ControlGroups, Opened};
