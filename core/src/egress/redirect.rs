//! Which redirects are followed, and what goes along.

use alloc::string::ToString;

use super::{Refusal, Rules, Target};
use crate::limits::EGRESS_REDIRECTS_MAX;

/// A request's way through redirects (RFC 9110 §15.4).
#[derive(Clone, Debug)]
pub struct Trail {
    first: Target,
    current: Target,
    taken: u32,
    off_origin: bool,
}

/// What an answer means for the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the answer.
    Arrived,
    /// The same request goes to [`Trail::current`].
    Onward,
}

impl Trail {
    /// Starts at a target that the rules admitted.
    pub fn new(first: Target) -> Self {
        Trail { current: first.clone(), first, taken: 0, off_origin: false }
    }

    /// Where the request goes next.
    pub fn current(&self) -> &Target {
        &self.current
    }

    /// Whether the way has ever left the origin it began at. From then on only headers that
    /// [`may_leave_its_origin`] go along, even if it comes back.
    pub fn is_off_origin(&self) -> bool {
        self.off_origin
    }

    /// Reads an answer: its status, and its `Location` if it has one.
    ///
    /// A request that only `reads` (GET, HEAD) follows 301, 302, 303, 307 and 308, each target
    /// judged like the first. Any other follows 307 and 308 on its own origin only, for elsewhere
    /// its body would reach somebody it was not meant for; and never 301, 302 and 303, for which
    /// clients drop the body. So a JSON-RPC message is sent whole, or not at all.
    pub fn answered(
        &mut self,
        rules: &Rules,
        reads: bool,
        status: u16,
        location: Option<&str>,
    ) -> Result<Step, Refusal> {
        let keeps_method = matches!(status, 307 | 308);
        let (true, Some(location)) = (keeps_method || matches!(status, 301..=303), location) else {
            return Ok(Step::Arrived);
        };
        if self.taken >= EGRESS_REDIRECTS_MAX {
            return Err(Refusal::TooManyRedirects);
        }
        let next = self.current.join(location)?;
        if self.current.is_https() && !next.is_https() {
            return Err(Refusal::Downgrade);
        }
        let leaves = !next.is_same_origin(&self.first);
        if !reads {
            let origin = next.origin().to_string();
            if !keeps_method {
                return Err(Refusal::MethodWouldChange { status, origin });
            }
            if leaves {
                return Err(Refusal::BodyOffOrigin { status, origin });
            }
        }
        rules.judge(&next)?;
        self.taken += 1;
        self.off_origin |= leaves;
        self.current = next;
        Ok(Step::Onward)
    }
}

