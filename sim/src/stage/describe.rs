//! Events and effects as one line of text, for traces, and as a number, for their digest. Bodies are
//! shown whole, but for the Backend's secrets: two runs that differ anywhere must differ here.

use std::hash::{Hash, Hasher};

use satellite_core::control::{Effect, Event, Record};
use satellite_core::heartbeat;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::relay;
use satellite_core::{Machine, Verdict};

use super::SECRET;
use crate::trace::Digest;

/// An event of the control machine.
pub fn event(event: &Event) -> String {
    match event {
        Event::Answered { request, answer: whole } => {
            format!("answered {:?}#{}: {}", request.channel, request.number, answer(whole))
        }
        Event::HeartbeatAnswered { answer: whole } => {
            format!("heartbeat answered: {}", answer(whole))
        }
        Event::Started(_) => String::from("started"),
        other => format!("{other:?}"),
    }
}

/// An effect of the control machine.
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { request, http } => {
            format!("send {:?}#{}: {}", request.channel, request.number, self::request(http))
        }
        Effect::Persist(Record::Journal { bytes, sync }) => {
            format!("append to the journal, sync {sync}: {}", String::from_utf8_lossy(bytes))
        }
        Effect::Persist(Record::JournalRewrite(bytes)) => {
            format!("rewrite the journal: {}", String::from_utf8_lossy(bytes))
        }
        Effect::Persist(Record::JournalMark(numbers)) => {
            format!("mark the journal: {numbers} numbers beyond its own")
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
        heartbeat::Effect::Answered(_) => String::from("tell the control machine"),
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
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body);
            without_secrets(&format!("{} {body}", answer.status))
        }
        Err(failure) => failure.to_string(),
    }
}

/// What the Backend said with every secret cut out: what begins with the mark that all of them
/// bear. What a daemon says is shown as it is; an invariant looks for the mark.
fn without_secrets(text: &str) -> String {
    let mut parts = text.split(SECRET);
    let mut clean = parts.next().map(String::from).unwrap_or_default();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c));
        clean.push_str("[secret]");
        clean.push_str(rest);
    }
    clean
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

/// Adds an event to a digest. What the world says is what the digest is about: the rest follows.
pub fn digest_event(event: &Event, digest: &mut Digest) {
    digest.write(event.name().as_bytes());
    if let Event::Answered { request, answer } = event {
        digest.write_u64(request.number);
        digest_answer(answer, digest);
    }
}

/// Adds an answer to a digest.
pub fn digest_answer(answer: &Result<HttpAnswer, HttpFailure>, digest: &mut Digest) {
    match answer {
        Ok(answer) => {
            digest.write_u64(answer.elapsed_ms << 16 | u64::from(answer.status));
            digest.write(&answer.body);
        }
        Err(failure) => std::mem::discriminant(failure).hash(digest),
    }
}

/// Adds a request to a digest.
pub fn digest_request(http: &HttpRequest, digest: &mut Digest) {
    digest.write(http.path.as_bytes());
    digest.write(http.body.as_deref().unwrap_or_default());
}

/// Adds an effect of the control machine to a digest.
pub fn digest_effect(effect: &Effect, digest: &mut Digest) {
    std::mem::discriminant(effect).hash(digest);
    match effect {
        Effect::Send { http, .. } => digest_request(http, digest),
        Effect::Spawn { incarnation, .. }
        | Effect::Terminate { incarnation, .. }
        | Effect::Freeze { incarnation, .. }
        | Effect::Thaw { incarnation, .. }
        | Effect::Connect { incarnation, .. }
        | Effect::Disconnect { incarnation, .. }
        | Effect::Reconnect { incarnation, .. }
        | Effect::Relist { incarnation, .. }
        | Effect::Probe { incarnation, .. } => digest.write_u64(incarnation.0),
        Effect::ForgetUser { request, .. } => digest.write_u64(*request),
        Effect::ForgetTokens { key } => digest.write(key.user.as_str().as_bytes()),
        Effect::Log(line) => digest.write(line.msg.as_bytes()),
        Effect::Persist(record) => {
            digest.write(record.name().as_bytes());
            if let Record::Journal { bytes, .. } | Record::JournalRewrite(bytes) = record {
                digest.write(bytes);
            }
        }
        Effect::Exit(exit) => digest.write_u64(u64::from(exit.code)),
    }
}

/// An event of a relay.
pub fn relay_event(event: &relay::Event) -> String {
    match event {
        relay::Event::Read(bytes) => format!("read: {}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}

/// An effect of a relay.
pub fn relay_effect(effect: &relay::Effect) -> String {
    match effect {
        relay::Effect::Write(bytes) => format!("write: {}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}

/// Adds an event of the relay of a process to a digest.
pub fn digest_relay_event(pid: u64, event: &relay::Event, digest: &mut Digest) {
    digest.write_u64(pid);
    std::mem::discriminant(event).hash(digest);
    if let relay::Event::Read(bytes) = event {
        digest.write(bytes);
    }
}

/// Adds an effect of a relay to a digest.
pub fn digest_relay_effect(effect: &relay::Effect, digest: &mut Digest) {
    std::mem::discriminant(effect).hash(digest);
    match effect {
        relay::Effect::Write(bytes) => digest.write(bytes),
        relay::Effect::Answer { call, outcome } => {
            digest.write_u64(call.0);
            std::mem::discriminant(outcome).hash(digest);
        }
        relay::Effect::NotifyCall { call, .. } => digest.write_u64(call.0),
        relay::Effect::NotifyAll { .. } | relay::Effect::Report(_) => {}
    }
}

/// Adds a verdict to a digest.
pub fn digest_verdict(verdict: Verdict, digest: &mut Digest) {
    match verdict {
        Verdict::Moved => digest.write_u64(1),
        Verdict::Handled => digest.write_u64(2),
        Verdict::Ignored(why) => digest.write(why.as_bytes()),
        Verdict::Refused(why) => digest.write(why.as_str().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_cut_out_and_what_stands_around_it_stays() {
        let text = format!(r#"{{"key":"{SECRET}01-a_b","more":"{SECRET}"}}"#);
        assert_eq!(without_secrets(&text), r#"{"key":"[secret]","more":"[secret]"}"#);
        assert_eq!(without_secrets("nothing"), "nothing");
    }
}
