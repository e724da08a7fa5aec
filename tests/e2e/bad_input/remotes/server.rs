//! A server elsewhere with many faces: the first part of a path says how it misbehaves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The first part of the path.
    pub(super) face: String,
    /// `POST`, `GET` or `DELETE`.
    verb: String,
    path: String,
    message: Value,
}

impl Seen {
    /// The method of its message.
    pub(super) fn rpc(&self) -> &str {
        self.message["method"].as_str().unwrap_or("")
    }
}

/// The server, and everything it was asked.
#[derive(Clone)]
pub(super) struct Hostile {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Where the faces that redirect elsewhere point to.
    elsewhere: Option<SocketAddr>,
}

impl Hostile {
    /// Starts it. Some faces redirect to `elsewhere`.
    pub(super) async fn start(elsewhere: Option<SocketAddr>) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port can be had");
        let address = listener.local_addr().expect("it has an address");
        let server = Hostile { address, seen: Arc::default(), elsewhere };
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = shared.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    /// How often a face was asked something.
    pub(super) fn count(&self, face: &str, rpc: &str) -> usize {
        let seen = self.seen.lock().expect("nobody panics with it");
        seen.iter().filter(|seen| seen.face == face && seen.rpc() == rpc).count()
    }

    /// Everything it was asked.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// One request for each connection.
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let seen = read(&mut stream).await?;
        self.seen.lock().expect("nobody panics with it").push(seen.clone());
        match self.misbehaves(&seen) {
            None => stream.write_all(&good(&seen)).await.ok()?,
            Some(Deed::Says(bytes)) => stream.write_all(&bytes).await.ok()?,
            Some(Deed::Never) => {
                // Held until the other side leaves.
                let _ = stream.read_u8().await;
            }
            Some(Deed::Repeats(start, piece)) => {
                stream.write_all(start.as_bytes()).await.ok()?;
                for _ in 0..100 * 1024 * 1024 / piece.len() {
                    stream.write_all(piece.as_bytes()).await.ok()?;
                }
            }
            Some(Deed::Comments) => {
                stream.write_all(EVENTS.as_bytes()).await.ok()?;
                while stream.write_all(b": still here\n\n").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        }
        stream.shutdown().await.ok()
    }

    fn misbehaves(&self, seen: &Seen) -> Option<Deed> {
        let (on_call, on_list) = (seen.rpc() == "tools/call", seen.rpc() == "tools/list");
        let is_first = on_call && self.count(&seen.face, "tools/call") == 1;
        let says = |status: &str, headers: &str, body: &str| {
            Some(Deed::Says(answer(status, headers, body)))
        };
        let away = |status: &str| {
            let address = self.elsewhere.expect("somewhere else");
            says(status, &format!("location: http://{address}/good/mcp\r\n"), "")
        };
        let result = || rpc(seen, &text("through")).to_string();
        match seen.face.as_str() {
            "html-at-once" => says("200 OK", HTML, "<html>please sign in</html>"),
            "half-at-once" => says("200 OK", JSON, "{\"jsonrpc\":\"2.0\",\"id\":"),
            "unauthorised-at-once" => says("401 Unauthorized", "", ""),
            "down-at-once" => says("503 Service Unavailable", "", ""),
            "elsewhere-at-once" => away("307 Temporary Redirect"),
            "forbidden-list" if on_list => says("403 Forbidden", "", ""),
            "unauthorised-call" if on_call => says("401 Unauthorized", "", ""),
            "html" if on_call => says("200 OK", HTML, "<html>please sign in</html>"),
            "half" if on_call => says("200 OK", JSON, &result()[..20]),
            "wrong-id" if on_call => {
                says("200 OK", JSON, r#"{"jsonrpc":"2.0","id":"x","result":{}}"#)
            }
            "two" if on_call => {
                let second = rpc(seen, &text("second"));
                let events = format!("data: {}\n\ndata: {second}\n\n", result());
                Some(Deed::Says(format!("{EVENTS}{events}").into_bytes()))
            }
            "cut" if on_call => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
                let body = result();
                let length = body.len() + 9;
                Some(Deed::Says(
                    format!("{head}content-length: {length}\r\n\r\n{body}").into_bytes(),
                ))
            }
            "gzip" if on_call => {
                says("200 OK", &format!("{JSON}content-encoding: gzip\r\n"), "\u{1f}\u{8}bomb")
            }
            "large" if on_call => Some(Deed::Repeats(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                 content-length: 104857600\r\n\r\n",
                " ".repeat(64 * 1024),
            )),
            "large-unsaid" if on_call => Some(Deed::Repeats(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
                " ".repeat(64 * 1024),
            )),
            "large-event" if on_call => Some(Deed::Repeats(EVENTS, "a".repeat(64 * 1024))),
            "silent" if on_call => Some(Deed::Never),
            "comments" if on_call => Some(Deed::Comments),
            "busy-seconds" if is_first => says("429 Too Many Requests", "retry-after: 1\r\n", ""),
            "busy-date" if is_first => {
                says("429 Too Many Requests", "retry-after: Thu, 01 Jan 1970 00:00:01 GMT\r\n", "")
            }
            "busy-garbage" if is_first => {
                says("429 Too Many Requests", "retry-after: soon\r\n", "")
            }
            "busy-hour" if on_call => says("503 Service Unavailable", "retry-after: 3600\r\n", ""),
            "moved-301" if on_call => away("301 Moved Permanently"),
            "moved-302" if on_call => away("302 Found"),
            "moved-303" if on_call => away("303 See Other"),
            "moved-307" if on_call => away("307 Temporary Redirect"),
            "moved-308" if on_call => away("308 Permanent Redirect"),
            "moved-inside" if on_call => {
                let inside = "location: http://169.254.169.254/latest/meta-data/\r\n";
                says("307 Temporary Redirect", inside, "")
            }
            "moved-nowhere" if on_call => says("307 Temporary Redirect", "", ""),
            "moved-in-circles" if on_call => {
                says("308 Permanent Redirect", &format!("location: {}\r\n", seen.path), "")
            }
            "moved-at-home" if !seen.path.ends_with("/home") => {
                let home = "location: /moved-at-home/home\r\n";
                says("307 Temporary Redirect", home, "")
            }
            "changes" => self.changes(seen),
            "many" if on_list => {
                let tools: Vec<Value> = (0..10_000).map(|n| tool(&format!("tool-{n}"))).collect();
                says("200 OK", JSON, &rpc(seen, &json!({"tools": tools})).to_string())
            }
            "endless-list" if on_list => {
                let page = self.count(&seen.face, "tools/list");
                let tools = json!([tool(&format!("echo-{page}"))]);
                let result = json!({"tools": tools, "nextCursor": format!("c{page}")});
                says("200 OK", JSON, &rpc(seen, &result).to_string())
            }
            "colon" if on_list => {
                let tools = json!({"tools": [tool("a:b:c"), tool("echo")]});
                says("200 OK", JSON, &rpc(seen, &tools).to_string())
            }
            _ => None,
        }
    }

