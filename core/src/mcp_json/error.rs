//! What is wrong with a file, where, and what to do.

use alloc::string::String;
use core::fmt;

/// Why a `mcp.json` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpJsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The JSON path of the value concerned, such as `mcpServers.files.args[1]`; empty where the
    /// text could not be read that far.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for McpJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)
    }
}

impl core::error::Error for McpJsonError {}
