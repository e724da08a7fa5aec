//! The start: stored credentials are used as they are; without them the satellite asks whether
//! there is a Backend and trades its registration token for credentials.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use statig::Outcome;

use super::answer;
use super::conversation::{Context, Conversation};
use super::state::{State, Turn};
use super::{Effect, exit};
use crate::backend::{registration, registration_token};
use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest, Method};
use crate::limits::{BACKEND_TIMEOUT_MS, HEALTH_TIMEOUT_MS, REGISTRATION_ATTEMPTS_MAX};
use crate::log::{Level, LogLine};
use crate::request::Channel;
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::view::SatelliteIdentity;
use crate::wire::registration::{RegistrationReply, RegistrationRequest, SystemInfo};
use crate::wire::{self, capability, path};

/// What every registration token starts with.
const TOKEN_PREFIXES: [&str; 2] =
    [registration_token::GLOBAL_PREFIX, registration_token::TEAM_PREFIX];
/// The shortest text that can follow the prefix.
const TOKEN_REST_MIN_CHARS: usize = 10;
/// What sample configurations hold in the token's place.
const TOKEN_PLACEHOLDER: &str = "your_registration_token_here";

impl Conversation {
    /// The daemon started.
    pub(super) fn started(
        &mut self,
        credentials: Option<Credentials>,
        registration_token: Option<Secret>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        if let Some(credentials) = credentials {
            if let (Some(stored), Some(own)) =
                (&credentials.backend_url, &self.settings.backend_url)
                && stored != own
            {
                let exit = exit::other_backend(stored, own);
                return context.exit(exit);
            }
            // The satellite works from here on, with the Backend or without it.
            self.credentials = Some(credentials);
            self.announce_pairing(context);
            let turn = self.send_poll(false, context);
            return context.move_to(State::Verifying { turn });
        }
        if let Err(error) = registration::check_name(&self.settings.name) {
            return context.exit(exit::bad_name(&error));
        }
        let token = registration_token
            .filter(|token| !token.expose().trim().is_empty())
            .filter(|token| token.expose().trim() != TOKEN_PLACEHOLDER);
        let Some(token) = token else { return context.exit(exit::no_token()) };
        let Some(token) = well_formed(&token) else {
            return context.exit(exit::malformed_token(&TOKEN_PREFIXES));
        };
        self.registration_token = Some(token);
        let http = HttpRequest {
            method: Method::Get,
            path: path::HEALTH.to_string(),
            bearer: None,
            headers: Vec::new(),
            body: None,
            timeout_ms: HEALTH_TIMEOUT_MS,
        };
        let request = self.send(Channel::Pairing, http, context);
        context.move_to(State::Checking { request })
    }

    /// The health check ended. Without credentials nothing works until there is a Backend, so its
    /// absence is said at once instead of being waited out.
    pub(super) fn checked(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        self.note_answer(answer, context);
        if answer.as_ref().is_ok_and(HttpAnswer::is_success) {
            return self.register(0, false, context);
        }
        context.exit(exit::unreachable("GET /api/health", &answer::describe(answer)))
    }

    /// Sends a registration; `failures` of them went wrong before.
    pub(super) fn register(
        &mut self,
        failures: u32,
        maybe_received: bool,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        let offered = capability::TRANSPORTS.iter().chain(&capability::ADDITIONS);
        let body = RegistrationRequest {
            name: self.settings.name.clone(),
            capabilities: offered.map(ToString::to_string).collect(),
            satellite_url: self.settings.public_url.clone(),
            region: None,
            system_info: Some(SystemInfo::from(&self.settings.system)),
            isolation: self.settings.isolation.level(),
        };
        let http = HttpRequest {
            method: Method::Post,
            path: path::REGISTER.to_string(),
            bearer: self.registration_token.clone(),
            headers: Vec::new(),
            body: Some(wire::encode(&body)),
            timeout_ms: BACKEND_TIMEOUT_MS,
        };
        let request = self.send(Channel::Pairing, http, context);
        let turn = Turn::InFlight { request, since: context.now, wait_seconds: 0 };
        context.move_to(State::Registering { turn, failures, maybe_received })
    }

