//! The reader of URLs, of the operator's list, and of redirects.

use satellite_core::egress::{AllowList, Class, Host, Rules, Step, Target, Trail};
use satellite_core::limits::EGRESS_REDIRECTS_MAX;

/// Reads the first line as a URL, the second as a redirect from there, the third as a list.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (url, location) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let entries = lines.next().unwrap_or("").split(',').filter(|it| !it.is_empty());
    let rules = Rules { allow: AllowList::parse(entries).unwrap_or_default(), ..Rules::default() };
    let Ok(target) = Target::parse(url) else { return };
    let form = target.to_string();
    assert_eq!(Target::parse(&form).as_ref(), Ok(&target), "{form}");
    if let Host::Name(name) = target.host() {
        // A resolver would take such a name for an address, past the rules.
        assert!(name.parse::<std::net::IpAddr>().is_err(), "{name}");
    }
    if let (Host::Address(address), Ok(())) = (target.host(), Rules::default().judge(&target)) {
        assert_eq!(Class::of(*address), Class::Public, "{form}");
    }
    for reads in [true, false] {
        for status in [301, 302, 303, 307, 308] {
            follow(&rules, &target, reads, status, location);
        }
    }
}

/// Goes where a server points to, again and again, with and without the way there being allowed.
fn follow(rules: &Rules, first: &Target, reads: bool, status: u16, location: &str) {
    let mut trail = Trail::new(first.clone());
    let mut was_off = false;
    for taken in 0.. {
        let Ok(step) = trail.answered(rules, reads, status, Some(location)) else { return };
        assert_eq!(step, Step::Onward, "{location}");
        assert!(taken < EGRESS_REDIRECTS_MAX, "{location}");
        let next = trail.current();
        assert!(next.is_same_origin(first) || (reads && trail.is_off_origin()), "{location}");
        assert!(next.is_https() || !first.is_https(), "{location}");
        assert!(rules.judge(next).is_ok(), "{location}");
        assert!(reads || matches!(status, 307 | 308), "{location}");
        assert!(trail.is_off_origin() || !was_off, "{location}");
        was_off = trail.is_off_origin();
    }
}
