//! Permissions of access tokens.

/// A permission that an access token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See what there is.
    Read,
    /// Call tools.
    Execute,
}

impl Scope {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "mcp:read",
            Scope::Execute => "mcp:tools:execute",
        }
    }
}
