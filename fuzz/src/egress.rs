//! The reader of URLs, of the operator's list, and of redirects.

use satellite_core::egress::{AllowList, Class, Host, Rules, Target, Trail};

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
        let mut trail = Trail::new(target.clone());
        if trail.answered(&rules, reads, 307, Some(location)).is_ok() {
            let next = trail.current();
            assert!(next.is_same_origin(&target) || (reads && trail.is_off_origin()), "{location}");
            assert!(next.is_https() || !target.is_https(), "{location}");
        }
    }
}
