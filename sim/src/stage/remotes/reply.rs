//! What a server answers, piece by piece, and what becomes of that on its way.

use satellite_core::http::HttpFailure;
use satellite_core::remote::{Event, Head};
use satellite_core::time::SECOND;

use super::server::{Form, Heard, Rpc};
use super::serving::Door;
use super::{Origin, Stage, Told};
use crate::stage::faults::Fault;

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    /// After how many milliseconds it begins.
    pub(super) wait: u64,
}

/// What follows a head.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// One text.
    Text(String),
    /// A text, of which only a part arrives.
    Half(String),
    /// Events, each some time after the one before.
    Events(Vec<String>),
    /// Events, and then the stream breaks off: with an error, or as if it were complete.
    Broken(Vec<String>, bool),
    /// One event, and nothing more for now.
    Open(String),
}

impl Answer {
    /// An answer that says nothing but its status.
    pub(super) fn refusal(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::None, wait: 0 }
    }

    pub(super) fn json(text: String) -> Answer {
        let headers = vec![("content-type", String::from("application/json"))];
        Answer { status: 200, headers, body: Body::Text(text), wait: 0 }
    }

    pub(super) fn events() -> Answer {
        let headers = vec![("content-type", String::from("text/event-stream"))];
        Answer { status: 200, headers, body: Body::None, wait: 0 }
    }
}

impl Stage {
    /// There is no answer.
    pub(super) fn fail(&mut self, origin: &Origin, after: u64, failure: HttpFailure) {
        let way = after + self.remotes.random.between(1, 40);
        let failed = Event::Failed { exchange: origin.exchange, failure };
        self.piece(origin, way, failed);
    }

    fn piece(&mut self, origin: &Origin, after: u64, event: Event) {
        let (satellite, number) = (origin.satellite, origin.conversation);
        self.tell_conversation(satellite, number, after, Told::Event(event));
    }

    /// An answer leaves.
    pub(super) fn answer(&mut self, door: &Door, origin: &Origin, answer: Answer) {
        let exchange = origin.exchange;
        let mut at = answer.wait + self.remotes.random.between(1, 40);
        let headers = answer.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let head = Head::new(answer.status, headers);
        self.piece(origin, at, Event::Head { exchange, head });
        let server = self.remotes.servers.get_mut(&door.slug);
        if let Some(open) = server
            .and_then(|server| server.hosts.get_mut(door.host))
            .and_then(|host| host.open.get_mut(&(origin.conversation, exchange)))
        {
            open.has_head = true;
        }
        let chunk = |text: &str| Event::Chunk { exchange, bytes: text.as_bytes().to_vec() };
        let cut = || HttpFailure::Cut(String::from("connection reset"));
        match answer.body {
            Body::None => self.piece(origin, at, Event::Ended { exchange }),
            Body::Text(text) => {
                // A connection keeps no boundaries.
                let middle = if at.is_multiple_of(5) { text.len() / 2 } else { 0 };
                if let Some((front, back)) = text.split_at_checked(middle) {
                    if !front.is_empty() {
                        self.piece(origin, at, chunk(front));
                    }
                    self.piece(origin, at, chunk(back));
                }
                self.piece(origin, at, Event::Ended { exchange });
            }
            Body::Half(text) => {
                let half = text.get(..text.len() / 2).unwrap_or_default();
                self.piece(origin, at, chunk(half));
                self.piece(origin, at + 1, Event::Failed { exchange, failure: cut() });
            }
            Body::Events(events) => {
                for event in events {
                    self.piece(origin, at, chunk(&event));
                    at += self.remotes.random.between(0, 300);
                }
                self.piece(origin, at, Event::Ended { exchange });
            }
            Body::Broken(events, with_error) => {
                for event in events {
                    self.piece(origin, at, chunk(&event));
                    at += self.remotes.random.between(0, 300);
                }
                let end = match with_error {
                    true => Event::Failed { exchange, failure: cut() },
                    false => Event::Ended { exchange },
                };
                self.piece(origin, at, end);
            }
            Body::Open(first) => self.piece(origin, at, chunk(&first)),
        }
    }

