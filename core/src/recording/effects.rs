//! Effects without their secrets: only to compare what a daemon did with what is recorded.

use alloc::string::String;
use alloc::vec::Vec;

use super::Handles;
use crate::control::{Effect, Record};
use crate::http::HttpRequest;
use crate::process::ProcessSpec;
use crate::remote::RemoteSpec;

impl Handles {
    /// The effect, in JSON, with handles where its secrets were. Handles in it stay as they are.
    pub(super) fn effect(&mut self, effect: &Effect) -> Vec<u8> {
        let effect = match effect {
            Effect::Persist(record) => Effect::Persist(self.record(record)),
            Effect::Send { request, http } => {
                Effect::Send { request: *request, http: self.request(http) }
            }
            Effect::Spawn { key, incarnation, process } => Effect::Spawn {
                key: key.clone(),
                incarnation: *incarnation,
                process: self.process(process),
            },
            Effect::Connect { key, incarnation, remote } => Effect::Connect {
                key: key.clone(),
                incarnation: *incarnation,
                remote: self.remote(remote),
            },
            Effect::Terminate { key: _, incarnation: _, grace_ms: _ }
            | Effect::Freeze { key: _, incarnation: _ }
            | Effect::Thaw { key: _, incarnation: _ }
            | Effect::Disconnect { key: _, incarnation: _ }
            | Effect::Reconnect { key: _, incarnation: _ }
            | Effect::Relist { key: _, incarnation: _ }
            | Effect::Probe { key: _, incarnation: _ }
            | Effect::ForgetUser { request: _, user: _, team: _ }
            | Effect::ForgetTokens { key: _ }
            | Effect::Log(_)
            | Effect::Exit(_) => effect.clone(),
        };
        self.texts(crate::wire::encode(&effect))
    }

    fn record(&mut self, record: &Record) -> Record {
        match record {
            Record::Credentials(credentials) => Record::Credentials(self.credentials(credentials)),
            Record::Configuration(configuration) => Record::Configuration(self.body(configuration)),
            Record::Unpaired => Record::Unpaired,
            Record::Journal { bytes, sync } => {
                Record::Journal { bytes: self.journal(bytes), sync: *sync }
            }
            Record::JournalRewrite(bytes) => Record::JournalRewrite(self.journal(bytes)),
            Record::JournalMark(numbers) => Record::JournalMark(*numbers),
        }
    }

    fn request(&mut self, http: &HttpRequest) -> HttpRequest {
        HttpRequest {
            bearer: http.bearer.as_ref().map(|bearer| self.secret(bearer)),
            body: http.body.as_ref().map(|body| self.body(body)),
            ..http.clone()
        }
    }

    /// What an address has behind its origin is one handle in a recorded configuration, so that no
    /// parts of it can be compared.
    fn remote(&mut self, remote: &RemoteSpec) -> RemoteSpec {
        let named = remote.headers.iter();
        let named = named.map(|(name, value)| (name.clone(), self.secret(value)));
        RemoteSpec {
            headers: named.collect(),
            query: Vec::new(),
            endpoints: remote.endpoints.iter().map(|url| origin(url)).collect(),
            ..remote.clone()
        }
    }

    fn process(&mut self, process: &ProcessSpec) -> ProcessSpec {
        ProcessSpec {
            limits: process.limits,
            args: process.args.iter().map(|argument| self.of(argument)).collect(),
            env: process
                .env
                .iter()
                .map(|(name, value)| (name.clone(), self.secret(value)))
                .collect(),
            ..process.clone()
        }
    }
}

fn origin(url: &str) -> String {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
    String::from(url.get(..end).unwrap_or(url))
}
