//! What bounds an answer.

use std::iter::repeat_n;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::server::read_request;
use super::*;

/// A server that sends `start` and then `piece` for ever, and one URL of it.
async fn endless(start: &'static [u8], piece: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                read_request(&mut stream).await?;
                stream.write_all(start).await.ok()?;
                let many: Vec<u8> =
                    repeat_n(piece, 64 * 1024 / piece.len().max(1)).flatten().copied().collect();
                // Ends when the client leaves.
                while stream.write_all(&many).await.is_ok() {}
                Some(())
            });
        }
    });
    url
}

async fn failure(start: &'static [u8], piece: &'static [u8]) -> HttpFailure {
    whole(&client(options()), get(&endless(start, piece).await)).await.unwrap_err()
}

#[tokio::test]
async fn a_hundred_megabytes_are_not_read() {
    let limit = limits::EGRESS_BODY_MAX_BYTES;
    let promised = b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n";
    assert_eq!(failure(promised, b"a").await, HttpFailure::TooLarge { limit });
    let unsaid = b"HTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(failure(unsaid, b"a").await, HttpFailure::TooLarge { limit });
    let chunked = b"HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n";
    let piece = format!("2000\r\n{}\r\n", "a".repeat(0x2000)).into_bytes();
    assert_eq!(failure(chunked, piece.leak()).await, HttpFailure::TooLarge { limit });
    // An error page that calls itself an event stream is none.
    let page = b"HTTP/1.1 500 Oops\r\ncontent-type: text/event-stream\r\n\r\n";
    assert_eq!(failure(page, b"a").await, HttpFailure::TooLarge { limit });
}

#[tokio::test]
async fn the_bound_itself_fits_and_an_event_stream_has_none() {
    let bounded =
        client(options()).with_limits(EgressLimits { body_bytes: 9, ..EgressLimits::default() });
    let nine = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}")
            .into_bytes()
    };
    for (kind, body, fits) in [
        ("text/plain", "123456789", true),
        ("text/plain", "1234567890", false),
        ("Text/Event-Stream; charset=utf-8", "data: 1234567890\n\n", true),
        ("text/event-streams", "data: 1234567890\n\n", false),
    ] {
        let bytes = nine(kind, body);
        let server = Server::start(move |_| bytes.clone()).await;
        let answer = whole(&bounded, get(&server.http("/"))).await;
        match answer {
            Ok((_, read)) => assert!(fits && read == body.as_bytes(), "{kind} {body}"),
            Err(failure) => {
                assert_eq!((failure, fits), (HttpFailure::TooLarge { limit: 9 }, false), "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_before_a_byte_of_it_is_read() {
    for encoding in ["gzip", "GZIP", "br", "identity, gzip", "deflate"] {
        let server = Server::start(move |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n\r\n\x1f\x08bomb")
                .into_bytes()
        })
        .await;
        let failure = whole(&client(options()), get(&server.http("/"))).await.unwrap_err();
        assert!(matches!(failure, HttpFailure::Malformed(_)), "{encoding}: {failure:?}");
        assert!(failure.to_string().contains(encoding), "{failure}");
    }
    let server = Server::start(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nhi".to_vec()
    })
    .await;
    assert_eq!(whole(&client(options()), get(&server.http("/"))).await.unwrap().1, b"hi");
}

#[tokio::test]
async fn a_head_without_end_is_malformed() {
    for (start, piece) in [
        (&b"HTTP/1.1 200 OK\r\nx-endless: "[..], &b"a"[..]),
        (b"HTTP/1.1 200 OK\r\n", b"x-another: header\r\n"),
        (b"HTTP/1.1 200 ", b"O"),
        (b"", b"nonsense "),
    ] {
        let failure = failure(start, piece).await;
        assert!(matches!(failure, HttpFailure::Malformed(_)), "{failure:?}");
    }
    let many = "a: b\r\n".repeat(limits::HTTP_HEADERS_MAX + 1);
    let server =
        Server::start(move |_| format!("HTTP/1.1 200 OK\r\n{many}\r\n").into_bytes()).await;
    let failure = whole(&client(options()), get(&server.http("/"))).await.unwrap_err();
    assert!(matches!(failure, HttpFailure::Malformed(_)), "{failure:?}");
}

#[tokio::test]
async fn informational_answers_without_end_end() {
    let impatient = client(options())
        .with_limits(EgressLimits { head: Duration::from_millis(300), ..EgressLimits::default() });
    let url = endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let failure = whole(&impatient, get(&url)).await.unwrap_err();
    assert_eq!(failure, HttpFailure::TimedOut);
}

#[tokio::test]
async fn who_never_answers_and_who_never_ends_is_timed_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let short = Duration::from_millis(200);
    let impatient = client(options()).with_limits(EgressLimits {
        head: short,
        body: short,
        ..EgressLimits::default()
    });
    assert_eq!(whole(&impatient, get(&url)).await.unwrap_err(), HttpFailure::TimedOut);
    let stalls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", stalls.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let (mut stream, _) = stalls.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal").await.unwrap();
        stream
    });
    assert_eq!(whole(&impatient, get(&url)).await.unwrap_err(), HttpFailure::TimedOut);
    drop(held.await.unwrap());
}

#[tokio::test]
async fn what_breaks_off_is_reset_before_the_head_and_cut_after_it() {
    for (bytes, cut) in [
        (&b""[..], false),
        (b"HTTP/1.1 200 OK\r\ncontent-le", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal", true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhal", true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", true),
    ] {
        let server = Server::start(move |_| bytes.to_vec()).await;
        let failure = whole(&client(options()), get(&server.http("/"))).await.unwrap_err();
        match failure {
            HttpFailure::Reset(_) => assert!(!cut, "{bytes:?}"),
            HttpFailure::Cut(_) => assert!(cut, "{bytes:?}"),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
}