    /// Says that its tools have changed before it answers the first call; then they have.
    fn changes(&self, seen: &Seen) -> Option<Deed> {
        let has_changed = self.count(&seen.face, "tools/call") > 0;
        match seen.rpc() {
            "tools/list" if has_changed => {
                let tools = json!({"tools": [tool("echo"), tool("grown")]});
                Some(Deed::Says(answer("200 OK", JSON, &rpc(seen, &tools).to_string())))
            }
            "tools/call" => {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                let result = rpc(seen, &text("through"));
                let events = format!("{EVENTS}data: {note}\n\ndata: {result}\n\n");
                Some(Deed::Says(events.into_bytes()))
            }
            _ => None,
        }
    }
}

/// What a face does instead of answering well.
enum Deed {
    Says(Vec<u8>),
    Never,
    /// A beginning, and then the same piece until 100 MiB are sent.
    Repeats(&'static str, String),
    Comments,
}

const JSON: &str = "content-type: application/json\r\n";
const HTML: &str = "content-type: text/html\r\n";
/// Its end is the connection's.
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn rpc(seen: &Seen, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": seen.message["id"], "result": result})
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}], "isError": false})
}

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "of a server elsewhere", "inputSchema": {"type": "object"}})
}

/// What a server should do.
fn good(seen: &Seen) -> Vec<u8> {
    let result = match (seen.verb.as_str(), seen.rpc()) {
        ("POST", "initialize") => json!({"protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "hostile", "version": "1"}}),
        ("POST", "tools/list") => json!({"tools": [tool("echo")]}),
        ("POST", "tools/call") => text(seen.message["params"]["name"].as_str().unwrap_or("")),
        ("POST", _) if seen.message["id"].is_null() => return answer("202 Accepted", "", ""),
        ("POST", _) => json!({}),
        ("DELETE", _) => return answer("200 OK", "", ""),
        _ => return answer("405 Method Not Allowed", "", ""),
    };
    answer("200 OK", JSON, &rpc(seen, &result).to_string())
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (verb, path) = (first.next()?.to_string(), first.next()?.to_string());
    let headers: BTreeMap<String, &str> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let length = headers.get("content-length").and_then(|it| it.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let path = path.split('?').next()?.to_string();
    let face = path.split('/').nth(1)?.to_string();
    Some(Seen { face, verb, path, message })
}
