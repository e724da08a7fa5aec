//! Events without their secrets.

use alloc::string::String;
use alloc::vec::Vec;

use super::Handles;
use super::json::{Place, rewrite};
use crate::control::{Event, Start};
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure};
use crate::secret::Secret;

impl Handles {
    /// The event as a recording has it, in JSON: handles where its secrets were, and in every text
    /// of it in which one of them stood.
    ///
    /// Whoever adds an event finds the match below not exhaustive. What holds a [`Secret`], or
    /// bytes of others, is rewritten there; texts are rewritten afterwards, all alike.
    pub fn event(&mut self, event: &Event) -> Vec<u8> {
        let event = match event {
            Event::Started(start) => Event::Started(self.start(start)),
            Event::Answered { request, answer } => {
                Event::Answered { request: *request, answer: self.answer(answer) }
            }
            Event::HeartbeatAnswered { answer } => {
                Event::HeartbeatAnswered { answer: self.answer(answer) }
            }
            Event::Persisted { record: _, outcome: _ }
            | Event::Spawned { key: _, incarnation: _, pid: _ }
            | Event::SpawnFailed { key: _, incarnation: _, failure: _ }
            | Event::Exited { key: _, incarnation: _, ended: _ }
            | Event::Frozen { key: _, incarnation: _ }
            | Event::FreezeFailed { key: _, incarnation: _, error: _ }
            | Event::Thawed { key: _, incarnation: _ }
            | Event::ThawFailed { key: _, incarnation: _, error: _ }
            | Event::Relay { key: _, incarnation: _, report: _ }
            | Event::Wanted { key: _ }
            | Event::Stderr { key: _, incarnation: _, lines: _, dropped: _, dropped_over_ms: _ }
            | Event::Measured { at: _, samples: _, teams: _ }
            | Event::Used { reports: _, lost: _ }
            | Event::UserForgotten { request: _, identities: _, sessions: _ }
            | Event::ShutdownRequested
            | Event::Tick => event.clone(),
        };
        self.texts(crate::wire::encode(&event))
    }

    /// JSON of ours with handles in all its texts, those apart that have been rewritten.
    pub(super) fn texts(&self, json: Vec<u8>) -> Vec<u8> {
        let place = |key: &str| match key {
            "body" | "bytes" | "configuration" | "journal" | "journal_rewrite" => Place::Done,
            _ => Place::Other,
        };
        let Some(text) = core::str::from_utf8(&json).ok().filter(|text| self.may_be_in(text))
        else {
            return json;
        };
        let changed = rewrite(text, place, &mut |place, value| match place {
            Place::Done => None,
            _ => self.text(value),
        });
        changed.map_or(json, String::into_bytes)
    }

    fn start(&mut self, start: &Start) -> Start {
        let Start { credentials, registration_token, configuration, journal, boot } = start;
        Start {
            credentials: credentials.as_ref().map(|credentials| self.credentials(credentials)),
            registration_token: registration_token.as_ref().map(|token| self.secret(token)),
            configuration: configuration.as_ref().map(|configuration| self.body(configuration)),
            journal: self.journal(journal),
            boot: boot.clone(),
        }
    }

    pub(super) fn credentials(&mut self, credentials: &Credentials) -> Credentials {
        let backend_url = credentials.backend_url.as_deref().map(|url| {
            self.learn_address(url);
            self.address(url)
        });
        for name in [credentials.satellite_id.as_str(), credentials.satellite_name.as_str()] {
            self.is_public(name);
        }
        if let Some(team) = &credentials.team_id {
            self.is_public(team.as_str());
        }
        let api_key = self.secret(&credentials.api_key);
        Credentials { api_key, backend_url, ..credentials.clone() }
    }

    pub(super) fn secret(&mut self, secret: &Secret) -> Secret {
        self.learn(secret.expose());
        Secret::new(self.of(secret.expose()))
    }

    fn answer(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
    ) -> Result<HttpAnswer, HttpFailure> {
        match answer {
            Ok(answer) => Ok(HttpAnswer { body: self.body(&answer.body), ..answer.clone() }),
            Err(failure) => Err(failure.clone()),
        }
    }
}
