//! The `mcp.json` that people already have: `{"mcpServers": {"files": {"command": "npx", …}}}`.
//!
//! There is no standard for this file; what is read here is what Claude, Cursor and VS Code write.
//! Keys they do not share are left alone, since each of them adds its own. Every error carries the
//! line, the column and the JSON path of what is wrong, and says how to put it right.

mod document;
mod entry;
mod error;
mod slug;

use alloc::string::String;
use alloc::vec::Vec;

use crate::secret::Secret;

pub use error::McpJsonError;
pub use slug::slug;

/// A server of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct McpServer {
    /// Its key in the file.
    pub name: String,
    /// Its name in tool paths: see [`slug()`]. Unique in the file.
    pub slug: String,
    /// Whether the file switches it off (`"disabled": true`).
    pub disabled: bool,
    /// How to reach it.
    pub target: McpTarget,
}

/// How to reach a server.
#[derive(Clone, Debug, PartialEq)]
pub enum McpTarget {
    /// A process to start, spoken to over its standard input and output.
    Stdio {
        /// The executable: a name or a path.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its own environment variables, in the file's order.
        env: Vec<(String, Secret)>,
        /// The directory to start it in.
        cwd: Option<String>,
    },
    /// A server somewhere else.
    Remote {
        /// Its address, `http://` or `https://`.
        url: String,
        /// Headers to send with every request, in the file's order.
        headers: Vec<(String, Secret)>,
        /// How to speak to it.
        protocol: RemoteProtocol,
        /// Whether its users sign in (`"oauth": {…}` as Claude and Gemini write it, `"auth"` as
        /// Cursor and FastMCP do). What these name beside it, such as a client id, is left alone.
        oauth: bool,
    },
}

/// How a remote server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteProtocol {
    /// Streamable HTTP, which is what `url` without a `type` means.
    Http,
    /// The older HTTP with server-sent events.
    Sse,
}

/// Reads the file's bytes into its servers, in the file's order.
///
/// Refuses what it cannot mean: syntax errors, comments, names that occur twice, a server with both
/// or neither of `command` and `url`, and values of another type than the key takes.
pub fn decode(bytes: &[u8]) -> Result<Vec<McpServer>, McpJsonError> {
    let document = document::Document::new(bytes)?;
    let entries = document.servers()?;
    let mut servers: Vec<McpServer> = Vec::with_capacity(entries.len());
    for entry in &entries {
        let (disabled, target) = entry::decode(&document, entry)?;
        let slug = slug::unused(&entry.name, |slug| servers.iter().any(|it| it.slug == slug));
        servers.push(McpServer { name: entry.name.clone(), slug, disabled, target });
    }
    Ok(servers)
}

#[cfg(test)]
mod tests;
