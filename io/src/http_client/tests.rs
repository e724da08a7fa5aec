//! The adapter against real sockets: each fault, named by its own [`HttpFailure`].

use std::net::SocketAddr;

use satellite_core::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

fn client() -> ReqwestClient {
    ReqwestClient::new(&ClientOptions::default()).unwrap()
}

fn through(proxy: String) -> ReqwestClient {
    let all = Some(Secret::new(proxy));
    let proxies = ProxyVariables { all, ..ProxyVariables::default() };
    ReqwestClient::new(&ClientOptions { proxies, ..ClientOptions::default() }).unwrap()
}

fn get(path: &str, timeout_ms: u64) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        path: path.into(),
        bearer: Some(Secret::new("key-1")),
        headers: vec![("x-last-poll".into(), "2026-01-31T09:15:02.123Z".into())],
        body: None,
        timeout_ms,
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers one connection with `answer` word for word and gives back what was asked.
fn answer_once(listener: TcpListener, answer: Vec<u8>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(&answer).await.unwrap();
        head
    })
}

#[tokio::test]
async fn an_answer_comes_back_with_its_headers_and_the_request_went_out_as_made() {
    let (listener, base) = listener().await;
    let server = answer_once(
        listener,
        b"HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\netag: \"v1\"\r\ncontent-length: 5\r\n\r\nhello".to_vec(),
    );
    let client = client();
    let answer = exchange(&client, &base, get("/api/x?limit=10", 5_000), 100).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (429, &b"hello"[..]));
    assert_eq!(answer.retry_after.as_deref(), Some("7"));
    assert_eq!(answer.etag.as_deref(), Some("\"v1\""));
    let asked = server.await.unwrap();
    assert!(asked.starts_with("GET /api/x?limit=10 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer key-1\r\n"), "{asked}");
    assert!(asked.contains("x-last-poll: 2026-01-31T09:15:02.123Z\r\n"), "{asked}");
    assert!(!asked.contains("content-type"), "{asked}");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (listener, base) = listener().await;
    drop(listener);
    let failure = exchange(&client(), &base, get("/", 5_000), 100).await;
    assert!(matches!(failure, Err(HttpFailure::Refused(_))), "{failure:?}");
}

#[tokio::test]
async fn a_name_without_address_is_unresolved() {
    let base = "http://no-such-host.invalid";
    let failure = exchange(&client(), base, get("/", 5_000), 100).await;
    assert!(matches!(failure, Err(HttpFailure::Unresolved(_))), "{failure:?}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_reset() {
    for hard in [false, true] {
        let (listener, base) = listener().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if hard {
                // Closing with unread input makes the kernel send RST instead of FIN.
                stream.readable().await.unwrap();
            } else {
                head(&mut stream).await;
            }
        });
        let failure = exchange(&client(), &base, get("/", 5_000), 100).await;
        assert!(matches!(failure, Err(HttpFailure::Reset(_))), "hard {hard}: {failure:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    let (listener, base) = listener().await;
    let failure = exchange(&client(), &base, get("/", 50), 100).await;
    assert_eq!(failure, Err(HttpFailure::TimedOut));
    drop(listener);
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let (listener, base) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal").await.unwrap();
        stream
    });
    let failure = exchange(&client(), &base, get("/", 200), 100).await;
    assert_eq!(failure, Err(HttpFailure::TimedOut));
    server.await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_cut() {
    let promised = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhal".to_vec();
    for answer in [promised, chunked] {
        let (listener, base) = listener().await;
        let server = answer_once(listener, answer);
        let failure = exchange(&client(), &base, get("/", 5_000), 100).await;
        assert!(matches!(failure, Err(HttpFailure::Cut(_))), "{failure:?}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_too_large_and_one_at_the_bound_is_not() {
    for (limit, fits) in [(9, true), (8, false)] {
        let (listener, base) = listener().await;
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n5\r\nefghi\r\n0\r\n\r\n";
        let server = answer_once(listener, answer.to_vec());
        let outcome = exchange(&client(), &base, get("/", 5_000), limit).await;
        if fits {
            assert_eq!(outcome.unwrap().body, b"abcdefghi");
        } else {
            assert_eq!(outcome, Err(HttpFailure::TooLarge { limit }));
        }
        server.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_malformed() {
    let (listener, base) = listener().await;
    let server = answer_once(listener, b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec());
    let failure = exchange(&client(), &base, get("/", 5_000), 100).await;
    assert!(matches!(failure, Err(HttpFailure::Malformed(_))), "{failure:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_port_without_tls_behind_https_is_a_tls_failure() {
    let (listener, base) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let base = base.replace("http://", "https://");
    let failure = exchange(&client(), &base, get("/", 5_000), 100).await;
    assert!(matches!(failure, Err(HttpFailure::Tls(_))), "{failure:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (listener, base) = listener().await;
    let server = answer_once(
        listener,
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_vec(),
    );
    let answer = exchange(&client(), &base, get("/", 5_000), 100).await;
    assert_eq!(answer.unwrap().status, 302);
    server.await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url_or_for_a_tunnel() {
    for (target, line) in [
        ("http://backend.example", "GET http://backend.example/api/health HTTP/1.1\r\n"),
        ("https://backend.example", "CONNECT backend.example:443 HTTP/1.1\r\n"),
    ] {
        let (listener, proxy) = listener().await;
        let server = answer_once(
            listener,
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n".to_vec(),
        );
        let client = through(proxy);
        let outcome = exchange(&client, target, get("/api/health", 5_000), 100).await;
        assert!(server.await.unwrap().starts_with(line));
        match outcome {
            Ok(answer) => assert_eq!((answer.status, target), (407, "http://backend.example")),
            Err(failure) => assert!(matches!(failure, HttpFailure::Other(_)), "{failure:?}"),
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_refused() {
    let (listener, proxy) = listener().await;
    drop(listener);
    let client = through(proxy);
    let failure = exchange(&client, "https://backend.example", get("/", 5_000), 100).await;
    assert!(matches!(failure, Err(HttpFailure::Refused(_))), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_says_so_without_the_secret() {
    let request = HttpRequest { bearer: Some(Secret::new("se\ncret")), ..get("/", 5_000) };
    let failure = exchange(&client(), "http://127.0.0.1:1", request, 100).await;
    let Err(HttpFailure::Other(text)) = failure else { panic!("{failure:?}") };
    assert!(text.contains("API key") && !text.contains("cret"), "{text}");
    let bad: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let request = get(" not a path", 5_000);
    let failure = exchange(&client(), &format!("http://{bad}"), request, 100).await;
    assert!(matches!(failure, Err(HttpFailure::Other(_))), "{failure:?}");
}
