//! Fuzz targets' bodies as ordinary functions.

pub mod mcp_json;
