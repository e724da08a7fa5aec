//! What the Backend says when it is asked for a token.

use alloc::format;
use alloc::string::String;

use crate::backoff::retry_after;
use crate::http::{HttpAnswer, HttpFailure};
use crate::remote::{Failure, Fault};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::wire::decode;
use crate::wire::error::ErrorBody;
use crate::wire::tokens::{Tokens, TokensRequest};

/// What an answer means.
#[derive(Debug)]
pub(super) enum Answer {
    /// A token.
    Token { token: Secret, token_type: String, expires_at: Option<Timestamp> },
    /// There is none, and asking again changes nothing.
    No(Failure),
    /// It may be had later; after how long, if that was said.
    Later { message: String, wait_ms: Option<u64> },
}

pub(super) fn read(
    wanted: &TokensRequest,
    answer: Result<HttpAnswer, HttpFailure>,
    now: Timestamp,
) -> Answer {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let message = format!("the Backend gave no token: {failure}");
            return Answer::Later { message, wait_ms: None };
        }
    };
    if answer.is_success() {
        return token(&answer);
    }
    let error = ErrorBody::read(answer.status, &answer.body);
    match answer.status {
        404 => Answer::No(Failure::new(Fault::AuthorisationNeeded, needed(wanted, &error))),
        // A pairing that is void is for the link to find out, which knows what to do about it.
        401 | 408 | 425 | 429 | 500..=599 => Answer::Later {
            message: format!("the Backend gave no token: {error}"),
            wait_ms: answer.retry_after.as_deref().and_then(|it| retry_after::parse(it, now)),
        },
        _ => Answer::No(Failure::new(
            Fault::Broken,
            format!("the Backend refuses this satellite the user's token: {error}"),
        )),
    }
}

fn token(answer: &HttpAnswer) -> Answer {
    let broken = |why: &str| {
        Answer::No(Failure::new(
            Fault::Broken,
            format!("the Backend's token cannot be used: {why}"),
        ))
    };
    let tokens: Tokens = match decode("token", &answer.body) {
        Ok(tokens) => tokens,
        Err(why) => return broken(&why),
    };
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
    if !is_word(tokens.access_token.expose()) || !is_word(&tokens.token_type) {
        return broken("no header can carry it");
    }
    // RFC 6750 §2.1 spells it so, and some servers read nothing else.
    let is_bearer = tokens.token_type.eq_ignore_ascii_case("bearer");
    Answer::Token {
        token: tokens.access_token,
        token_type: if is_bearer { String::from("Bearer") } else { tokens.token_type },
        expires_at: tokens.expires_at.map(|end| end.0),
    }
}

/// What the user is told: the Backend's own words, or where to ask.
fn needed(wanted: &TokensRequest, error: &ErrorBody) -> String {
    let what = error.message.as_deref().unwrap_or("the user has not connected to this server");
    let what = what.trim_end_matches('.');
    let next = error.instructions.clone().unwrap_or_else(|| wanted.advice());
    format!("{what}. {next}")
}
