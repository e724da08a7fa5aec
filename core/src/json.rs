//! JSON-RPC as text: how deep, which message, on one line, and rewritten without touching the rest.
//!
//! Values that nobody here interprets stay the bytes they were. [`parse`] is the only way in: it
//! checks encoding, depth and envelope, and whatever it returns is valid JSON throughout.

mod codes;
mod depth;
mod envelope;
mod keys;
mod line;
mod member;
mod rewrite;
#[cfg(test)]
mod tests;

pub use codes::{
    CODE_INTERNAL_ERROR, CODE_INVALID_PARAMS, CODE_INVALID_REQUEST, CODE_METHOD_NOT_FOUND,
    CODE_PARSE_ERROR,
};
pub use depth::{TooDeep, check_depth};
pub use envelope::{Answer, Fault, Id, Invalid, Message, Parsed, elements, parse};
pub(crate) use envelope::{number, present, text_of};
pub use keys::check_keys;
pub use line::{append_one_line, one_line};
pub use member::is_true;
pub use rewrite::{
    Ambiguous, ProgressToken, append_string, error_object, notification_line, progress_token,
    replaced, request_line, response, span_within,
};
