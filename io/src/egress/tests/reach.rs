//! Whom it reaches.

use tokio::net::TcpListener;

use super::server::ok;
use super::*;

/// Two servers at the same port of two loopback addresses; only the first may be reached.
async fn neighbours() -> (Server, Server) {
    loop {
        let inner = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = inner.local_addr().unwrap().port();
        if let Ok(outer) = TcpListener::bind((LISTED, port)).await {
            let outer = Server::on(outer, None, |_| ok("outer"));
            return (outer, Server::on(inner, None, |_| ok("inner")));
        }
    }
}

#[tokio::test]
async fn a_name_that_resolves_elsewhere_the_second_time_is_refused() {
    let (outer, inner) = neighbours().await;
    let lookup = Answers::in_turn(&[&[LISTED], &["127.0.0.2"]]);
    let client = asking(lookup.clone());
    let url = format!("http://rebind.example:{}/", outer.port);
    // The first connection goes to what was judged: nothing asks a second time.
    assert_eq!(whole(&client, get(&url)).await.unwrap().1, b"outer");
    assert_eq!((lookup.asked(), outer.seen().len()), (1, 1));
    let rule = refused(&client, get(&url)).await;
    assert!(rule.contains("rebind.example has a loopback address"), "{rule}");
    assert!(!rule.contains("127.0.0.2"), "it tells what names resolve to: {rule}");
    assert_eq!((lookup.asked(), outer.seen().len(), inner.seen().len()), (2, 1, 0));
}

#[tokio::test]
async fn one_bad_address_refuses_the_name() {
    let (outer, inner) = neighbours().await;
    for answer in [&[LISTED, "127.0.0.2"], &["127.0.0.2", LISTED], &[LISTED, "::1"]] {
        let client = asking(Answers::always(answer));
        refused(&client, get(&format!("http://mixed.example:{}/", outer.port))).await;
    }
    assert_eq!((outer.seen().len(), inner.seen().len()), (0, 0));
}

#[tokio::test]
async fn no_way_of_writing_an_address_leads_around_the_rules() {
    let (outer, inner) = neighbours().await;
    let client = client(EgressOptions { rules: rules(&[]), ..EgressOptions::default() });
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "2130706433",
        "2130706434",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::ffff:0:127.0.0.1]",
        "localhost",
        "LOCALHOST.",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "user@127.0.0.1",
        "example.com@127.0.0.1",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/", outer.port);
            // Some are no URI at all for whoever makes the request; that is a refusal too.
            let Ok(request) = http::Request::get(&url).body(Bytes::new()) else { continue };
            refused(&client, request).await;
        }
    }
    assert_eq!((outer.seen().len(), inner.seen().len()), (0, 0));
}

#[tokio::test]
async fn this_satellite_is_not_reached_through_a_network_that_is_listed() {
    let (outer, _) = neighbours().await;
    for (allow, reached) in [
        (&["127.0.0.0/8"][..], false),
        (&["127.0.0.1"], false),
        (&[&*format!("127.0.0.1:{}", outer.port)], true),
    ] {
        let rules = Rules { listener: Some(outer.port), ..rules(allow) };
        let client = client(EgressOptions { rules, ..options() });
        let answer = whole(&client, get(&outer.http("/"))).await;
        assert_eq!(answer.is_ok(), reached, "{allow:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_unresolved_and_a_closed_port_refused() {
    let nobody = asking(Answers::always(&[]));
    let failure = whole(&nobody, get("https://nobody.example/")).await;
    assert!(matches!(failure, Err(HttpFailure::Unresolved(_))), "{failure:?}");
    let system = client(EgressOptions::default());
    let failure = whole(&system, get("https://no-such-host.invalid/")).await;
    assert!(matches!(failure, Err(HttpFailure::Unresolved(_))), "{failure:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = whole(&client(options()), get(&url)).await;
    assert!(matches!(failure, Err(HttpFailure::Refused(_))), "{failure:?}");
}

#[tokio::test]
async fn headers_of_the_connection_are_not_for_others_to_choose() {
    let server = Server::start(|_| ok("")).await;
    let mut request = post(&server.http("/mcp?key=1"));
    for (name, value) in [
        ("host", "inner.corp"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("proxy-authorization", "Basic eA=="),
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer t"),
        ("x-configured", "1"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    whole(&client(options()), request).await.unwrap();
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert!(seen.starts_with("post /mcp?key=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: 127.0.0.1:{}\r\n", server.port)), "{seen}");
    for expected in [
        "content-length: 17",
        "accept-encoding: identity",
        "authorization: bearer t",
        "x-configured: 1",
    ] {
        assert!(seen.contains(&format!("\r\n{expected}\r\n")), "{expected}: {seen}");
    }
    for absent in ["inner.corp", "upgrade", "chunked", "proxy-", "gzip"] {
        assert!(!seen.contains(absent), "{absent}: {seen}");
    }
    assert!(seen.ends_with("{\"jsonrpc\":\"2.0\"}"), "{seen}");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let lookup = Answers::always(&[LISTED]);
    let server = Server::start(|_| {
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi".to_vec()
    })
    .await;
    let client = asking(lookup.clone());
    for _ in 0..5 {
        let url = format!("http://mcp.example.com:{}/", server.port);
        assert_eq!(whole(&client.clone(), get(&url)).await.unwrap().1, b"hi");
    }
    assert_eq!((server.seen().len(), lookup.asked()), (5, 1));
}
