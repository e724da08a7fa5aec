//! The `mcp.json` that people already have.
