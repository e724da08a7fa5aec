//! Every kind of redirect.

use super::server::{ok, redirect};
use super::*;

const EVERY: [u16; 5] = [301, 302, 303, 307, 308];

/// A server whose paths say what to answer: `/307/URL` redirects there, everything else is `home`.
async fn redirecting() -> Server {
    Server::start(|head| {
        let path = head.split(' ').nth(1).unwrap();
        match path.get(1..4).and_then(|it| it.parse().ok()) {
            Some(status) => redirect(status, path.get(5..).unwrap()),
            None => ok("home"),
        }
    })
    .await
}

fn with_credentials(mut request: http::Request<Bytes>) -> http::Request<Bytes> {
    for (name, value) in [
        ("authorization", "Bearer CaNaRy"),
        ("cookie", "s=CaNaRy"),
        ("x-api-key", "CaNaRy"),
        ("mcp-session-id", "CaNaRy"),
        ("accept", "text/event-stream"),
        ("mcp-protocol-version", "2025-11-25"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_get_keeps_its_headers_at_home_and_loses_its_credentials_elsewhere() {
    let (home, elsewhere) = (redirecting().await, redirecting().await);
    let client = client(options());
    for status in EVERY {
        let near = home.http(&format!("/{status}//near"));
        whole(&client, with_credentials(get(&near))).await.unwrap();
        let seen = home.seen().pop().unwrap();
        assert!(seen.starts_with("get /near ") && seen.contains("authorization: bearer"), "{seen}");
        let away = home.http(&format!("/{status}/{}", elsewhere.http("/away")));
        whole(&client, with_credentials(get(&away))).await.unwrap();
        let seen = elsewhere.seen().pop().unwrap();
        assert!(seen.starts_with("get /away "), "{seen}");
        assert!(!seen.contains("canary"), "{status} took credentials along: {seen}");
        assert!(seen.contains("accept: text/event-stream\r\n"), "{seen}");
        assert!(seen.contains("mcp-protocol-version: 2025-11-25\r\n"), "{seen}");
    }
}

#[tokio::test]
async fn credentials_that_were_left_behind_do_not_come_back() {
    let (home, elsewhere) = (redirecting().await, redirecting().await);
    let back = elsewhere.http(&format!("/302/{}", home.http("/back")));
    let url = home.http(&format!("/302/{back}"));
    whole(&client(options()), with_credentials(get(&url))).await.unwrap();
    let seen = home.seen().pop().unwrap();
    assert!(seen.starts_with("get /back ") && !seen.contains("canary"), "{seen}");
}

#[tokio::test]
async fn a_message_is_sent_on_whole_on_its_own_origin_and_never_elsewhere() {
    let (home, elsewhere) = (redirecting().await, redirecting().await);
    let client = client(options());
    for status in [307, 308] {
        let near = home.http(&format!("/{status}//mcp/"));
        whole(&client, with_credentials(post(&near))).await.unwrap();
        let seen = home.seen().pop().unwrap();
        assert!(seen.starts_with("post /mcp/ ") && seen.contains("authorization"), "{seen}");
        assert!(seen.ends_with("{\"jsonrpc\":\"2.0\"}"), "{seen}");
    }
    for status in EVERY {
        let away = home.http(&format!("/{status}/{}", elsewhere.http("/mcp")));
        let rule = refused(&client, with_credentials(post(&away))).await;
        assert!(rule.contains(&status.to_string()), "{rule}");
        assert!(rule.contains(&format!("http://127.0.0.1:{}", elsewhere.port)), "{rule}");
    }
    for status in [301, 302, 303] {
        let near = home.http(&format!("/{status}//mcp/"));
        let rule = refused(&client, with_credentials(post(&near))).await;
        assert!(rule.contains("would lose the request's body"), "{rule}");
        assert!(home.seen().pop().unwrap().starts_with("post /30"), "it was not sent on");
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_that_a_request_may_not_go() {
    let home = redirecting().await;
    let client = client(options());
    for location in [
        "http://127.0.0.2/",
        "http://2130706434/",
        "http://0177.0.0.2/",
        "http://[::ffff:127.0.0.2]/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "//127.0.0.2/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "gopher://127.0.0.1:6379/",
        "http://user:word@127.0.0.1/",
        "http://127.0.0.1\\@127.0.0.2/",
    ] {
        for status in EVERY {
            refused(&client, get(&home.http(&format!("/{status}/{location}")))).await;
        }
    }
}

#[tokio::test]
async fn a_name_in_a_redirect_is_resolved_and_judged_too() {
    let home = redirecting().await;
    let client = asking(Answers::in_turn(&[&[LISTED], &["127.0.0.2"]]));
    let url = format!("http://home.example:{0}/302/http://inner.example:{0}/", home.port);
    let rule = refused(&client, get(&url)).await;
    assert!(rule.contains("inner.example has a loopback address"), "{rule}");
}

#[tokio::test]
async fn redirects_without_end_end() {
    let server = Server::start(|_| redirect(302, "/again")).await;
    let rule = refused(&client(options()), get(&server.http("/"))).await;
    assert!(rule.contains("more than 5 redirects"), "{rule}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn what_is_no_redirect_is_the_answer() {
    let server = Server::start(|head| match head.contains("/304") {
        true => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
        false => b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    })
    .await;
    for status in [302, 304] {
        let url = server.http(&format!("/{status}"));
        let (head, _) = whole(&client(options()), get(&url)).await.unwrap();
        assert_eq!(head.status.as_u16(), status);
    }
}
