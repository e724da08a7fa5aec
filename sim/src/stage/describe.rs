//! Events and effects as one line of text, for traces. Bodies are shown whole: two runs that differ
//! anywhere must differ here.

use satellite_core::control::{Effect, Event};
use satellite_core::heartbeat;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::{Machine, Verdict};

/// An event of the control machine.
pub fn event(event: &Event) -> String {
    match event {
        Event::Answered { request, answer: whole } => {
            format!("answered {:?}#{}: {}", request.channel, request.number, answer(whole))
        }
        Event::HeartbeatAnswered { answer: whole } => {
            format!("heartbeat answered: {}", answer(whole))
        }
        other => format!("{other:?}"),
    }
}

/// An effect of the control machine.
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { request, http } => {
            format!("send {:?}#{}: {}", request.channel, request.number, self::request(http))
        }
        Effect::Persist(record) => format!("persist {}", record.name()),
        other => format!("{other:?}"),
    }
}

/// An event of the heartbeat.
pub fn heartbeat_event(event: &heartbeat::Event) -> String {
    match event {
        heartbeat::Event::Answered { request, answer: whole } => {
            format!("answered {:?}#{}: {}", request.channel, request.number, answer(whole))
        }
        heartbeat::Event::Sampled { .. } => String::from("sampled"),
        heartbeat::Event::Paired(_) => String::from("paired"),
        heartbeat::Event::Tick => String::from("tick"),
    }
}

/// An effect of the heartbeat.
pub fn heartbeat_effect(effect: &heartbeat::Effect) -> String {
    match effect {
        heartbeat::Effect::Send { request, http } => {
            format!("send {:?}#{}: {}", request.channel, request.number, self::request(http))
        }
        other => format!("{other:?}"),
    }
}

/// A request.
pub fn request(http: &HttpRequest) -> String {
    let body = String::from_utf8_lossy(http.body.as_deref().unwrap_or_default());
    format!("{:?} {} {:?} {body}", http.method, http.path, http.headers)
}

fn answer(answer: &Result<HttpAnswer, HttpFailure>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(failure) => failure.to_string(),
    }
}

/// A verdict.
pub fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Moved => String::from("moved"),
        Verdict::Handled => String::from("handled"),
        Verdict::Ignored(why) => format!("ignored: {why}"),
        Verdict::Refused(why) => format!("refused: {}", why.as_str()),
    }
}

/// What a machine waits for.
pub fn deadline<M: Machine>(machine: &M) -> &'static str {
    machine.next_deadline().map_or("nothing", |deadline| deadline.why)
}
