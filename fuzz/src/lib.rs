//! Fuzz targets' bodies as ordinary functions.

pub mod json_rpc;
pub mod mcp_json;
pub mod retry_after;
pub mod wire;