    /// The answer to a request, as the server's form has it, and what becomes of it.
    pub(super) fn result(
        &mut self,
        door: &Door,
        origin: &Origin,
        (rpc, heard, session): (Rpc, Heard, Option<String>),
        result: &str,
    ) -> Answer {
        let satellite = origin.satellite;
        let mut wait = self.takes(satellite, rpc);
        if rpc == Rpc::List {
            if self.meddle(satellite, &origin.key, 10 * SECOND) {
                wait = self.dice.between(SECOND, 15 * SECOND);
            }
            if let Some(conversation) = self.conversation(satellite, origin.conversation) {
                conversation.was_listed = true;
            }
        }
        let mut message = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, heard.id);
        if self.strikes(satellite, Fault::FarGarbage) {
            match self.garbage(&message, &heard) {
                Ok(other) => message = other,
                Err(answer) => return Answer { wait, ..answer },
            }
        }
        if self.strikes(satellite, Fault::FarResetAfter) {
            let reset = HttpFailure::Reset(String::from("connection reset"));
            self.fail(origin, wait, reset);
            // The failure comes first; what follows is not heard.
            return Answer { wait: wait + SECOND, ..Answer::refusal(500) };
        }
        let is_cut = self.strikes(satellite, Fault::FarCut);
        match door.form {
            Form::Stateless if is_cut => {
                Answer { wait, body: Body::Half(message.clone()), ..Answer::json(message) }
            }
            Form::Stateless => Answer { wait, ..Answer::json(message) },
            Form::Stateful => self.in_events(door, (wait, is_cut), (heard, session), &message),
            Form::Legacy => {
                if !is_cut {
                    self.on_stream(door, wait, session.as_deref(), &message);
                }
                Answer::refusal(202)
            }
        }
    }

    /// An answer in a stream of its own, behind what is told of its progress.
    fn in_events(
        &mut self,
        door: &Door,
        (wait, is_cut): (u64, bool),
        (heard, session): (Heard, Option<String>),
        message: &str,
    ) -> Answer {
        let can_go_on = self.remotes.random.chance(2, 3);
        let Some(server) = self.remotes.servers.get_mut(&door.slug) else {
            return Answer::refusal(404);
        };
        let mut events = Vec::new();
        let name = server.name("event-");
        if let Some(token) = heard.progress() {
            for step in 1..=3 {
                events.push(format!(
                    "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\
                     \"params\":{{\"progressToken\":{token},\"progress\":{step}}}}}\n\n"
                ));
            }
        }
        if can_go_on {
            events.push(format!("id: {name}\nretry: 400\ndata: \n\n"));
        }
        let last = server.name("event-");
        let answer = format!("id: {last}\ndata: {message}\n\n");
        let mut whole = Answer { wait, ..Answer::events() };
        whole.headers.extend(session.map(|session| ("mcp-session-id", session)));
        if is_cut {
            if can_go_on {
                server.kept.insert(name, answer);
            }
            whole.body = Body::Broken(events, wait.is_multiple_of(2));
        } else {
            events.push(answer);
            whole.body = Body::Events(events);
        }
        whole
    }

    /// An answer on the stream that is the session.
    fn on_stream(&mut self, door: &Door, wait: u64, session: Option<&str>, message: &str) {
        let server = self.remotes.servers.get(&door.slug);
        let stream = server.zip(session).and_then(|(server, session)| server.stream_of(session));
        let Some(origin) = stream.map(|(_, open)| open.origin.clone()) else { return };
        let way = wait + self.remotes.random.between(1, 40);
        let bytes = format!("event: message\ndata: {message}\n\n").into_bytes();
        self.piece(&origin, way, Event::Chunk { exchange: origin.exchange, bytes });
    }

    /// Something else than the answer: a message in its place, or another answer altogether.
    fn garbage(&mut self, message: &str, heard: &Heard) -> Result<String, Answer> {
        let typed = |kind: &str, text: &str| Answer {
            status: 200,
            headers: vec![("content-type", String::from(kind))],
            body: Body::Text(text.to_string()),
            wait: 0,
        };
        let id = &heard.id;
        match self.dice.below(12) {
            0 => Err(typed("text/html", "<html>please log in to this network</html>")),
            1 => Err(typed("application/json", "")),
            2 => Err(typed("application/json", "null")),
            3 => Err(typed("application/json", "{\"jsonrpc\":\"2.0\",\"id\":1,\"res")),
            4 => Err(Answer::refusal(200)),
            5 => Err(Answer::refusal(202)),
            6 => Err(Answer {
                // A stream that never ends and says nothing.
                body: Body::Open(String::from(": nothing\n\n: nothing\n\n")),
                ..Answer::events()
            }),
            7 => Ok(message.replacen("\"result\":", "\"result\":7,\"was\":", 1)),
            8 => Ok(message.replacen("\"result\":", "\"error\":", 1)),
            9 => Ok(message.replacen(&format!("\"id\":{id}"), "\"id\":999999", 1)),
            10 => Ok(format!("[{message}]")),
            _ => {
                let error = r#"{"code":-32000,"message":"not today"}"#;
                Ok(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
            }
        }
    }
}
