use alloc::format;

use proptest::prelude::*;

use super::*;

fn rules(allow: &[&str]) -> Rules {
    Rules { allow: AllowList::parse(allow.iter().copied()).unwrap(), ..Rules::default() }
}

/// What the rules say of `url` whose host resolves to `address`.
fn reached(rules: &Rules, url: &str, address: &str) -> Result<(), Refusal> {
    rules.admit(url).and_then(|target| {
        let address = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
        rules.judge_address(&target, address, false)
    })
}

#[test]
fn the_public_internet_is_reached_over_https() {
    for (url, address) in [
        ("https://mcp.example.com/mcp", "8.8.8.8"),
        ("https://mcp.example.com:8443/mcp?a", "2606:4700::1111"),
        ("https://8.8.8.8/", "8.8.8.8"),
        ("https://[2606:4700::1111]:3000/", "2606:4700::1111"),
    ] {
        assert_eq!(reached(&rules(&[]), url, address), Ok(()), "{url}");
    }
}

#[test]
fn a_name_is_judged_by_its_address_and_an_address_at_once() {
    for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"] {
        let refused = reached(&rules(&[]), "https://mcp.example.com/", address).unwrap_err();
        assert!(matches!(refused, Refusal::Address { .. }), "{address}: {refused}");
        for url in [format!("https://{address}/"), format!("https://[::ffff:{address}]/")] {
            let refused = rules(&[]).admit(&url).unwrap_err();
            assert!(matches!(refused, Refusal::Address { .. }), "{url}: {refused}");
        }
    }
}

#[test]
fn http_is_for_what_is_listed_and_only_if_allowed() {
    let in_the_clear = |it: Result<(), Refusal>| matches!(it, Err(Refusal::InTheClear { .. }));
    let (url, address) = ("http://wiki.corp/", "10.0.0.1");
    assert!(in_the_clear(reached(&rules(&[]), url, address)));
    for entry in ["wiki.corp", "10.0.0.0/8", "wiki.corp:80", "10.0.0.1"] {
        let strict = rules(&[entry]);
        assert!(in_the_clear(reached(&strict, url, address)), "{entry}");
        let loose = Rules { allow_http: true, ..strict };
        assert_eq!(reached(&loose, url, address), Ok(()), "{entry}");
        assert!(in_the_clear(reached(&loose, "http://mcp.example.com/", "8.8.8.8")), "{entry}");
    }
}

#[test]
fn a_list_opens_what_it_names_and_no_more() {
    let rules = rules(&["wiki.corp", "10.1.0.0/16", "db.corp:5432"]);
    assert_eq!(reached(&rules, "https://wiki.corp:22/", "192.168.0.1"), Ok(()));
    assert_eq!(reached(&rules, "https://any.example/", "10.1.255.255"), Ok(()));
    assert!(reached(&rules, "https://any.example/", "10.2.0.0").is_err());
    assert_eq!(reached(&rules, "https://db.corp:5432/", "192.168.0.1"), Ok(()));
    assert!(reached(&rules, "https://db.corp/", "192.168.0.1").is_err());
}

#[test]
fn metadata_wants_its_address_listed() {
    let address = "169.254.169.254";
    for entry in ["0.0.0.0/0", "169.254.0.0/16", "169.254.169.254/32", "metadata.corp"] {
        assert!(reached(&rules(&[entry]), "https://metadata.corp/", address).is_err(), "{entry}");
    }
    assert_eq!(reached(&rules(&[address]), "https://metadata.corp/", address), Ok(()));
    assert!(reached(&rules(&["::/0"]), "https://x.example/", "fd00:ec2::254").is_err());
}

#[test]
fn the_backend_and_the_satellite_want_their_port_listed() {
    let ourselves = |allow: &[&str]| Rules {
        ourselves: [
            "https://cloud.example.com",
            "https://10.0.0.5:3000",
            "https://sat.example.com:8443",
        ]
        .map(|it| Target::parse(it).unwrap())
        .into(),
        listener: Some(3001),
        ..rules(allow)
    };
    let is_ours = |rules: &Rules, url: &str, address: &str| {
        matches!(reached(rules, url, address), Err(Refusal::Ourselves { .. }))
    };
    let everything = &["0.0.0.0/0", "cloud.example.com", "localhost", "sat.example.com"];
    for rules in [ourselves(&[]), ourselves(everything)] {
        assert!(is_ours(&rules, "https://cloud.example.com/mcp", "8.8.8.8"));
        assert!(is_ours(&rules, "https://CLOUD.example.com.:443/", "8.8.8.8"));
        assert!(is_ours(&rules, "https://sat.example.com:8443/mcp", "8.8.8.8"));
        assert!(is_ours(&rules, "https://any.example:3000/", "10.0.0.5"));
        assert!(is_ours(&rules, "https://any.example:3000/", "::ffff:10.0.0.5"));
        assert!(is_ours(&rules, "https://localhost:3001/mcp", "127.0.0.1"));
        let target = rules.admit("https://any.example:3001/").unwrap();
        let own = rules.judge_address(&target, "8.8.8.8".parse().unwrap(), true);
        assert!(matches!(own, Err(Refusal::Ourselves { .. })));
        // Neighbours are others.
        assert_eq!(reached(&rules, "https://cloud.example.com:8443/", "8.8.8.8"), Ok(()));
        assert_eq!(reached(&rules, "https://any.example:3001/", "8.8.8.8"), Ok(()));
    }
    let named = ourselves(&["cloud.example.com:443", "127.0.0.1:3001", "10.0.0.5:3000"]);
    assert_eq!(reached(&named, "https://cloud.example.com/mcp", "8.8.8.8"), Ok(()));
    assert_eq!(reached(&named, "https://any.example:3000/", "10.0.0.5"), Ok(()));
    assert_eq!(reached(&named, "https://localhost:3001/mcp", "127.0.0.1"), Ok(()));
}

