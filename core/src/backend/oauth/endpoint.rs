//! Addresses that a document names.

use alloc::format;
use alloc::string::{String, ToString};

use super::Problem;
use crate::egress::{Rules, Target};

/// Reads the address `text` that a document gives as its `what`, and judges it by the rules of
/// egress: `https` unless the operator allows otherwise, no other scheme, no user, no fragment.
///
/// Beyond what a URL may not hold, quotes, `$`, backquotes, `;`, `|`, `(`, `)`, `{`, `}` and `^` are
/// refused: no authorisation server needs them, and programs that open addresses have been taken
/// over with them.
///
/// # Errors
///
/// [`Problem::Unacceptable`], which names `what` and the rule.
pub fn endpoint(what: &str, text: &str, rules: &Rules) -> Result<Target, Problem> {
    let refused = |why: &dyn core::fmt::Display| Problem::unreadable(what, why);
    if let Some(odd) = text.chars().find(|it| "\"'`$;|(){}^".contains(*it)) {
        return Err(refused(&format!("its address holds the character {odd:?}")));
    }
    if text.contains('#') {
        return Err(refused(&"its address has a fragment"));
    }
    rules.admit(text).map_err(|refusal| refused(&refusal))
}

/// Scheme, host and port; and the path without its query, empty for the root.
pub(super) fn split(target: &Target) -> (String, String) {
    let (origin, whole) = (target.origin().to_string(), target.to_string());
    let path = whole.strip_prefix(&origin).unwrap_or("");
    let path = path.split('?').next().unwrap_or("");
    (origin, String::from(path.trim_end_matches('/')))
}