/// Whether a header, by its lower-case name, may go to an origin it was not meant for. Everything
/// unknown may hold a credential.
pub fn may_leave_its_origin(name: &str) -> bool {
    matches!(name, "accept" | "accept-language" | "mcp-protocol-version" | "user-agent")
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;
    use crate::egress::AllowList;

    const START: &str = "https://a.example/mcp";

    fn trail() -> Trail {
        Trail::new(Target::parse(START).unwrap())
    }

    fn once(reads: bool, status: u16, location: &str) -> Result<Trail, Refusal> {
        let mut trail = trail();
        trail.answered(&Rules::default(), reads, status, Some(location)).map(|step| {
            assert_eq!(step, Step::Onward);
            trail
        })
    }

    #[test]
    fn an_answer_that_is_no_redirect_has_arrived() {
        for status in [200, 204, 300, 304, 305, 306, 309, 400, 401, 500] {
            let step = trail().answered(&Rules::default(), true, status, Some("/x"));
            assert_eq!(step, Ok(Step::Arrived), "{status}");
        }
        for status in [301, 302, 303, 307, 308] {
            let step = trail().answered(&Rules::default(), true, status, None);
            assert_eq!(step, Ok(Step::Arrived), "{status}");
        }
    }

    #[test]
    fn a_reading_request_follows_every_kind_and_leaves_its_credentials_at_home() {
        for status in [301, 302, 303, 307, 308] {
            let near = once(true, status, "/other?x").unwrap();
            assert_eq!(near.current().to_string(), "https://a.example/other?x");
            assert!(!near.is_off_origin());
            for elsewhere in ["https://b.example/", "https://a.example:8443/", "//b.example"] {
                assert!(once(true, status, elsewhere).unwrap().is_off_origin(), "{elsewhere}");
            }
        }
    }

    #[test]
    fn credentials_stay_away_after_a_way_back() {
        let mut trail = trail();
        for location in ["https://b.example/", START] {
            trail.answered(&Rules::default(), true, 302, Some(location)).unwrap();
        }
        assert_eq!(trail.current().to_string(), START);
        assert!(trail.is_off_origin());
    }

    #[test]
    fn a_body_goes_whole_to_its_own_origin_or_nowhere() {
        for status in [307, 308] {
            assert!(!once(false, status, "/mcp/").unwrap().is_off_origin());
            for elsewhere in ["https://b.example/mcp", "//a.example:8443/mcp"] {
                let refused = once(false, status, elsewhere).unwrap_err();
                assert!(matches!(refused, Refusal::BodyOffOrigin { .. }), "{refused}");
            }
        }
        for status in [301, 302, 303] {
            for anywhere in ["/mcp/", "https://b.example/mcp"] {
                let refused = once(false, status, anywhere).unwrap_err();
                assert!(matches!(refused, Refusal::MethodWouldChange { .. }), "{refused}");
            }
        }
    }

    #[test]
    fn each_target_is_judged_like_the_first() {
        for (location, refused) in [
            ("http://a.example/mcp", "from https to http"),
            ("https://127.0.0.1/", "a loopback address"),
            ("https://[::ffff:169.254.169.254]/", "metadata"),
            ("https://2130706433/", "unusual form"),
            ("https://user@b.example/", "a user"),
            ("file:///etc/passwd", "https://"),
            ("https://8.8.8.8:22/", "port 22"),
        ] {
            for status in [301, 302, 303, 307, 308] {
                let refusal = once(true, status, location).unwrap_err();
                assert!(format!("{refusal}").contains(refused), "{location}: {refusal}");
            }
        }
        let listed = Rules {
            allow: AllowList::parse(["127.0.0.1"]).unwrap(),
            allow_http: true,
            ..Rules::default()
        };
        let mut trail = trail();
        assert!(trail.answered(&listed, true, 302, Some("https://127.0.0.1/")).is_ok());
        let downgrade = trail.answered(&listed, true, 302, Some("http://127.0.0.1/"));
        assert_eq!(downgrade, Err(Refusal::Downgrade));
    }

    #[test]
    fn the_sixth_redirect_is_one_too_many() {
        let mut trail = trail();
        for _ in 0..EGRESS_REDIRECTS_MAX {
            trail.answered(&Rules::default(), true, 302, Some("/mcp")).unwrap();
        }
        let last = trail.answered(&Rules::default(), true, 302, Some("/mcp"));
        assert_eq!(last, Err(Refusal::TooManyRedirects));
        let arrived = trail.answered(&Rules::default(), true, 200, None);
        assert_eq!(arrived, Ok(Step::Arrived));
    }

    proptest! {
        #[test]
        fn nothing_but_what_may_goes_along_to_another_origin(
            hops in prop::collection::vec((300_u16..310, "(https?:)?(//[ab]\\.example)?/[a-z]?"), 1..8),
            reads: bool,
        ) {
            let mut trail = trail();
            for (status, location) in hops {
                let was_off = trail.is_off_origin();
                if trail.answered(&Rules::default(), reads, status, Some(&location)).is_err() {
                    break;
                }
                let home = Target::parse(START).unwrap().is_same_origin(trail.current());
                prop_assert!(home || trail.is_off_origin());
                prop_assert!(trail.is_off_origin() || !was_off);
                prop_assert!(reads || home);
                prop_assert!(trail.current().is_https());
            }
        }
    }
}
