//! The error codes that JSON-RPC itself defines.

/// Not JSON (JSON-RPC 2.0 §5.1).
pub const CODE_PARSE_ERROR: i64 = -32_700;
/// Not a request (JSON-RPC 2.0 §5.1).
pub const CODE_INVALID_REQUEST: i64 = -32_600;
/// No such method (JSON-RPC 2.0 §5.1).
pub const CODE_METHOD_NOT_FOUND: i64 = -32_601;
/// Parameters that do not fit the method (JSON-RPC 2.0 §5.1).
pub const CODE_INVALID_PARAMS: i64 = -32_602;
/// A fault of the answering side (JSON-RPC 2.0 §5.1).
pub const CODE_INTERNAL_ERROR: i64 = -32_603;
