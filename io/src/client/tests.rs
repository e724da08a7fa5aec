use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;

/// Answers each request with the next response, and keeps what it was asked.
#[derive(Clone, Debug, Default)]
struct Scripted {
    answers: Arc<Mutex<VecDeque<Response<Pieces>>>>,
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
}

#[derive(Debug)]
struct Pieces(VecDeque<Bytes>);

impl Chunks for Pieces {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        self.0.pop_front().map(Ok)
    }
}

impl HttpClient for Scripted {
    type Body = Pieces;

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Pieces>, HttpFailure> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| HttpFailure::Refused(String::from("nothing listens")))
    }
}

impl Scripted {
    fn then(self, status: u16, kind: &str, pieces: &[&str]) -> Self {
        let pieces = pieces.iter().map(|it| Bytes::from(String::from(*it))).collect();
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, kind)
            .header(SESSION, "s-1")
            .body(Pieces(pieces))
            .unwrap();
        self.answers.lock().unwrap().push_back(response);
        self
    }

    fn connected() -> Self {
        Scripted::default()
            .then(
                200,
                "application/json",
                &[r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#],
            )
            .then(202, "", &[])
    }

    async fn connect(&self) -> Result<McpClient<Scripted>, Exit> {
        let url = String::from("http://127.0.0.1:1/mcp");
        McpClient::connect(self.clone(), url, Secret::new("t")).await
    }
}

#[tokio::test]
async fn the_session_and_the_revision_travel_with_every_later_request() {
    let server = Scripted::connected().then(
        200,
        "application/json",
        &[r#"{"jsonrpc":"2.0","id":2,"result":{"ok":1}}"#],
    );
    let mut client = server.connect().await.unwrap();
    let result = client.request("ping", json!({}), &mut |_| {}).await.unwrap();
    assert_eq!(result, json!({"ok": 1}));
    let asked = server.asked.lock().unwrap();
    assert!(!asked[0].headers().contains_key(SESSION));
    for request in asked.iter().skip(1) {
        assert_eq!(request.headers()[SESSION], "s-1");
        assert_eq!(request.headers()[PROTOCOL_VERSION], "2025-06-18");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer t");
    }
}

#[tokio::test]
async fn a_stream_yields_notifications_and_then_the_answer() {
    let server = Scripted::connected().then(
        200,
        "text/event-stream; charset=utf-8",
        &[
            "id: 0\ndata: \n\n: ping\n\ndata: {\"method\":\"notifications/progress\",\"par",
            "ams\":{\"progress\":1}}\n\ndata: {\"id\":9,\"result\":0}\n\n",
            "data: {\"id\":2,\"result\":{\"done\":true}}\n\n",
        ],
    );
    let mut client = server.connect().await.unwrap();
    let mut heard = Vec::new();
    let result =
        client.request("tools/call", json!({}), &mut |it| heard.push(it.clone())).await.unwrap();
    assert_eq!(result, json!({"done": true}));
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["params"]["progress"], 1);
}

#[tokio::test]
async fn lists_are_followed_to_their_last_page() {
    let server = Scripted::connected()
        .then(
            200,
            "application/json",
            &[r#"{"id":2,"result":{"tools":[{"name":"a"}],"nextCursor":"c"}}"#],
        )
        .then(200, "application/json", &[r#"{"id":3,"result":{"tools":[{"name":"b"}]}}"#]);
    let mut client = server.connect().await.unwrap();
    assert_eq!(client.list("tools/list", "tools").await.unwrap().len(), 2);
    let asked = server.asked.lock().unwrap();
    assert!(String::from_utf8_lossy(asked[3].body()).contains(r#"{"cursor":"c"}"#));
}

#[tokio::test]
async fn refusals_and_silence_say_what_to_do() {
    let nobody = Scripted::default().connect().await.unwrap_err();
    assert_eq!(nobody.code, UNREACHABLE);
    assert!(nobody.hint.contains("satellite dev"));
    let refused = Scripted::default().then(401, "application/json", &[
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32002,"message":"bad","data":{"message":"The token has expired"}}}"#,
    ]);
    let refused = refused.connect().await.unwrap_err();
    assert!(refused.error.contains("401") && refused.error.contains("has expired"), "{refused:?}");
    assert!(refused.hint.contains("--token"));
    let cut = Scripted::connected().then(200, "text/event-stream", &["data: {\"id\":2,"]);
    let mut client = cut.connect().await.unwrap();
    let cut = client.request("ping", json!({}), &mut |_| {}).await.unwrap_err();
    assert!(cut.error.contains("ended before it was complete"));
    let page = Scripted::default().then(200, "text/html", &["<html>"]).connect().await;
    assert!(page.unwrap_err().error.contains("no JSON"));
    let error = Scripted::connected().then(
        200,
        "application/json",
        &[r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"unknown tool"}}"#],
    );
    let mut client = error.connect().await.unwrap();
    let error = client.request("tools/call", json!({}), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.error, "unknown tool (-32602)");
}

#[tokio::test]
async fn an_unknown_revision_is_refused() {
    let server = Scripted::default().then(
        200,
        "application/json",
        &[r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"1999-01-01"}}"#],
    );
    assert!(server.connect().await.unwrap_err().error.contains("1999-01-01"));
}
