//! What a failed exchange means, by the type of its failure or by its status, never by words.

use alloc::format;
use alloc::string::{String, ToString};

use super::failure::{Failure, Fault};
use super::head::{Content, Head};
use crate::backoff::retry_after;
use crate::http::HttpFailure;
use crate::time::Timestamp;

/// Why a message has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) failure: Failure,
    /// Whether the server may have acted on the message.
    pub(super) may_have_run: bool,
    /// Whether the same message may succeed in a moment, without anybody doing anything.
    pub(super) passes: bool,
    /// Whether it speaks against the endpoint.
    pub(super) blames_endpoint: bool,
}

impl Trouble {
    /// An answer that cannot be used.
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Trouble {
            failure: Failure::new(Fault::Broken, what),
            may_have_run: true,
            passes: false,
            blames_endpoint: false,
        }
    }

    /// The stream that the answer was to come on is gone.
    pub(super) fn cut(what: impl Into<String>) -> Self {
        Trouble {
            failure: Failure::new(Fault::Unreachable, what),
            may_have_run: true,
            passes: true,
            blames_endpoint: true,
        }
    }

    /// The message was never sent.
    pub(super) fn unsent(failure: Failure, passes: bool) -> Self {
        Trouble { failure, may_have_run: false, passes, blames_endpoint: false }
    }
}

/// There is no answer, or no more of it once `has_head`.
pub(super) fn of_failure(failure: &HttpFailure, has_head: bool) -> Trouble {
    let (passes, next) = match failure {
        HttpFailure::Refused(_) | HttpFailure::ConnectTimedOut => {
            (true, "check that the server runs and can be reached from here")
        }
        HttpFailure::Unresolved(_) => (true, "check the host's name and this machine's DNS"),
        HttpFailure::Reset(_) | HttpFailure::Cut(_) | HttpFailure::TimedOut => {
            (true, "check that the server, and what stands before it, keeps running")
        }
        HttpFailure::Tls(_) => (false, "check that the server speaks TLS at this address"),
        HttpFailure::TooLarge { .. } => (false, "ask the server for less at a time"),
        // Their own words end with what to do.
        HttpFailure::Certificate(_) | HttpFailure::Forbidden { .. } => (false, ""),
        HttpFailure::Malformed(_) | HttpFailure::Other(_) => {
            (false, "check the address, and any proxy on the way to it")
        }
    };
    let fault = if passes { Fault::Unreachable } else { Fault::Broken };
    let message = if next.is_empty() { failure.to_string() } else { format!("{failure}; {next}") };
    Trouble {
        failure: Failure::new(fault, message),
        may_have_run: has_head || !failure.has_no_side_effects(),
        passes,
        blames_endpoint: passes,
    }
}

/// A status that is no success.
pub(super) fn of_status(head: &Head, now: Timestamp) -> Trouble {
    let status = head.status;
    let asked = head.retry_after.as_deref().and_then(|text| retry_after::parse(text, now));
    let is_gateway = matches!(status, 502..=504);
    let (fault, next) = match status {
        401 | 403 => {
            (Fault::AuthorisationNeeded, "connect the server again, or check its credentials")
        }
        400..500 if head.is_challenge => {
            (Fault::AuthorisationNeeded, "connect the server again, or check its credentials")
        }
        408 | 429 => (Fault::Unreachable, "wait, or send it fewer requests"),
        _ if is_gateway => (Fault::Unreachable, "check the server, and what stands before it"),
        300..400 => (Fault::Broken, "configure the address that it redirects to"),
        404 | 405 => (Fault::Broken, "check the address: there is no MCP server at it"),
        _ => (Fault::Broken, "look into the server's own log"),
    };
    let passes = fault == Fault::Unreachable;
    // 4xx: the server says that it did not take the request. 503 says so where it names a time.
    let is_refusal = match status {
        408 | 409 => false,
        400..500 => true,
        503 => asked.is_some(),
        _ => (300..400).contains(&status),
    };
    let mut failure =
        Failure::new(fault, format!("the server answered with status {status}; {next}"));
    failure.retry_after_ms = asked.filter(|_| passes);
    Trouble { failure, may_have_run: !is_refusal, passes, blames_endpoint: is_gateway }
}

