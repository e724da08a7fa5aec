//! Corporate proxies: with credentials, and with hosts that are reached directly.

use satellite_core::secret::Secret;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Shows, ok, read_request};
use super::tls::trusting;
use super::*;
use crate::http_client::ProxyVariables;

/// A proxy that tunnels everything to one port of loopback, and what it was asked.
async fn tunnelling(to: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let request = read_request(&mut stream).await?;
                log.lock().unwrap().push(request);
                let mut server = TcpStream::connect((LISTED, to)).await.ok()?;
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\nvia: p\r\n\r\n")
                    .await
                    .ok()?;
                copy_bidirectional(&mut stream, &mut server).await.ok()
            });
        }
    });
    (port, asked)
}

fn through(port: u16, no: &str) -> EgressOptions {
    with_proxies(ProxyVariables {
        all: Some(Secret::new(format!("http://user:CaNaRy@127.0.0.1:{port}"))),
        no: String::from(no),
        ..ProxyVariables::default()
    })
}

fn with_proxies(proxies: ProxyVariables) -> EgressOptions {
    let client = ClientOptions { proxies, ..trusting().client };
    EgressOptions { client, ..trusting() }
}

fn and_asking(options: EgressOptions, lookup: Answers) -> EgressClient {
    let ways = ClientOptions { lookup: Arc::new(lookup), ..options.client };
    client(EgressOptions { client: ways, ..options })
}

#[tokio::test]
async fn a_tunnel_carries_credentials_to_the_proxy_and_tls_to_the_server() {
    let server = Server::with_tls(Shows::Valid, |_| ok("hi")).await;
    let (proxy, asked) = tunnelling(server.port).await;
    let lookup = Answers::always(&["127.0.0.2"]);
    let client = and_asking(through(proxy, ""), lookup.clone());
    let answer = whole(&client, get("https://mcp.example.com:8443/mcp?key=1")).await;
    assert_eq!(answer.unwrap().1, b"hi");
    let asked = asked.lock().unwrap().clone();
    let [connect] = &asked[..] else { panic!("one tunnel: {asked:?}") };
    assert!(connect.starts_with("connect mcp.example.com:8443 http/1.1\r\n"), "{connect}");
    assert!(connect.contains("proxy-authorization: basic dxnlcjpdyu5hunk=\r\n"), "{connect}");
    let seen = server.seen().pop().unwrap();
    assert!(seen.starts_with("get /mcp?key=1 ") && !seen.contains("proxy-"), "{seen}");
    assert_eq!(lookup.asked(), 0, "the proxy resolves");
    assert!(!format!("{client:?}").contains("CaNaRy"));
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly_and_judged_by_its_address() {
    let server = Server::with_tls(Shows::Valid, |_| ok("direct")).await;
    let (proxy, asked) = tunnelling(server.port).await;
    let direct = through(proxy, "example.com,127.0.0.0/8");
    for host in ["mcp.example.com", "127.0.0.1"] {
        let url = format!("https://{host}:{}/", server.port);
        assert_eq!(whole(&client(direct.clone()), get(&url)).await.unwrap().1, b"direct");
    }
    let elsewhere = and_asking(direct, Answers::always(&["127.0.0.2"]));
    refused(&elsewhere, get("https://mcp.example.com/")).await;
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_proxy_is_no_way_around_the_rules() {
    let (proxy, asked) = tunnelling(1).await;
    let client = client(EgressOptions { rules: rules(&[]), ..through(proxy, "") });
    for url in [
        "https://127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
        "https://localhost/",
        "https://wiki/",
        "https://wiki.corp/",
        "https://metadata.google.internal/",
        "https://mcp.example.com:22/",
        "http://mcp.example.com/",
    ] {
        refused(&client, get(url)).await;
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_in_the_clear_is_forwarded_with_the_proxys_credentials() {
    let proxy = Server::start(|_| ok("forwarded")).await;
    let rules = rules(&["plain.example.com"]);
    let client = client(EgressOptions { rules, ..through(proxy.port, "") });
    let mut request = get("http://plain.example.com/mcp");
    request.headers_mut().insert("proxy-authorization", "Basic eA==".parse().unwrap());
    assert_eq!(whole(&client, request).await.unwrap().1, b"forwarded");
    let seen = proxy.seen().pop().unwrap();
    assert!(seen.starts_with("get http://plain.example.com/mcp http/1.1\r\n"), "{seen}");
    assert!(seen.contains("proxy-authorization: basic dxnlcjpdyu5hunk=\r\n"), "{seen}");
    assert!(!seen.contains("ea=="), "{seen}");
}

#[tokio::test]
async fn a_proxy_that_refuses_says_so_by_type() {
    for (answer, check) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "HTTPS_PROXY"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        ("HTTP/1.1 200", "the proxy"),
    ] {
        let proxy = Server::start(move |_| answer.into()).await;
        let client = client(through(proxy.port, ""));
        let failure = whole(&client, get("https://mcp.example.com/")).await.unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(check) && !text.contains("CaNaRy"), "{failure:?}");
        let expected = match check {
            "502" | "the proxy" => matches!(failure, HttpFailure::Refused(_)),
            "does not speak HTTP" => matches!(failure, HttpFailure::Malformed(_)),
            _ => matches!(failure, HttpFailure::Other(_)),
        };
        assert!(expected, "{failure:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failure = whole(&client(through(port, "")), get("https://mcp.example.com/")).await;
    assert!(matches!(failure, Err(HttpFailure::Refused(_))), "{failure:?}");
}

#[tokio::test]
async fn a_proxy_may_be_spoken_to_over_tls() {
    let server = Server::with_tls(Shows::Valid, |_| ok("hi")).await;
    let proxy = Server::with_tls(Shows::Valid, |_| ok("forwarded")).await;
    let secure = with_proxies(ProxyVariables {
        http: Some(Secret::new(format!("https://user:word@127.0.0.1:{}", proxy.port))),
        ..ProxyVariables::default()
    });
    let rules = rules(&[LISTED, "plain.example.com"]);
    let client = client(EgressOptions { rules, ..secure });
    let forwarded = whole(&client, get("http://plain.example.com/")).await;
    assert_eq!(forwarded.unwrap().1, b"forwarded");
    let direct = whole(&client, get(&format!("https://mcp.example.com:{}/", server.port))).await;
    assert_eq!(direct.unwrap().1, b"hi");
}
