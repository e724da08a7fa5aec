//! Fuzz targets' bodies as ordinary functions, so that stable Rust can replay their corpora.
//!
//! `cargo fuzz run json_rpc` (with a nightly, or with `RUSTC_BOOTSTRAP=1`) looks for new inputs;
//! what it finds goes into `corpus/` and is replayed by `cargo test` from then on.

pub mod credentials;
pub mod egress;
pub mod journal;
pub mod json_rpc;
pub mod lifecycle;
pub mod mcp_json;
pub mod oauth;
pub mod package;
pub mod recording;
pub mod remote;
pub mod retry_after;
pub mod sse;
pub mod wire;

/// A target's body.
pub type Body = fn(&[u8]);

/// Every target by name, which is also that of its file and of its corpus.
pub const TARGETS: [(&str, Body); 14] = [
    ("credentials", credentials::run),
    ("egress", egress::run),
    ("journal", journal::run),
    ("json_rpc", json_rpc::run),
    ("lifecycle", lifecycle::run),
    ("mcp_json", mcp_json::run),
    ("oauth", oauth::run),
    ("package", package::run),
    ("recording", recording::run),
    ("registration_token", wire::registration_token),
    ("remote", remote::run),
    ("retry_after", retry_after::run),
    ("sse", sse::run),
    ("wire", wire::wire),
];
