//! Whom a conversation reaches: names that turn, redirects of every kind, certificates.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::egress::tests::server::{Server as Raw, Shows, redirect};
use crate::egress::tests::tls::trusting;
use crate::egress::tests::{LISTED, options};
use crate::http_client::{ClientOptions, Looking, Lookup};

/// An address that nobody may reach.
const INNER: &str = "127.0.0.2";
const EVERY: [u16; 5] = [301, 302, 303, 307, 308];

/// A name that leads to [`LISTED`] until it turns.
#[derive(Clone, Debug, Default)]
struct Turning(Arc<AtomicBool>);

impl Lookup for Turning {
    fn look_up<'a>(&'a self, _: &'a str) -> Looking<'a> {
        let address = if self.0.load(Ordering::Relaxed) { INNER } else { LISTED };
        Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
    }
}

/// A server that keeps no connection, so that each exchange looks the name up.
async fn forgetful(listener: TcpListener) -> Arc<Mutex<Vec<Seen>>> {
    let seen = Arc::default();
    let script: Script = Arc::new(|seen| {
        let mut response = good(seen);
        response.headers_mut().insert("connection", "close".parse().unwrap());
        Some(Reply::Now(response))
    });
    let app = Router::new().fallback(serve).with_state(Server { script, seen: Arc::clone(&seen) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    seen
}

#[tokio::test]
async fn a_name_that_turns_inside_between_two_calls_is_not_followed() {
    let (outer, inner) = loop {
        let inner = TcpListener::bind((INNER, 0)).await.unwrap();
        let port = inner.local_addr().unwrap().port();
        if let Ok(outer) = TcpListener::bind((LISTED, port)).await {
            break (outer, inner);
        }
    };
    let port = outer.local_addr().unwrap().port();
    let (at_outer, at_inner) = (forgetful(outer).await, forgetful(inner).await);
    let turning = Turning::default();
    let client = ClientOptions { lookup: Arc::new(turning.clone()), ..ClientOptions::default() };
    let spec = RemoteSpec {
        endpoints: vec![format!("http://rebind.example:{port}/mcp")],
        ..spec(SocketAddr::from(([127, 0, 0, 1], port)))
    };
    let options = EgressOptions { client, ..options() };
    let mut world = World::through(options, spec, at_outer, Tokens::default());
    world.listed().await;
    assert!(matches!(world.call().await, CallOutcome::Result(_)));
    turning.0.store(true, Ordering::Relaxed);
    let outcome = world.call().await;
    let failure = refusal(&outcome).unwrap_or_else(|| panic!("{outcome:?}"));
    assert_eq!(failure.fault, Fault::Broken);
    let expected = "rebind.example has a loopback address: list the host";
    assert!(failure.message.contains(expected), "{}", failure.message);
    turning.0.store(false, Ordering::Relaxed);
    assert!(matches!(world.call().await, CallOutcome::Result(_)), "it is itself again");
    assert_eq!(world.seen("tools/call").len(), 2);
    assert!(at_inner.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_call_follows_no_redirect_but_one_that_keeps_it_whole_on_its_own_origin() {
    let (other, at_other) = listen(Arc::new(|_: &Seen| None)).await;
    let points = Arc::new(Mutex::new((200, None::<String>)));
    let pointing = Arc::clone(&points);
    let world = World::ready(move |seen| {
        if seen.rpc() != "tools/call" || seen.uri.starts_with("/home") {
            return None;
        }
        let (status, location) = pointing.lock().unwrap().clone();
        let mut response = StatusCode::from_u16(status).unwrap().into_response();
        if let Some(location) = location {
            response.headers_mut().insert("location", location.parse().unwrap());
        }
        Some(Reply::Now(response))
    })
    .await;
    let there = format!("http://{other}/mcp");
    for status in EVERY {
        let follows = matches!(status, 307 | 308);
        for (location, says) in [
            (Some("/home"), "would lose the request's body: configure the address"),
            (Some("/mcp"), if follows { "more than 5 redirects" } else { "would lose" }),
            (Some(&*there), "configure the address it points to"),
            (Some("//10.0.0.1/mcp"), "configure the address it points to"),
            (Some("http://169.254.169.254/"), "configure the address it points to"),
            (Some("http://[::ffff:7f00:2]/"), "configure the address it points to"),
            (
                Some("http://0177.0.0.2/"),
                "the URL writes an address in an unusual form: write four",
            ),
            (
                Some("http://2130706434/"),
                "the URL writes an address in an unusual form: write four",
            ),
            (Some("file:///etc/passwd"), "does not start with https://"),
            (Some("http://user:word@127.0.0.1/"), "holds a user or a password"),
            (None, "configure the address that it redirects to"),
        ] {
            *points.lock().unwrap() = (status, location.map(String::from));
            let outcome = world.call().await;
            if location == Some("/home") && follows {
                assert!(matches!(outcome, CallOutcome::Result(_)), "{status}: {outcome:?}");
                continue;
            }
            let failure = refusal(&outcome).unwrap_or_else(|| panic!("{status}: {outcome:?}"));
            assert_eq!(failure.fault, Fault::Broken, "{status} {location:?}");
            assert!(failure.message.contains(says), "{status} {location:?}: {}", failure.message);
            assert!(!failure.message.contains("operator"), "nobody could allow it");
        }
    }
    assert!(at_other.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_handshake_that_is_redirected_elsewhere_or_into_the_clear_is_a_broken_server() {
    let (other, at_other) = listen(Arc::new(|_: &Seen| None)).await;
    for status in EVERY {
        let there = format!("http://{other}/mcp");
        let secure = Raw::with_tls(Shows::Valid, move |_| redirect(status, &there)).await;
        let https = format!("https://mcp.example.com:{}/mcp", secure.port);
        let failure = handshake(trusting(), https).await;
        assert_eq!(failure.fault, Fault::Broken, "{status}");
        assert!(failure.message.contains("from https to http"), "{}", failure.message);
    }
    assert!(at_other.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_good_keeps_every_message_back() {
    for (shows, options, host, says) in [
        (Shows::Expired, trusting(), "mcp.example.com", "it has expired: have the server's"),
        (Shows::Valid, trusting(), "third.example.com", "it is for another name: check the URL"),
        (Shows::Valid, options(), "mcp.example.com", "SATELLITE_CA_FILE"),
    ] {
        let server = Raw::with_tls(shows, |_| Vec::new()).await;
        let url = format!("https://{host}:{}/mcp", server.port);
        let failure = handshake(options, url).await;
        assert_eq!(failure.fault, Fault::Broken, "{host}");
        assert!(failure.message.contains(says), "{}", failure.message);
        assert!(server.seen().is_empty(), "it was asked something");
    }
}

/// Why the first handshake with a server fails.
async fn handshake(options: EgressOptions, url: String) -> Failure {
    let spec = RemoteSpec { endpoints: vec![url], ..spec(SocketAddr::from(([127, 0, 0, 1], 1))) };
    World::through(options, spec, Arc::default(), Tokens::default()).failure().await
}
