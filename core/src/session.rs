//! Sessions of MCP clients, bound to subject, team and instance.
