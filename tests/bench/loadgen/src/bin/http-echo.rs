//! The least a Streamable HTTP MCP server can be: it answers from memory, in JSON, without sessions.
//! What stands before it is measured against it. Usage: http-echo PORT [--listen]
//! Tools: echo{text}, big{bytes}. With --listen a GET gets an event stream on which nothing is said.
use bytes::Bytes;
use http_body_util::{combinators::BoxBody, BodyExt, Full};
use hyper::{body::{Frame, Incoming}, service::service_fn, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, convert::Infallible};

#[derive(Deserialize)]
struct Message<'a> { #[serde(borrow)] id: Option<&'a RawValue>, #[serde(borrow)] method: Option<Cow<'a, str>>, #[serde(borrow)] params: Option<Params<'a>> }
#[derive(Deserialize)]
struct Params<'a> { #[serde(borrow)] name: Option<Cow<'a, str>>, #[serde(borrow)] arguments: Option<Arguments<'a>>, #[serde(borrow, rename = "protocolVersion")] version: Option<&'a RawValue> }
#[derive(Deserialize)]
struct Arguments<'a> { #[serde(borrow)] text: Option<&'a RawValue>, bytes: Option<usize> }

type Body = BoxBody<Bytes, Infallible>;

const TOOLS: &str = r#"{"tools":[{"name":"echo","description":"Answers with its text","inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]},"annotations":{"readOnlyHint":true}},{"name":"big","description":"Answers with so many bytes","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer"}},"required":["bytes"]}}]}"#;

async fn handle(request: Request<Incoming>, listens: bool) -> Result<Response<Body>, hyper::Error> {
    let reply = |status: u16, text: String| Response::builder().status(status).header("content-type", "application/json").body(Full::new(Bytes::from(text)).boxed()).unwrap();
    if request.method() == "GET" && listens {
        let body = silence();
        return Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap());
    }
    if request.method() != "POST" { return Ok(reply(405, String::new())) }
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message>(&body) else { return Ok(reply(400, String::new())) };
    let (Some(id), Some(method)) = (message.id, message.method) else { return Ok(reply(202, String::new())) };
    let params = message.params;
    let result = match &*method {
        "initialize" => {
            let version = params.and_then(|it| it.version).map_or("\"2025-06-18\"", |it| it.get());
            format!(r#"{{"protocolVersion":{version},"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"http-echo","version":"1"}}}}"#)
        }
        "tools/list" => TOOLS.into(),
        "tools/call" => {
            let arguments = params.as_ref().and_then(|it| it.arguments.as_ref());
            let text = match params.as_ref().and_then(|it| it.name.as_deref()) {
                Some("big") => format!("\"{}\"", "x".repeat(arguments.and_then(|it| it.bytes).unwrap_or(0))),
                _ => arguments.and_then(|it| it.text).map_or("\"\"", |it| it.get()).into(),
            };
            format!(r#"{{"content":[{{"type":"text","text":{text}}}]}}"#)
        }
        _ => "{}".into(),
    };
    Ok(reply(200, format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.get())))
}

/// A body that neither says anything nor ends.
fn silence() -> Body {
    struct Silence;
    impl hyper::body::Body for Silence {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> { std::task::Poll::Pending }
    }
    Silence.boxed()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().expect("http-echo PORT [--listen]");
    let listens = arguments.next().as_deref() == Some("--listen");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, listens));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