/// A success whose body is of no use for a request.
pub(super) fn of_content(head: &Head) -> Trouble {
    let what = match head.content {
        Content::Unnamed => "without an answer",
        Content::Other | Content::Json | Content::Events => {
            "that is neither JSON nor an event stream"
        }
    };
    let status = head.status.to_string();
    Trouble::broken(format!(
        "the server answered with status {status} and a body {what}; check the address: there may \
         be no MCP server at it"
    ))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const DETAIL: &str = "401 unauthorized: token invalid, connection refused";

    fn failure(kind: usize, text: &str, limit: usize) -> HttpFailure {
        let text = || String::from(text);
        match kind {
            0 => HttpFailure::Refused(text()),
            1 => HttpFailure::Unresolved(text()),
            2 => HttpFailure::ConnectTimedOut,
            3 => HttpFailure::Tls(text()),
            4 => HttpFailure::Certificate(text()),
            5 => HttpFailure::TimedOut,
            6 => HttpFailure::Reset(text()),
            7 => HttpFailure::Cut(text()),
            8 => HttpFailure::TooLarge { limit },
            9 => HttpFailure::Malformed(text()),
            10 => HttpFailure::Forbidden { what: text() },
            _ => HttpFailure::Other(text()),
        }
    }

    /// What follows from a trouble, but for its words.
    fn verdict(trouble: &Trouble) -> (Fault, Option<u64>, bool, bool, bool) {
        let Trouble { failure, may_have_run, passes, blames_endpoint } = trouble;
        (failure.fault, failure.retry_after_ms, *may_have_run, *passes, *blames_endpoint)
    }

    proptest! {
        #[test]
        fn what_a_failure_means_follows_from_its_type_alone(
            kind in 0_usize..12,
            texts in ("\\PC{0,40}", "(401|403|unauthorized|token|refused| ){0,6}"),
            limit in any::<usize>(),
            has_head in any::<bool>(),
        ) {
            let (one, other) = (failure(kind, &texts.0, limit), failure(kind, &texts.1, limit));
            let trouble = of_failure(&one, has_head);
            prop_assert_eq!(verdict(&trouble), verdict(&of_failure(&other, has_head)));
            // A failure is no word of the server: it takes no access away, and asks for no pause.
            prop_assert_ne!(trouble.failure.fault, Fault::AuthorisationNeeded);
            prop_assert_eq!(trouble.failure.retry_after_ms, None);
            prop_assert_eq!(trouble.passes, trouble.failure.fault == Fault::Unreachable);
            // Only who certainly saw nothing has done nothing.
            prop_assert_eq!(trouble.may_have_run, has_head || !one.has_no_side_effects());
            // What may pass by itself may pass at once elsewhere.
            prop_assert!(!trouble.passes || trouble.blames_endpoint);
            prop_assert!(!trouble.failure.message.is_empty());
        }

        #[test]
        fn what_a_refusal_means_follows_from_its_status_and_the_headers_of_http(
            status in (100_u16..600).prop_filter("a success", |it| !(200..300).contains(it)),
            retry_after in prop::option::of("[0-9]{1,6}|soon|\\PC{0,20}"),
            challenge in prop::option::of("Bearer( error=\"x\")?|Basic realm=\"Bearer\"|\\PC{0,20}"),
            noise in prop::collection::vec(("x-[a-z]{1,8}", "\\PC{0,20}"), 0..4),
            now in 0_u64..2_000_000_000_000,
        ) {
            let now = Timestamp(now);
            let mut headers = Vec::new();
            headers.extend(retry_after.as_deref().map(|value| ("retry-after", value.as_bytes())));
            headers.extend(challenge.as_deref().map(|value| ("www-authenticate", value.as_bytes())));
            let plain = of_status(&Head::new(status, headers.clone()), now);
            headers.extend(noise.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
            let trouble = of_status(&Head::new(status, headers), now);
            prop_assert_eq!(verdict(&plain), verdict(&trouble));
            let fault = trouble.failure.fault;
            // Never tried again by itself, and no fault of the address.
            if matches!(status, 401 | 403) {
                prop_assert_eq!(fault, Fault::AuthorisationNeeded);
            }
            if fault == Fault::AuthorisationNeeded {
                prop_assert!((400..500).contains(&status));
                prop_assert!(!trouble.passes && !trouble.blames_endpoint);
            }
            prop_assert_eq!(trouble.passes, fault == Fault::Unreachable);
            prop_assert!(!trouble.blames_endpoint || trouble.passes);
            // A server's fault is never said not to have run, unless it says when to come back.
            if (500..600).contains(&status) && !trouble.may_have_run {
                prop_assert!(status == 503 && trouble.failure.retry_after_ms.is_some());
            }
            if let Some(asked) = trouble.failure.retry_after_ms {
                prop_assert!(trouble.passes && asked <= crate::limits::BACKOFF_MAX_MS);
            }
            prop_assert!(trouble.failure.message.contains("; "));
        }
    }

    #[test]
    fn failures_are_told_apart_by_their_type_whatever_their_words_say() {
        use Fault::{Broken, Unreachable};
        let text = || String::from(DETAIL);
        for (failure, fault, may_have_run) in [
            (HttpFailure::Refused(text()), Unreachable, false),
            (HttpFailure::Unresolved(text()), Unreachable, false),
            (HttpFailure::ConnectTimedOut, Unreachable, false),
            (HttpFailure::Tls(text()), Broken, false),
            (HttpFailure::Certificate(text()), Broken, false),
            (HttpFailure::TimedOut, Unreachable, true),
            (HttpFailure::Reset(text()), Unreachable, true),
            (HttpFailure::Cut(text()), Unreachable, true),
            (HttpFailure::TooLarge { limit: 1 }, Broken, true),
            (HttpFailure::Malformed(text()), Broken, true),
            (HttpFailure::Forbidden { what: text() }, Broken, false),
            (HttpFailure::Other(text()), Broken, true),
        ] {
            let trouble = of_failure(&failure, false);
            let found = (trouble.failure.fault, trouble.may_have_run);
            assert_eq!(found, (fault, may_have_run), "{failure}");
            assert_eq!(trouble.passes, fault == Unreachable, "{failure}");
            assert!(of_failure(&failure, true).may_have_run, "{failure}");
            assert!(!trouble.failure.message.ends_with("; "), "{failure}");
        }
    }

    #[test]
    fn statuses_are_told_apart() {
        use Fault::{AuthorisationNeeded, Broken, Unreachable};
        let plain = |status| of_status(&Head::new(status, []), Timestamp(0));
        for (status, fault, may_have_run) in [
            (301, Broken, false),
            (400, Broken, false),
            (401, AuthorisationNeeded, false),
            (403, AuthorisationNeeded, false),
            (404, Broken, false),
            (405, Broken, false),
            (408, Unreachable, true),
            (418, Broken, false),
            (429, Unreachable, false),
            (500, Broken, true),
            (502, Unreachable, true),
            (503, Unreachable, true),
            (504, Unreachable, true),
            (599, Broken, true),
        ] {
            let trouble = plain(status);
            let found = (trouble.failure.fault, trouble.may_have_run);
            assert_eq!(found, (fault, may_have_run), "{status}");
        }
        let busy = Head::new(503, [("retry-after", &b"7"[..])]);
        let busy = of_status(&busy, Timestamp(0));
        assert_eq!((busy.may_have_run, busy.failure.retry_after_ms), (false, Some(7_000)));
        let challenge = Head::new(400, [("www-authenticate", &b"Bearer error=\"x\""[..])]);
        let fault = of_status(&challenge, Timestamp(0)).failure.fault;
        assert_eq!(fault, AuthorisationNeeded);
        let other = Head::new(400, [("www-authenticate", &b"Basic realm=\"Bearer\""[..])]);
        assert_eq!(of_status(&other, Timestamp(0)).failure.fault, Broken);
    }
}
