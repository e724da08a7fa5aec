//! Why the link ends the daemon: what happened, and what to do next.

use alloc::format;
use alloc::string::ToString;

use crate::exit::Exit;
use crate::limits::REGISTRATION_ATTEMPTS_MAX;
use crate::wire::error::code;

/// Faults of this machine, such as a full disk.
const FAULT: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;
/// The Backend can't be reached.
const UNREACHABLE: u8 = 3;
/// Pairing refused, or revoked.
const PAIRING: u8 = 4;

const NEW_TOKEN: &str = "create a new registration token (`satellite token create`, or the \
    Backend's administration), set DEPLOYSTACK_REGISTRATION_TOKEN to it and start again";

/// The satellite's name breaks the rule of registration.
pub(super) fn bad_name(error: &str) -> Exit {
    Exit {
        code: USAGE,
        error: error.to_string(),
        hint: "choose 10 to 32 characters of a-z, 0-9, '-' and '_' and set \
               DEPLOYSTACK_SATELLITE_NAME to them"
            .to_string(),
    }
}

/// There are no credentials, and no token to get some with.
pub(super) fn no_token() -> Exit {
    Exit {
        code: USAGE,
        error: "this satellite is not paired, and there is no registration token".to_string(),
        hint: "create a registration token (`satellite token create`, or the Backend's \
               administration), set DEPLOYSTACK_REGISTRATION_TOKEN to it and start again"
            .to_string(),
    }
}

/// What was given as a token can't be one, so it is not sent anywhere.
pub(super) fn malformed_token(prefixes: &[&str]) -> Exit {
    Exit {
        code: USAGE,
        error: "DEPLOYSTACK_REGISTRATION_TOKEN does not hold a registration token".to_string(),
        hint: format!(
            "a registration token starts with {} and is one line; copy it whole, or create a new \
             one (`satellite token create`)",
            prefixes.join(" or ")
        ),
    }
}

/// The stored credentials are another Backend's, which alone may see them.
pub(super) fn other_backend(stored: &str, configured: &str) -> Exit {
    Exit {
        code: USAGE,
        error: format!(
            "the stored credentials are for the Backend at {stored}, and the configured one is at \
             {configured}"
        ),
        hint: format!(
            "set DEPLOYSTACK_BACKEND_URL to {stored}; if that Backend has moved, write its address \
             as backend_url into backend.key.json in the state directory; to pair with another \
             Backend, name another SATELLITE_STATE_DIR and set DEPLOYSTACK_REGISTRATION_TOKEN"
        ),
    }
}

/// No Backend answers, and nothing is known to work without it.
pub(super) fn unreachable(what: &str, failure: &str) -> Exit {
    Exit {
        code: UNREACHABLE,
        error: format!("the Backend cannot be reached: {what}: {failure}"),
        hint: "check that DEPLOYSTACK_BACKEND_URL is right and that the Backend runs, then start \
               again; a satellite that is already paired also starts without its Backend"
            .to_string(),
    }
}

/// The registration failed for reasons that may pass, too often to go on.
pub(super) fn not_registered(failure: &str, attempts: u32, maybe_received: bool) -> Exit {
    let mut exit = unreachable("POST /api/satellites/register", failure);
    exit.error = format!("{} (attempt {attempts} of {REGISTRATION_ATTEMPTS_MAX})", exit.error);
    if maybe_received {
        exit.hint.push_str("; an attempt may have used up the token: if the next start says so, ");
        exit.hint.push_str(NEW_TOKEN);
    }
    exit
}

/// The credentials could not be written, and the token is used up.
pub(super) fn not_stored(failure: &str) -> Exit {
    Exit {
        code: FAULT,
        error: format!("paired, but the credentials could not be stored: {failure}"),
        hint: format!("make the state directory writable; the token is used up, so {NEW_TOKEN}"),
    }
}

/// The Backend revoked the pairing.
pub(super) fn revoked(reason: &str) -> Exit {
    let (what, hint) = if reason == code::SATELLITE_DELETED {
        ("deleted this satellite", "if that was intended, nothing is left to do; otherwise")
    } else {
        ("revoked this satellite's API key", "to pair it again under its old id, keep its name and")
    };
    Exit {
        code: PAIRING,
        error: format!("the Backend {what} ({reason}); the stored credentials were removed"),
        hint: format!("{hint} {NEW_TOKEN}"),
    }
}

/// The Backend refused the registration for good.
///
/// `maybe_received`: an earlier attempt's answer was lost, so that very attempt may have used up
/// the token.
pub(super) fn refused(status: u16, reason: &str, message: &str, maybe_received: bool) -> Exit {
    let mut error = format!("the Backend refused the pairing: HTTP {status}");
    for part in [reason, message] {
        if !part.is_empty() {
            error.push_str(": ");
            error.push_str(part);
        }
    }
    let hint = match (status, reason) {
        (400, _) if message.contains("name") => {
            return Exit {
                code: USAGE,
                error,
                hint:
                    "choose another DEPLOYSTACK_SATELLITE_NAME: 10 to 32 characters of a-z, 0-9, \
                       '-' and '_'"
                        .to_string(),
            };
        }
        (400, _) => "the Backend does not understand this satellite's registration; use versions \
                     of the two that belong together"
            .to_string(),
        (409, _) => "the name belongs to a satellite of another owner; choose another \
                     DEPLOYSTACK_SATELLITE_NAME, or delete that satellite first. The token is \
                     still good unless the message says otherwise"
            .to_string(),
        (_, code::REGISTRATION_TOKEN_REQUIRED) => {
            "the token did not arrive; check whether a proxy \
                     between here and the Backend removes the Authorization header"
                .to_string()
        }
        (_, code::TOKEN_EXPIRED) => format!("the token's time is over: {NEW_TOKEN}"),
        (_, code::TOKEN_INVALID_SCOPE) => {
            "the token is for the other kind of satellite; create one of \
                     the kind this satellite is to be, global or of its team (`satellite token \
                     create`)"
                .to_string()
        }
        (_, code::TOKEN_ALREADY_USED) if maybe_received => format!(
            "the answer to an earlier attempt was lost on the way, and that attempt has used up \
             the token: {NEW_TOKEN}"
        ),
        (_, code::TOKEN_ALREADY_USED) => format!("each token pairs once: {NEW_TOKEN}"),
        _ if maybe_received => format!(
            "the answer to an earlier attempt was lost on the way, and that attempt may have used \
             up the token: {NEW_TOKEN}"
        ),
        _ => NEW_TOKEN.to_string(),
    };
    Exit { code: PAIRING, error, hint }
}
