//! Fuzz targets' bodies as ordinary functions.

pub mod json_rpc;
pub mod mcp_json;
pub mod wire;
