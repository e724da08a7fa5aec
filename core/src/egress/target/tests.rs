use alloc::format;
use alloc::string::ToString;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Target {
    Target::parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

#[test]
fn a_url_has_one_form() {
    for (text, one) in [
        ("https://mcp.example.com", "https://mcp.example.com/"),
        ("HTTPS://MCP.Example.com:443/a?b=c#d", "https://mcp.example.com/a?b=c"),
        ("https://mcp.example.com.:8443?q", "https://mcp.example.com:8443/?q"),
        ("http://10.1.2.3:80/x", "http://10.1.2.3/x"),
        ("https://[2606:4700:0::1]/", "https://[2606:4700::1]/"),
        ("https://[::ffff:127.0.0.1]:9/", "https://[::ffff:127.0.0.1]:9/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://my_host/", "https://my_host/"),
    ] {
        assert_eq!(parse(text).to_string(), one, "{text}");
    }
}

#[test]
fn what_readers_understand_differently_is_refused() {
    for text in [
        "",
        "mcp.example.com",
        "//mcp.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:/mcp.example.com",
        "https://",
        "https:///path",
        "https://user@mcp.example.com/",
        "https://user:password@mcp.example.com/",
        "https://mcp.example.com@127.0.0.1/",
        "https://mcp.example.com\\@127.0.0.1/",
        "https://mcp.example.com\\.evil.example/",
        "https://mcp.example.com:0/",
        "https://mcp.example.com:/",
        "https://mcp.example.com:65536/",
        "https://mcp.example.com:+443/",
        "https://mcp.example.com:443:443/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://127.0.0.0x1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://127.0.0.256/",
        "https://1.2.3.4.5/",
        "https://0x/",
        "https://%31%32%37.0.0.1/",
        "https://１２７.0.0.1/",
        "https://ⓔxample.com/",
        "https://bücher.example/",
        "https://127。0。0。1/",
        "https://a..example/",
        "https://.example/",
        "https://mcp example.com/",
        "https://mcp.example.com/a b",
        "https://mcp.example.com/a\nb",
        "https://mcp.example.com/a\\b",
        "https://mcp.example.com/<script>",
        "https://[::1/",
        "https://::1/",
        "https://[fe80::1%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[::1]x/",
    ] {
        assert!(Target::parse(text).is_err(), "{text}");
    }
    assert!(Target::parse(&format!("https://a.example/{}", "a".repeat(URL_MAX_BYTES))).is_err());
}

#[test]
fn a_reference_is_resolved_as_the_rfc_says() {
    let base = parse("https://a.example/b/c/d;p?q");
    for (reference, meant) in [
        ("g", "https://a.example/b/c/g"),
        ("./g/", "https://a.example/b/c/g/"),
        ("/g", "https://a.example/g"),
        ("//g.example/x", "https://g.example/x"),
        ("?y", "https://a.example/b/c/d;p?y"),
        ("g?y#s", "https://a.example/b/c/g?y"),
        ("", "https://a.example/b/c/d;p?q"),
        ("#s", "https://a.example/b/c/d;p?q"),
        (".", "https://a.example/b/c/"),
        ("..", "https://a.example/b/"),
        ("../../../g", "https://a.example/g"),
        ("/a/../../b/./c", "https://a.example/b/c"),
        ("https://z.example", "https://z.example/"),
        ("HTTP://z.example:81/..", "http://z.example:81/.."),
        ("/x?next=https://z.example", "https://a.example/x?next=https://z.example"),
    ] {
        let joined = base.join(reference).map(|it| it.to_string());
        assert_eq!(joined.as_deref(), Ok(meant), "{reference}");
    }
    for reference in [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:g",
        "//user@z.example/",
        "///x",
        "//127.1/",
        "a b",
        "\\\\z.example\\x",
        "/\\z.example",
        "ftp://z.example/",
    ] {
        assert!(base.join(reference).is_err(), "{reference}");
    }
}

#[test]
fn debug_output_shows_neither_path_nor_query() {
    let shown = format!("{:?}", parse("https://a.example/secret-path?key=secret"));
    assert_eq!(shown, "https://a.example/…");
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    let base = parse("https://a.example/x");
    assert!(base.is_same_origin(&parse("https://A.example.:443/y?z")));
    for other in ["http://a.example/", "https://a.example:8443/", "https://b.a.example/"] {
        assert!(!base.is_same_origin(&parse(other)), "{other}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader_and_its_form_reads_as_itself(text in "\\PC{0,60}", url in "https?://[a-z0-9.:@%\\[\\]/?#-]{0,30}") {
        for text in [text, url] {
            if let Ok(target) = Target::parse(&text) {
                prop_assert_eq!(Target::parse(&target.to_string()), Ok(target.clone()));
                prop_assert_eq!(target.join(&target.to_string()), Ok(target));
            }
        }
    }

    #[test]
    fn a_reference_without_an_authority_stays_on_its_origin(reference in "[a-z0-9./?#;=-]{0,40}") {
        let base = parse("https://a.example/b/c?d");
        if !reference.starts_with("//") {
            let joined = base.join(&reference);
            prop_assert!(joined.is_ok_and(|it| it.is_same_origin(&base)), "{}", reference);
        }
    }

    #[test]
    fn every_form_of_an_address_but_the_plain_one_is_refused(bits: u32) {
        let [a, b, c, d] = bits.to_be_bytes();
        for form in [
            format!("{bits}"),
            format!("{bits:#x}"),
            format!("0{bits:o}"),
            format!("0{a:o}.{b}.{c}.{d}"),
            format!("{a:#x}.{b}.{c}.{d}"),
            format!("{a}.{b}.{c}.{d:#x}"),
            format!("{a}.{}", bits & 0x00ff_ffff),
            format!("{a}.{b}.{}", bits & 0xffff),
            format!("{a}.{b}.{c}.{d}."),
        ] {
            prop_assert!(Host::parse(&form).is_err(), "{}", form);
        }
        let plain = format!("{a}.{b}.{c}.{d}");
        prop_assert!(Host::parse(&plain).is_ok(), "{}", plain);
    }
}
