//! Effects without their secrets: only to compare what a daemon did with what is recorded.

use alloc::vec::Vec;

use super::Handles;
use crate::control::{Effect, Record};
use crate::http::HttpRequest;
use crate::process::ProcessSpec;

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
            Effect::Terminate { key: _, incarnation: _, grace_ms: _ }
            | Effect::Relist { key: _, incarnation: _ }
            | Effect::Probe { key: _, incarnation: _ }
            | Effect::ForgetUser { request: _, user: _, team: _ }
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

    fn process(&mut self, process: &ProcessSpec) -> ProcessSpec {
        ProcessSpec {
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