#[test]
fn this_machines_public_address_is_this_machine() {
    let address = "8.8.8.8".parse().unwrap();
    for (allow, url, allowed) in [
        (&[][..], "https://mcp.example.com/", false),
        (&["mcp.example.com"], "https://mcp.example.com/", true),
        (&["8.8.8.8"], "https://mcp.example.com/", true),
        (&["8.8.8.0/24"], "https://mcp.example.com/", true),
    ] {
        let rules = rules(allow);
        let target = rules.admit(url).unwrap();
        assert_eq!(rules.judge_address(&target, address, true).is_ok(), allowed, "{allow:?}");
    }
}

#[test]
fn ports_of_other_protocols_want_to_be_listed() {
    for port in [22, 25, 444, 1023] {
        let url = format!("https://mcp.example.com:{port}/");
        let refused = reached(&rules(&[]), &url, "8.8.8.8").unwrap_err();
        assert!(matches!(refused, Refusal::Port { .. }), "{refused}");
        assert!(rules(&[]).judge_unresolved(&Target::parse(&url).unwrap()).is_err());
        let listed = rules(&[&format!("mcp.example.com:{port}")]);
        assert_eq!(reached(&listed, &url, "8.8.8.8"), Ok(()));
    }
}

#[test]
fn what_a_proxy_resolves_is_judged_by_its_name() {
    let through_a_proxy = |rules: &Rules, url: &str| {
        let target = rules.admit(url)?;
        rules.judge_unresolved(&target)
    };
    let strict = rules(&[]);
    for url in ["https://mcp.example.com/", "https://8.8.8.8/", "https://notlocal.example/"] {
        assert_eq!(through_a_proxy(&strict, url), Ok(()), "{url}");
    }
    for url in [
        "https://localhost/",
        "https://a.localhost./",
        "https://wiki/",
        "https://wiki.corp/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://router.home.arpa/",
    ] {
        let refused = through_a_proxy(&strict, url).unwrap_err();
        assert!(matches!(refused, Refusal::InternalName { .. }), "{url}: {refused}");
    }
    for url in ["https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://mcp.example.com/"] {
        assert!(through_a_proxy(&strict, url).is_err(), "{url}");
    }
    let listed = Rules { allow_http: true, ..rules(&["wiki.corp", "10.0.0.0/8"]) };
    assert_eq!(through_a_proxy(&listed, "http://wiki.corp/"), Ok(()));
    assert_eq!(through_a_proxy(&listed, "http://10.0.0.1/"), Ok(()));
    // A network says nothing of a name that is not looked up.
    assert!(through_a_proxy(&listed, "http://mcp.example.com/").is_err());
}

#[test]
fn a_refusal_says_how_to_allow_it_and_shows_no_secret() {
    let rules = rules(&[]);
    for url in [
        "https://10.0.0.1/CaNaRy?key=CaNaRy",
        "http://mcp.example.com/?key=CaNaRy",
        "https://user:CaNaRy@mcp.example.com/",
        "https://169.254.169.254/CaNaRy",
        "gopher://mcp.example.com/CaNaRy",
    ] {
        let refusal = rules.admit(url).unwrap_err();
        let text = format!("{refusal} {refusal:?}");
        assert!(!text.contains("CaNaRy"), "{text}");
        assert!(text.contains(": "), "{text}");
    }
}

proptest! {
    #[test]
    fn without_a_list_only_public_addresses_are_reached(bits: u128, v4: bool, own: bool) {
        let address = if v4 { IpAddr::from((bits as u32).to_be_bytes()) } else { IpAddr::from(bits.to_be_bytes()) };
        let rules = rules(&[]);
        let target = Target::parse("https://mcp.example.com/").unwrap();
        let allowed = rules.judge_address(&target, address, own).is_ok();
        prop_assert_eq!(allowed, Class::of(address) == Class::Public && !own);
    }

    #[test]
    fn a_longer_list_never_forbids(bits: u32, entry in "(10|127|169|8)\\.0\\.0\\.0/8|mcp\\.example\\.com") {
        let address = IpAddr::from(bits.to_be_bytes());
        let target = Target::parse("https://mcp.example.com/").unwrap();
        let before = rules(&[]).judge_address(&target, address, false);
        let after = rules(&[&entry]).judge_address(&target, address, false);
        prop_assert!(after.is_ok() || before.is_err());
    }
}
