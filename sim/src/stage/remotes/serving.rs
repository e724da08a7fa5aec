//! What becomes of a request that reaches a server.

use satellite_core::http::HttpFailure;
use satellite_core::remote::Request;
use satellite_core::time::SECOND;

use super::reply::{Answer, Body};
use super::server::{Form, Heard, Open, Rpc, place};
use super::{Knock, Origin, Stage};
use crate::stage::child::echo;
use crate::stage::faults::Fault;
use crate::stage::invariants;

/// Where a request has arrived.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) slug: String,
    pub(super) host: usize,
    pub(super) form: Form,
}

/// A header of a request.
pub(in crate::stage) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    headers.find(|(it, _)| it == name).map(|(_, value)| value.expose())
}

/// A parameter of a request's address.
pub(in crate::stage) fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let (_, query) = request.url.expose().split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Stage {
    /// A request reaches a server, or what stands before it.
    pub(in crate::stage) fn knock(&mut self, knock: &Knock) {
        let Knock { origin, request } = knock;
        let Some((slug, host)) = place(request.url.expose()) else { return };
        let Some(server) = self.remotes.servers.get(slug) else { return };
        let Some(at) = server.hosts.get(host) else { return };
        let door = Door { slug: slug.to_string(), host, form: server.kind.form };
        let (is_down, hangs) = (self.now < at.down_until, self.now < at.hangs_until);
        let needs_token = server.kind.needs_token;
        invariants::knocked(self, origin, request, &door.slug);
        let satellite = origin.satellite;
        if is_down || self.strikes(satellite, Fault::FarRefused) {
            let failure = self.unreached();
            return self.fail(origin, 0, failure);
        }
        if self.strikes(satellite, Fault::FarResetBefore) {
            return self.fail(origin, 0, HttpFailure::Reset(String::from("connection reset")));
        }
        self.open(&door, origin);
        if hangs || self.strikes(satellite, Fault::FarSilent) {
            // It may act, and nobody hears of it.
            if self.remotes.random.chance(1, 2) && Rpc::of(request) == Rpc::Call {
                self.act(&Heard::of(request));
            }
            return;
        }
        if let Some(answer) = self.turned_away(origin, request) {
            return self.answer(&door, origin, answer);
        }
        if needs_token {
            if self.strikes(satellite, Fault::TokenExpired) {
                self.void_tokens(&door.slug, origin.key.user.as_str());
            }
            if !self.takes_token(&door.slug, header(request, "authorization")) {
                let answer = self.challenge(origin);
                return self.answer(&door, origin, answer);
            }
        }
        let answer = match Rpc::of(request) {
            Rpc::Stream => self.stream(&door, origin, request),
            Rpc::Goodbye => self.goodbye(&door, request),
            rpc => self.message(&door, origin, request, rpc),
        };
        self.answer(&door, origin, answer);
    }

    /// A host has an exchange open.
    fn open(&mut self, door: &Door, origin: &Origin) {
        let server = self.remotes.servers.get_mut(&door.slug);
        if let Some(host) = server.and_then(|server| server.hosts.get_mut(door.host)) {
            let open = Open { origin: origin.clone(), has_head: false, stream: None };
            host.open.insert((origin.conversation, origin.exchange), open);
        }
    }

    /// Why there is no connection.
    fn unreached(&mut self) -> HttpFailure {
        match self.remotes.random.below(8) {
            0 => HttpFailure::ConnectTimedOut,
            1 => HttpFailure::Unresolved(String::from("no such host")),
            2 => HttpFailure::Tls(String::from("no shared cipher")),
            _ => HttpFailure::Refused(String::from("nobody listens")),
        }
    }

    /// What somebody who has not looked at the request, or is no longer able to, answers instead.
    fn turned_away(&mut self, origin: &Origin, request: &Request) -> Option<Answer> {
        let satellite = origin.satellite;
        if self.strikes(satellite, Fault::FarThrottles) {
            let mut answer = Answer::refusal(429);
            match self.dice.below(4) {
                0 => {}
                1 => answer.headers.push(("retry-after", String::from("soon"))),
                2 => answer.headers.push(("retry-after", self.dice.between(0, 400).to_string())),
                _ => answer.headers.push(("retry-after", self.dice.between(0, 8).to_string())),
            }
            return Some(answer);
        }
        if self.strikes(satellite, Fault::Far5xx) {
            let status = [500, 502, 503, 504][self.dice.below(4) as usize % 4];
            let mut answer = Answer::refusal(status);
            if status == 503 && self.dice.chance(1, 2) {
                answer.headers.push(("retry-after", self.dice.between(0, 60).to_string()));
            } else if self.dice.chance(1, 2) && Rpc::of(request) == Rpc::Call {
                // It failed after the deed.
                self.act(&Heard::of(request));
            }
            return Some(answer);
        }
        if self.strikes(satellite, Fault::FarForbids) {
            return Some(self.challenge(origin));
        }
        if self.strikes(satellite, Fault::Far4xx) {
            const STATUSES: [u16; 9] = [301, 400, 404, 405, 408, 409, 415, 418, 422];
            let place = self.dice.below(STATUSES.len() as u64) as usize;
            let status = STATUSES.get(place).copied().unwrap_or(400);
            if matches!(status, 408 | 409)
                && self.dice.chance(1, 2)
                && Rpc::of(request) == Rpc::Call
            {
                self.act(&Heard::of(request));
            }
            let mut answer = Answer::refusal(status);
            if status == 400 && self.dice.chance(1, 2) {
                let error = r#"{"code":-32000,"message":"Bad Request: no valid session"}"#;
                answer = Answer::json(format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#));
                answer.status = status;
            }
            return Some(answer);
        }
        None
    }

    /// The access is refused.
    fn challenge(&mut self, origin: &Origin) -> Answer {
        self.access_refused(origin.satellite, origin.conversation, &origin.key);
        let status = if self.remotes.random.chance(3, 4) { 401 } else { 403 };
        let mut answer = Answer::refusal(status);
        if self.remotes.random.chance(1, 2) {
            answer
                .headers
                .push(("www-authenticate", String::from("Bearer error=\"invalid_token\"")));
        }
        answer
    }

    /// Somebody asks for a stream.
    fn stream(&mut self, door: &Door, origin: &Origin, request: &Request) -> Answer {
        let Some(server) = self.remotes.servers.get_mut(&door.slug) else {
            return Answer::refusal(404);
        };
        let session = match door.form {
            Form::Stateless => return Answer::refusal(405),
            Form::Stateful => {
                let session = header(request, "mcp-session-id").unwrap_or_default().to_string();
                if !server.sessions.contains_key(&session) {
                    return Answer::refusal(404);
                }
                if let Some(rest) =
                    header(request, "last-event-id").and_then(|id| server.kept.remove(id))
                {
                    return Answer { body: Body::Events(vec![rest]), ..Answer::events() };
                }
                session
            }
            Form::Legacy => {
                let session = server.name("stream-");
                let user = origin.key.user.as_str().to_string();
                server.sessions.insert(session.clone(), (user, door.host));
                session
            }
        };
        if let Some(open) = server
            .hosts
            .get_mut(door.host)
            .and_then(|host| host.open.get_mut(&(origin.conversation, origin.exchange)))
        {
            open.stream = Some(session.clone());
        }
        let first = match door.form {
            Form::Legacy => format!("event: endpoint\ndata: /messages?session={session}\n\n"),
            _ => String::from(": listening\n\n"),
        };
        Answer { body: Body::Open(first), ..Answer::events() }
    }

    /// A client ends its session.
    fn goodbye(&mut self, door: &Door, request: &Request) -> Answer {
        let session = header(request, "mcp-session-id").unwrap_or_default();
        let server = self.remotes.servers.get_mut(&door.slug);
        let known = server.and_then(|server| server.sessions.remove(session));
        Answer::refusal(if known.is_some() { 200 } else { 404 })
    }

    /// Somebody sends a message.
    fn message(&mut self, door: &Door, origin: &Origin, request: &Request, rpc: Rpc) -> Answer {
        let heard = Heard::of(request);
        let Some(server) = self.remotes.servers.get_mut(&door.slug) else {
            return Answer::refusal(404);
        };
        let mut session = None;
        match door.form {
            Form::Stateless => {}
            Form::Stateful if rpc == Rpc::Initialize => {
                let name = server.name("session-");
                let user = origin.key.user.as_str().to_string();
                server.sessions.insert(name.clone(), (user, door.host));
                session = Some(name);
            }
            Form::Stateful => {
                let name = header(request, "mcp-session-id").unwrap_or_default();
                let lives_here =
                    server.sessions.get(name).is_some_and(|(_, host)| *host == door.host);
                if !lives_here {
                    return Answer::refusal(404);
                }
            }
            Form::Legacy => {
                let Some(name) = parameter(request, "session") else {
                    // A message to where only streams are to be had.
                    return Answer::refusal(405);
                };
                if server.stream_of(name).is_none() {
                    return Answer::refusal(404);
                }
                session = Some(name.to_string());
            }
        }
        let result = match rpc {
            Rpc::Initialize => {
                let revision = if door.form == Form::Legacy { "2024-11-05" } else { "2025-11-25" };
                format!(
                    r#"{{"protocolVersion":"{revision}","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{{"name":"model","version":"1"}}}}"#
                )
            }
            Rpc::List => server.tools(),
            Rpc::Call => {
                self.act(&heard);
                echo(heard.number())
            }
            Rpc::Ping => String::from("{}"),
            Rpc::Notice | Rpc::Stream | Rpc::Goodbye => return Answer::refusal(202),
        };
        self.result(door, origin, (rpc, heard, session), &result)
    }

    /// A server does what a call asks for.
    fn act(&mut self, heard: &Heard) {
        invariants::ran(self, heard.number());
    }

    /// How long a server takes.
    pub(super) fn takes(&mut self, satellite: usize, rpc: Rpc) -> u64 {
        if self.strikes(satellite, Fault::FarSlow) {
            return self.dice.between(SECOND, 100 * SECOND);
        }
        let most = if rpc == Rpc::Call { 1_500 } else { 60 };
        self.remotes.random.between(1, most)
    }
}
