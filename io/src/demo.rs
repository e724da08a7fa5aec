//! A small MCP server over standard input and output, so that `satellite dev` has something to run
//! on a machine with nothing else installed.
//!
//! Three tools (`echo`, `add`, and `slow`, which reports progress and can be cancelled) and one
//! resource. One message a line; revisions 2024-11-05 to 2025-11-25 of MCP.

mod tools;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use self::tools::{Cancel, Outcome};

/// The name it has in `initialize` and, in `satellite dev`, in tool paths.
pub const NAME: &str = "demo";

const REVISIONS: &[&str] = &["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const RESOURCE: &str = "demo://about";

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const RESOURCE_NOT_FOUND: i64 = -32_002;

/// Serves `input` until it ends, then cancels what still runs.
///
/// Fails when either stream does.
pub fn serve(input: impl BufRead, output: impl Write + Send + 'static) -> io::Result<()> {
    let server =
        Server { output: Arc::new(Mutex::new(output)), running: Arc::new(Mutex::default()) };
    for line in input.split(b'\n') {
        let line = line?;
        if !line.trim_ascii().is_empty() {
            server.take(&line)?;
        }
    }
    for cancel in lock(&server.running).values() {
        cancel.set();
    }
    Ok(())
}

struct Server<W> {
    output: Arc<Mutex<W>>,
    /// Calls under way, by the text of their id.
    running: Arc<Mutex<BTreeMap<String, Arc<Cancel>>>>,
}

impl<W: Write + Send + 'static> Server<W> {
    fn take(&self, line: &[u8]) -> io::Result<()> {
        let Ok(message) = serde_json::from_slice::<Value>(line) else {
            return self.send(&error(&Value::Null, PARSE_ERROR, "the line is no valid JSON"));
        };
        let method = message.get("method").and_then(Value::as_str);
        let params = message.get("params").unwrap_or(&Value::Null);
        match (method, message.get("id")) {
            (Some("notifications/cancelled"), None) => {
                let id = params.get("requestId").unwrap_or(&Value::Null).to_string();
                if let Some(cancel) = lock(&self.running).get(&id) {
                    cancel.set();
                }
                Ok(())
            }
            (Some(_), None) => Ok(()),
            (Some("tools/call"), Some(id)) => self.call(id.clone(), params),
            (Some(method), Some(id)) => self.send(&answer(method, id, params)),
            // An answer to a request; this server makes none.
            (None, Some(_)) if message.get("result").or(message.get("error")).is_some() => Ok(()),
            (None, id) => self.send(&error(
                id.unwrap_or(&Value::Null),
                INVALID_REQUEST,
                "a request is an object with `id` and `method`",
            )),
        }
    }

    /// Runs a tool on a thread of its own, so that a slow one delays nobody.
    fn call(&self, id: Value, params: &Value) -> io::Result<()> {
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let Some(tool) = tools::find(name) else {
            return self.send(&error(&id, INVALID_PARAMS, &format!("there is no tool {name:?}")));
        };
        let arguments = params.get("arguments").cloned().unwrap_or_else(|| json!({}));
        let token = params.pointer("/_meta/progressToken").cloned();
        let cancel = Arc::new(Cancel::default());
        lock(&self.running).insert(id.to_string(), Arc::clone(&cancel));
        let (output, running) = (Arc::clone(&self.output), Arc::clone(&self.running));
        thread::spawn(move || {
            let progress = |done: u64, total: u64| {
                if let Some(token) = &token {
                    let params = json!({"progressToken": token, "progress": done, "total": total,
                        "message": format!("step {done} of {total}")});
                    let message = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
                    // A closed pipe ends the process as soon as the reader sees it.
                    let _ = write(&output, &message);
                }
            };
            let outcome = tool(&arguments, &cancel, &progress);
            lock(&running).remove(&id.to_string());
            let result = match outcome {
                // A cancelled request gets no answer.
                Outcome::Cancelled => return,
                Outcome::Done(result) => result,
                Outcome::Failed(text) => {
                    json!({"content": [{"type": "text", "text": text}], "isError": true})
                }
            };
            let _ = write(&output, &json!({"jsonrpc": "2.0", "id": id, "result": result}));
        });
        Ok(())
    }

    fn send(&self, message: &Value) -> io::Result<()> {
        write(&self.output, message)
    }
}

fn answer(method: &str, id: &Value, params: &Value) -> Value {
    let result = match method {
        "initialize" => {
            let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
            let revision = REVISIONS.iter().find(|it| **it == asked).unwrap_or(&REVISIONS[0]);
            json!({
                "protocolVersion": revision,
                "capabilities": {"tools": {}, "resources": {}},
                "serverInfo": {"name": NAME, "title": "Satellite demo", "version": env!("CARGO_PKG_VERSION")},
                "instructions": "Three tools to try a connection with: echo, add, slow.",
            })
        }
        "ping" => json!({}),
        "tools/list" => json!({"tools": tools::definitions()}),
        "resources/list" => json!({"resources": [{
            "uri": RESOURCE,
            "name": "about",
            "description": "What this server is",
            "mimeType": "text/plain",
        }]}),
        "resources/templates/list" => json!({"resourceTemplates": []}),
        "resources/read" => match params.get("uri").and_then(Value::as_str) {
            Some(RESOURCE) => json!({"contents": [{
                "uri": RESOURCE,
                "mimeType": "text/plain",
                "text": "The demo server inside the satellite binary.",
            }]}),
            uri => {
                let text = format!("there is no resource {:?}", uri.unwrap_or_default());
                return error(id, RESOURCE_NOT_FOUND, &text);
            }
        },
        _ => return error(id, METHOD_NOT_FOUND, &format!("there is no method {method:?}")),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn error(id: &Value, code: i64, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
}

fn write(output: &Mutex<impl Write>, message: &Value) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut output = lock(output);
    output.write_all(&line)?;
    output.flush()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
