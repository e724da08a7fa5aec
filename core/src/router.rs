//! What MCP clients may see and do: one authorisation point, one catalogue, two routers' rules.
//!
//! Everything here reads the published [`crate::view::View`] and an identity; nothing here waits,
//! calls or remembers. The surface in io carries the outcome to clients.

pub mod authorise;
pub mod catalogue;
pub mod denial;
pub mod dispatch;
pub mod freshness;
pub mod identity;
pub mod meta_tools;
pub mod outcome;
pub mod protocol;
pub mod resources;
pub mod scope;
pub mod search;

pub use authorise::{instance_by_token, router_access};
pub use catalogue::Catalogue;
pub use denial::{Denial, DenialKind};
pub use identity::{Audience, Subject};
pub use scope::Scope;
