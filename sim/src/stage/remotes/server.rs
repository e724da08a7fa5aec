//! Model servers: they know both transports of MCP, and keep what a server keeps.

use std::collections::BTreeMap;

use satellite_core::remote::{ExchangeId, Method, Request};
use satellite_core::time::Timestamp;
use serde::Deserialize;

use super::Origin;
use super::tokens::Access;

/// How a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Streamable HTTP, in JSON, keeping nothing between messages.
    Stateless,
    /// Streamable HTTP with sessions: it answers in event streams that can be taken up again, and
    /// has a stream for what it says of its own accord.
    Stateful,
    /// HTTP with server-sent events, of 2024-11-05.
    Legacy,
}

/// What a server is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// How it speaks.
    pub form: Form,
    /// The transport that its entry names.
    pub transport: &'static str,
    /// How many addresses it has.
    pub hosts: usize,
    /// Whether it wants a token of the user.
    pub needs_token: bool,
}

/// Every kind of server, by the slug of its entry.
pub const KINDS: [(&str, Kind); 6] = [
    ("open", Kind { form: Form::Stateless, transport: "http", hosts: 1, needs_token: false }),
    ("far", Kind { form: Form::Stateful, transport: "http", hosts: 1, needs_token: true }),
    ("twin", Kind { form: Form::Stateless, transport: "http", hosts: 2, needs_token: true }),
    ("pair", Kind { form: Form::Stateful, transport: "http", hosts: 2, needs_token: false }),
    ("old", Kind { form: Form::Legacy, transport: "sse", hosts: 1, needs_token: false }),
    ("older", Kind { form: Form::Legacy, transport: "http", hosts: 1, needs_token: true }),
];

/// The kind of server that an entry's slug stands for.
pub fn kind(slug: &str) -> Option<Kind> {
    KINDS.into_iter().find(|(name, _)| *name == slug).map(|(_, kind)| kind)
}

/// The address of one of a server's hosts.
pub fn address(slug: &str, host: usize) -> String {
    format!("https://{slug}-{host}.example/mcp")
}

/// The server and the host at an address.
pub(super) fn place(url: &str) -> Option<(&str, usize)> {
    let (name, _) = url.strip_prefix("https://")?.split_once(".example/")?;
    let (slug, host) = name.rsplit_once('-')?;
    Some((slug, host.parse().ok()?))
}

/// A model server.
#[derive(Debug)]
pub struct ModelServer {
    /// What it is like.
    pub kind: Kind,
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// How often its lists have changed.
    pub lists: u64,
    /// Its users' access.
    pub access: BTreeMap<String, Access>,
    /// Whose each session is, and at which host it lives.
    pub(super) sessions: BTreeMap<String, (String, usize)>,
    /// The rest of each answer whose stream broke off, by the id of the last event that was sent.
    pub(super) kept: BTreeMap<String, String>,
    /// Names sessions and events.
    pub(super) count: u64,
}

/// One of a server's hosts.
#[derive(Debug, Default)]
pub struct Host {
    /// Until when nobody listens there.
    pub down_until: Timestamp,
    /// Until when it takes requests and answers none.
    pub hangs_until: Timestamp,
    /// Exchanges that it has taken and not answered whole, and the session on whose own stream it
    /// speaks, if it is that.
    pub(super) open: BTreeMap<(u64, ExchangeId), Open>,
}

/// An exchange that a host has open.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) origin: Origin,
    /// Whether the head of an answer has been sent.
    pub(super) has_head: bool,
    /// The session whose stream it is.
    pub(super) stream: Option<String>,
}

impl ModelServer {
    /// A server that nobody has spoken to.
    pub fn new(kind: Kind) -> ModelServer {
        ModelServer {
            kind,
            hosts: (0..kind.hosts).map(|_| Host::default()).collect(),
            lists: 0,
            access: BTreeMap::new(),
            sessions: BTreeMap::new(),
            kept: BTreeMap::new(),
            count: 0,
        }
    }

    /// A name that was not used before.
    pub(super) fn name(&mut self, of: &str) -> String {
        self.count += 1;
        format!("{of}{}", self.count)
    }

    /// Whose a session is.
    pub(in crate::stage) fn user_of(&self, session: &str) -> Option<&str> {
        self.sessions.get(session).map(|(user, _)| user.as_str())
    }

    /// A client ended its connection.
    pub(super) fn hung_up(&mut self, conversation: u64, exchange: ExchangeId) {
        for host in &mut self.hosts {
            host.open.remove(&(conversation, exchange));
        }
    }

    /// The exchange on which a session's own stream runs, and the host that has it.
    pub(super) fn stream_of(&self, session: &str) -> Option<(usize, &Open)> {
        let hosts = self.hosts.iter().enumerate();
        let mut open = hosts.flat_map(|(at, host)| host.open.values().map(move |it| (at, it)));
        open.find(|(_, it)| it.stream.as_deref() == Some(session))
    }

    /// Every stream on which it may speak of its own accord.
    pub(super) fn streams(&self) -> Vec<(usize, Origin)> {
        let hosts = self.hosts.iter().enumerate();
        let open = hosts.flat_map(|(at, host)| host.open.values().map(move |it| (at, it)));
        open.filter(|(_, it)| it.stream.is_some()).map(|(at, it)| (at, it.origin.clone())).collect()
    }

    /// What it offers.
    pub(super) fn tools(&self) -> String {
        let also = self.lists;
        format!(
            r#"{{"tools":[{{"name":"echo","inputSchema":{{"type":"object"}}}},{{"name":"also_{also}","inputSchema":{{"type":"object"}}}}]}}"#
        )
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rpc {
    /// `initialize`
    Initialize,
    /// `tools/list`
    List,
    /// `tools/call`
    Call,
    /// `ping`
    Ping,
    /// A notification, or an answer of ours.
    Notice,
    /// A stream, or the rest of an answer.
    Stream,
    /// That the session ends.
    Goodbye,
}

impl Rpc {
    /// What a request asks for.
    pub(super) fn of(request: &Request) -> Rpc {
        match request.method {
            Method::Get => Rpc::Stream,
            Method::Delete => Rpc::Goodbye,
            Method::Post => {
                let body = request.body.as_deref().map_or(&b""[..], Vec::as_slice);
                let has = |what: &[u8]| body.windows(what.len()).take(80).any(|at| at == what);
                if has(br#""method":"initialize""#) {
                    Rpc::Initialize
                } else if has(br#""method":"tools/list""#) {
                    Rpc::List
                } else if has(br#""method":"tools/call""#) {
                    Rpc::Call
                } else if has(br#""method":"ping""#) {
                    Rpc::Ping
                } else {
                    Rpc::Notice
                }
            }
        }
    }
}

/// A message that a server reads.
#[derive(Default, Deserialize)]
pub(super) struct Heard {
    #[serde(default)]
    pub(super) id: serde_json::Value,
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

impl Heard {
    /// Reads a request's body.
    pub(super) fn of(request: &Request) -> Heard {
        let body = request.body.as_deref().map_or(&b"{}"[..], Vec::as_slice);
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The number of the call.
    pub(super) fn number(&self) -> u64 {
        self.params.arguments.number
    }

    /// Under what its progress is to be told.
    pub(super) fn progress(&self) -> Option<&serde_json::Value> {
        self.params.meta.token.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_leads_back_to_its_server_and_host() {
        for (slug, kind) in KINDS {
            for host in 0..kind.hosts {
                let url = format!("{}?key=a", address(slug, host));
                assert_eq!(place(&url), Some((slug, host)));
            }
        }
        assert_eq!(place("http://far-0.example/mcp"), None);
    }
}