    /// A registration ended.
    pub(super) fn registered(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
        failures: u32,
        maybe_received: bool,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        self.note_answer(answer, context);
        let received = match answer {
            Ok(received) => received,
            Err(failure) => {
                let maybe_received = maybe_received || !failure.has_no_side_effects();
                let last = !failure.is_retryable();
                return self.retry(answer, None, failures, maybe_received, last, context);
            }
        };
        if received.is_success() {
            return match wire::decode::<RegistrationReply>("registration reply", &received.body) {
                Ok(reply) => self.pair(reply, context),
                // Somebody answered, and the token may be used up.
                Err(error) => self.retry(answer, Some(error), failures, true, false, context),
            };
        }
        if matches!(received.status, 408 | 425 | 429) || received.status >= 500 {
            let maybe_received = maybe_received || received.status >= 500;
            return self.retry(answer, None, failures, maybe_received, false, context);
        }
        if received.status == 404 {
            return context.exit(exit::unreachable(
                "POST /api/satellites/register",
                &answer::describe(answer),
            ));
        }
        let body = answer::error_body(received);
        let message = body.message.unwrap_or_default();
        context.exit(exit::refused(received.status, &body.error, &message, maybe_received))
    }

    fn pair(&mut self, reply: RegistrationReply, context: &mut Context<'_>) -> Outcome<State> {
        let satellite = reply.satellite;
        let credentials = Credentials {
            api_key: satellite.api_key,
            satellite_id: satellite.id,
            satellite_name: satellite.name,
            team_id: satellite.team_id,
            backend_url: self.settings.backend_url.clone(),
            registered_at: IsoTime(context.now),
            last_verified: IsoTime(context.now),
        };
        self.registration_token = None;
        self.failures = 0;
        self.last_error = None;
        self.verified = true;
        context.out.push(Effect::Store(credentials.clone()));
        self.credentials = Some(credentials);
        context.move_to(State::Storing)
    }

    /// The first writing of the credentials ended.
    pub(super) fn stored(
        &mut self,
        outcome: &Result<(), String>,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        if let Err(error) = outcome {
            return context.exit(exit::not_stored(error));
        }
        self.announce_pairing(context);
        let turn = self.send_poll(false, context);
        context.move_to(State::Polling { turn })
    }

    /// The Backend accepted the key: the first time since the start, that is written down.
    pub(super) fn note_verified(&mut self, context: &mut Context<'_>) {
        if self.verified {
            return;
        }
        self.verified = true;
        if let Some(credentials) = &mut self.credentials {
            credentials.last_verified = IsoTime(context.now);
            if credentials.backend_url.is_none() {
                credentials.backend_url = self.settings.backend_url.clone();
            }
            context.out.push(Effect::Store(credentials.clone()));
        }
    }

    fn announce_pairing(&mut self, context: &mut Context<'_>) {
        self.stored = true;
        if let Some(credentials) = &self.credentials {
            context.out.push(Effect::Paired(SatelliteIdentity {
                id: credentials.satellite_id.clone(),
                name: credentials.satellite_name.clone(),
                team: credentials.team_id.clone(),
            }));
        }
    }

    fn retry(
        &mut self,
        answer: &Result<HttpAnswer, HttpFailure>,
        unreadable: Option<String>,
        failures: u32,
        maybe_received: bool,
        last: bool,
        context: &mut Context<'_>,
    ) -> Outcome<State> {
        let error = unreadable.unwrap_or_else(|| answer::describe(answer));
        let failures = failures.saturating_add(1);
        self.failures = failures;
        if last || failures >= REGISTRATION_ATTEMPTS_MAX {
            return context.exit(exit::not_registered(&error, failures, maybe_received));
        }
        let asked = answer::asked_wait(answer, context.now);
        let wait = backoff::after_failures(failures, asked, &mut self.random);
        context.log(
            LogLine::new(Level::Warn, "The registration failed and will be tried again")
                .with("error", &error)
                .with("failures", failures)
                .with("next_attempt_ms", wait),
        );
        self.last_error = Some(error);
        let turn = Turn::Due { at: context.now.after(wait) };
        context.move_to(State::Registering { turn, failures, maybe_received })
    }
}

/// The token without the space around it, if it can be one. Anything else is not sent: it may be
/// another secret in the wrong variable.
fn well_formed(token: &Secret) -> Option<Secret> {
    let text = token.expose().trim();
    let rest = TOKEN_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let printable = rest.bytes().all(|byte| byte.is_ascii_graphic());
    (printable && rest.len() >= TOKEN_REST_MIN_CHARS).then(|| Secret::new(text))
}
