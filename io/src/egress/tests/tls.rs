//! Certificates and protocols.

use std::path::{Path, PathBuf};

use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{Shows, ok, redirect, server_configuration};
use super::*;
use crate::http_client::ReqwestClient;

pub(super) fn authority() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/egress/tests/certificates/authority.pem")
}

/// What trusts the authority of the servers here.
pub(crate) fn trusting() -> EgressOptions {
    let client = ClientOptions { ca_file: Some(authority()), ..options().client };
    EgressOptions { client, ..options() }
}

fn certificate_problem(outcome: Result<(http::response::Parts, Vec<u8>), HttpFailure>) -> String {
    match outcome {
        Err(failure @ HttpFailure::Certificate(_)) => {
            assert!(failure.has_no_side_effects() && !failure.is_retryable());
            failure.to_string()
        }
        other => panic!("no problem with the certificate: {other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_of_the_operator_is_trusted() {
    let server = Server::with_tls(Shows::Valid, |_| ok("hi")).await;
    for host in ["mcp.example.com", "127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/", server.port);
        assert_eq!(whole(&client(trusting()), get(&url)).await.unwrap().1, b"hi", "{host}");
        let problem = certificate_problem(whole(&client(options()), get(&url)).await);
        assert!(problem.contains("SATELLITE_CA_FILE"), "{problem}");
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_for_another_name_is_not() {
    let expired = Server::with_tls(Shows::Expired, |_| ok("hi")).await;
    let url = format!("https://mcp.example.com:{}/", expired.port);
    let problem = certificate_problem(whole(&client(trusting()), get(&url)).await);
    assert!(problem.contains("expired"), "{problem}");
    let valid = Server::with_tls(Shows::Valid, |_| ok("hi")).await;
    let url = format!("https://third.example.com:{}/", valid.port);
    let problem = certificate_problem(whole(&client(trusting()), get(&url)).await);
    assert!(problem.contains("another name"), "{problem}");
    assert_eq!((expired.seen().len(), valid.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_port_without_tls_is_a_failure_of_tls_and_a_silent_one_of_time() {
    let plain = Server::start(|_| Vec::new()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let failure = whole(&client(options()), get(&format!("https://127.0.0.1:{port}/"))).await;
    assert!(matches!(failure, Err(HttpFailure::Tls(_))), "{failure:?}");
    let connect_timeout = Duration::from_millis(200);
    let impatient = ClientOptions { connect_timeout, ..options().client };
    let impatient = client(EgressOptions { client: impatient, ..options() });
    let failure = whole(&impatient, get(&format!("https://127.0.0.1:{}/", plain.port))).await;
    assert_eq!(failure.unwrap_err(), HttpFailure::ConnectTimedOut);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let plain = Server::start(|_| ok("in the clear")).await;
    let location = plain.http("/");
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let secure = Server::with_tls(Shows::Valid, move |_| redirect(status, &location)).await;
        let url = format!("https://mcp.example.com:{}/", secure.port);
        let rule = refused(&client(trusting()), get(&url)).await;
        assert!(rule.contains("from https to http"), "{rule}");
    }
    assert_eq!(plain.seen().len(), 0);
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_over_one_connection() {
    let mut tls = server_configuration(Shows::Valid);
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://mcp.example.com:{}/", listener.local_addr().unwrap().port());
    let connections = Arc::new(Mutex::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            let stream = acceptor.accept(stream).await.unwrap();
            let answer = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let header = "a".repeat(if request.uri().path() == "/large" { 100_000 } else { 1 });
                http::Response::builder()
                    .header("x-header", header)
                    .body(Full::new(Bytes::from_static(b"hi")))
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(connection);
        }
    });
    let client = client(trusting());
    for _ in 0..3 {
        let (head, body) = whole(&client, get(&url)).await.unwrap();
        assert_eq!((head.version, &*body), (http::Version::HTTP_2, &b"hi"[..]));
    }
    let together = futures_util::future::join_all((0..20).map(|_| whole(&client, get(&url))));
    assert!(together.await.iter().all(Result::is_ok));
    assert_eq!(*connections.lock().unwrap(), 1);
    let failure = whole(&client, get(&format!("{url}large"))).await;
    assert!(failure.is_err(), "a head of 100 kB: {failure:?}");
}

#[test]
fn a_file_without_certificates_is_an_error_that_names_it() {
    for (name, problem) in [("server.key", "no certificate"), ("missing.pem", "No such file")] {
        let ca_file = Some(authority().with_file_name(name));
        let options = ClientOptions { ca_file, ..ClientOptions::default() };
        let failure = ReqwestClient::new(&options).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains(name) && text.contains(problem), "{text}");
        assert!(text.contains("SATELLITE_CA_FILE"), "{text}");
    }
}
