//! What a model child says: to its handshake, to questions for its lists, to calls.

use satellite_core::time::{MINUTE, SECOND};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::faults::Fault;
use super::relays::Peering;
use super::{Due, Stage};

/// What every model child offers.
const TOOLS: &str = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}"#;
/// How every model child greets.
const GREETING: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"model","version":"1"}}"#;

/// What a child is like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Child {
    /// It says nothing at all.
    pub is_silent: bool,
    /// It never answers a question for its lists.
    pub lists_never: bool,
    /// Its lists cannot be read.
    pub is_unusable: bool,
    /// Its input is closed: it hears nothing more.
    pub is_deaf: bool,
}

/// A message to a child.
#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: &'a str,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    arguments: Arguments,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Arguments {
    number: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "progressToken")]
    token: Option<serde_json::Value>,
}

/// The line that answers a request.
fn answer(id: &str, result: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").into_bytes()
}

/// What a child says to the call with this number.
pub(super) fn echo(number: u64) -> String {
    format!(r#"{{"content":[{{"type":"text","text":"this is {number}."}}]}}"#)
}

impl Stage {
    /// A child reads what its relay wrote.
    pub(super) fn child_hears(&mut self, satellite: usize, pid: u32, bytes: &[u8]) {
        if self.holds_back(satellite, pid, bytes) {
            return;
        }
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let peer = self.satellites.get(satellite).and_then(|it| it.peers.get(&pid));
            let Some(child) = peer.map(|peer| peer.child) else { return };
            if child.is_deaf || child.is_silent {
                return;
            }
            let Ok(Heard { id, method, params }) = serde_json::from_slice(line) else { continue };
            let Some(id) = id.map(|id| id.get().to_string()) else { continue };
            match method {
                "initialize" => {
                    let wait = self.random.between(50, 1_500);
                    self.at_peer(satellite, pid, wait, Peering::Says(answer(&id, GREETING)));
                }
                "tools/list" if child.lists_never => {}
                "tools/list" => {
                    let mut wait = self.random.between(1, 300);
                    let key = self.key_of(satellite, pid);
                    if key.is_some_and(|key| self.meddle(satellite, &key, 10 * SECOND)) {
                        wait = self.dice.between(SECOND, 15 * SECOND);
                    }
                    let is_unusable =
                        child.is_unusable || self.strikes(satellite, Fault::ChildUnusable);
                    let lists = if is_unusable { r#"{"tools":"none"}"# } else { TOOLS };
                    self.at_peer(satellite, pid, wait, Peering::Says(answer(&id, lists)));
                }
                "ping" => {
                    let wait = self.random.between(1, 50);
                    if !self.strikes(satellite, Fault::ChildUnusable) {
                        self.at_peer(satellite, pid, wait, Peering::Says(answer(&id, "{}")));
                    }
                }
                "tools/call" => self.child_is_called(satellite, pid, &id, &params),
                _ => {}
            }
        }
    }

    /// A child is to do something, and does it, or something else.
    fn child_is_called(&mut self, satellite: usize, pid: u32, id: &str, params: &Params) {
        let mut wait = self.random.between(1, 1_500);
        let says = answer(id, &echo(params.arguments.number));
        if let Some(token) = &params.meta.token {
            for step in 1..=3 {
                let progress = format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\
                     \"params\":{{\"progressToken\":{token},\"progress\":{step}}}}}\n"
                );
                let at = wait * step / 4;
                self.at_peer(satellite, pid, at, Peering::Says(progress.into_bytes()));
            }
        }
        if self.strikes(satellite, Fault::CallDeath) {
            let boot = self.boot_of(satellite);
            let at = self.now.after(self.dice.between(0, wait));
            self.queue.put(at, Due::Death { pid, satellite, boot });
            return;
        }
        if self.strikes(satellite, Fault::CallUnanswered) {
            return;
        }
        if self.strikes(satellite, Fault::CallLate) {
            wait = self.dice.between(SECOND, 3 * MINUTE);
        }
        if self.strikes(satellite, Fault::CallGarbage) {
            let number = params.arguments.number;
            let whole = String::from_utf8_lossy(&says).into_owned();
            let garbage = match self.dice.below(8) {
                0 => whole.replace("}]", "}"),
                1 => answer_of(&whole, "\"result\":", "\"result\":7,\"was\":"),
                2 => answer_of(&whole, "\"result\":", "\"error\":"),
                3 => {
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"result\":{}}}\n", echo(number))
                }
                4 => format!("done, {number}\n"),
                5 => format!("[{}]\n", whole.trim_end()),
                6 => {
                    let error = r#"{"code":-32000,"message":"not today"}"#;
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n")
                }
                // It never learns where a line ends.
                _ => whole.trim_end().to_string(),
            };
            self.at_peer(satellite, pid, wait, Peering::Says(garbage.into_bytes()));
            return;
        }
        if self.strikes(satellite, Fault::CallTwice) {
            let again = wait + self.dice.between(0, 2 * SECOND);
            self.at_peer(satellite, pid, again, Peering::Says(says.clone()));
        }
        // A pipe keeps no boundaries.
        let cut = says.len() / 2;
        let (front, back) = says.split_at(if wait.is_multiple_of(5) { cut } else { 0 });
        if !front.is_empty() {
            self.at_peer(satellite, pid, wait, Peering::Says(front.to_vec()));
        }
        self.at_peer(satellite, pid, wait, Peering::Says(back.to_vec()));
    }
}

fn answer_of(whole: &str, was: &str, is: &str) -> String {
    whole.replacen(was, is, 1)
}
