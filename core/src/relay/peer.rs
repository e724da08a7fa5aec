//! What the child says: answers, requests, notifications, and noise.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr2;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::framing::{Frame, Framer, Outline};
use super::inventory::{error_phrase, is_error_object, shortened};
use super::machine::{ListChanged, Phase, Relay};
use super::table::Purpose;
use super::{CallOutcome, Effect};
use crate::json::{
    Answer, CODE_INTERNAL_ERROR, CODE_INVALID_REQUEST, CODE_METHOD_NOT_FOUND, Fault, Id, Invalid,
    Message, Parsed, error_object, one_line, parse, present, replaced, response, span_within,
};
use crate::limits::MESSAGE_MAX_BYTES;
use crate::time::Timestamp;
use crate::{Refusal, Verdict};

const NOT_JSON: &str = "a line that is not JSON";
const NO_MESSAGE: &str = "a message that is not JSON-RPC 2.0";
const OVERSIZED: &str = "a line beyond the size limit";
const ANSWER_TO_NOTHING: &str = "an answer to nothing";
const BATCH: &str = "a batch, which its revision does not have";

impl Relay {
    pub(super) fn read(&mut self, now: Timestamp, bytes: &[u8], out: &mut Vec<Effect>) -> Verdict {
        match self.phase {
            Phase::Unopened => return Verdict::Refused(Refusal::IllegalTransition),
            Phase::Closed { .. } => return Verdict::Ignored("late"),
            Phase::Initializing | Phase::Ready | Phase::Unusable => {}
        }
        // The frames borrow from the framer while the rest of the relay works on them.
        let mut framer = core::mem::replace(&mut self.framer, Framer::new(0));
        let mut frames = framer.feed(bytes);
        while let Some(frame) = frames.advance() {
            match frame {
                Frame::Line(line) => self.line(now, line, out),
                Frame::Oversized(outline) => self.oversized(now, &outline, out),
            }
        }
        self.framer = framer;
        Verdict::Handled
    }

    /// What stood on the stream without a line end when it ended.
    pub(super) fn last_words(&mut self, now: Timestamp, rest: &[u8], out: &mut Vec<Effect>) {
        if parse(rest).is_ok() {
            self.line(now, rest, out);
        }
    }

    pub(super) fn line(&mut self, now: Timestamp, line: &[u8], out: &mut Vec<Effect>) {
        match parse(line) {
            Err(invalid) => self.unreadable(now, line, &invalid, out),
            Ok(_) if memchr2(b'\r', b'\n', line).is_some() => {
                // A line end between tokens would end a line further on, e.g. in an event stream.
                let text = String::from_utf8_lossy(line);
                let text = one_line(&text);
                if let Ok(parsed) = parse(text.as_bytes()) {
                    self.parsed(now, &text, parsed, out);
                }
            }
            Ok(parsed) => {
                // Parsed, so it is UTF-8.
                let text = core::str::from_utf8(line).unwrap_or_default();
                self.parsed(now, text, parsed, out);
            }
        }
    }

    fn parsed(&mut self, now: Timestamp, text: &str, parsed: Parsed<'_>, out: &mut Vec<Effect>) {
        let members = match parsed {
            Parsed::Single(message) => return self.message(now, text, message, out),
            Parsed::Batch(members) => members,
        };
        // Its members are used in any case: whoever waits for one of them should not wait longer.
        if !self.may_batch {
            self.reporting.violated(BATCH);
        }
        for member in members {
            let text = member.get();
            match parse(text.as_bytes()) {
                Ok(Parsed::Single(message)) => self.message(now, text, message, out),
                Ok(Parsed::Batch(_)) => self.reporting.violated(NO_MESSAGE),
                Err(invalid) => self.unreadable(now, text.as_bytes(), &invalid, out),
            }
        }
    }

    fn message(&mut self, now: Timestamp, text: &str, message: Message<'_>, out: &mut Vec<Effect>) {
        match message {
            Message::Response { id, answer } => match id.and_then(Id::number) {
                Some(id) => self.answered(now, id, answer, out),
                None => self.reporting.violated(ANSWER_TO_NOTHING),
            },
            Message::Request { id, method, .. } => Self::asked(id, &method, out),
            Message::Notification { method, params } => {
                self.notified(now, text, &method, params, out);
            }
        }
    }

    /// The child answered a request.
    fn answered(&mut self, now: Timestamp, id: u64, answer: Answer<'_>, out: &mut Vec<Effect>) {
        let Some(request) = self.table.remove(id) else { return self.unexpected(id) };
        let Purpose::Call { call, .. } = request.purpose else {
            let answer = match answer {
                Answer::Result(result) if is_object(result) => Ok(result),
                Answer::Result(_) => Err(String::from("the result is not an object")),
                Answer::Error(error) => Err(error_phrase(error).unwrap_or_else(|| {
                    format!("an error of unknown form: {}", shortened(error.get()))
                })),
            };
            return self.own_answered(now, &request.purpose, answer, out);
        };
        let outcome = match answer {
            Answer::Result(result) if is_object(result) => CallOutcome::Result(result.to_owned()),
            Answer::Error(error) if is_error_object(error) => CallOutcome::Error(error.to_owned()),
            // Clients drop an answer of the wrong form and wait on; this one they understand.
            Answer::Result(wrong) => CallOutcome::Error(error_object(
                CODE_INTERNAL_ERROR,
                "the server's result is not an object",
                Some(wrong),
            )),
            Answer::Error(wrong) => CallOutcome::Error(error_object(
                CODE_INTERNAL_ERROR,
                "the server's error is not a JSON-RPC error object",
                Some(wrong),
            )),
        };
        self.end_call(call, outcome, out);
    }

    pub(super) fn own_answered(
        &mut self,
        now: Timestamp,
        purpose: &Purpose,
        answer: Result<&RawValue, String>,
        out: &mut Vec<Effect>,
    ) {
        match purpose {
            Purpose::Initialize => self.initialized(now, answer, out),
            Purpose::List => self.list_answered(now, answer, out),
            // Whatever it says, it is alive.
            Purpose::Ping | Purpose::Call { .. } => self.probe_ended(true, out),
        }
    }

    fn unexpected(&mut self, id: u64) {
        if self.table.has_issued(id) {
            self.reporting.came_late();
        } else {
            self.reporting.violated(ANSWER_TO_NOTHING);
        }
    }

    /// A request's answer is lost: it came, but not in a form that can be passed on.
    pub(super) fn lost(&mut self, now: Timestamp, id: u64, reason: &str, out: &mut Vec<Effect>) {
        let Some(request) = self.table.remove(id) else { return self.unexpected(id) };
        self.unread += 1;
        match request.purpose {
            Purpose::Call { call, .. } => {
                let outcome = CallOutcome::OutcomeUnknown { reason: reason.to_owned() };
                self.end_call(call, outcome, out);
            }
            own => self.own_answered(now, &own, Err(reason.to_owned()), out),
        }
    }

    /// A line that is no message. It still may show whom it was meant for.
    fn unreadable(
        &mut self,
        now: Timestamp,
        line: &[u8],
        invalid: &Invalid<'_>,
        out: &mut Vec<Effect>,
    ) {
        self.reporting.violated(if invalid.fault == Fault::Syntax { NOT_JSON } else { NO_MESSAGE });
        let outline = Outline::of(line);
        if !outline.is_json_rpc() {
            return;
        }
        if let Some(id) = outline.asks() {
            return refuse(id, invalid.fault.code(), &invalid.reason, out);
        }
        let named = invalid.id.filter(|_| !outline.has_method()).and_then(Id::number);
        if let Some(id) = outline.answers().or(named) {
            let reason = format!("the server's answer cannot be read: {}", invalid.reason);
            self.lost(now, id, &reason, out);
        }
    }

    fn oversized(&mut self, now: Timestamp, outline: &Outline, out: &mut Vec<Effect>) {
        self.reporting.violated(OVERSIZED);
        let reason = format!(
            "the server sent a message of more than {MESSAGE_MAX_BYTES} bytes; ask it for less at a time"
        );
        if let Some(id) = outline.asks() {
            return refuse(id, CODE_INVALID_REQUEST, &reason, out);
        }
        if outline.has_method() {
            return;
        }
        match outline.answers() {
            Some(id) => self.lost(now, id, &reason, out),
            // It answered somebody, and nobody may be left waiting.
            None => {
                let last = self.table.next_id();
                while let Some(id) = self.table.first().filter(|id| *id < last) {
                    self.lost(now, id, &reason, out);
                }
            }
        }
    }

    /// The child wants something of its client. Whatever is not offered in the handshake is
    /// refused at once; forwarding to the calling client would begin here.
    fn asked(id: Id<'_>, method: &str, out: &mut Vec<Effect>) {
        if method == "ping" {
            let answer = serde_json::from_str::<&RawValue>("{}").map(Answer::Result);
            let mut line = answer.map(|answer| response(Some(id), answer)).unwrap_or_default();
            line.push(b'\n');
            return out.push(Effect::Write(line));
        }
        let reason = format!("this client does not offer `{}`", shortened(method));
        refuse(id.token(), CODE_METHOD_NOT_FOUND, &reason, out);
    }

    fn notified(
        &mut self,
        now: Timestamp,
        text: &str,
        method: &str,
        params: Option<&RawValue>,
        out: &mut Vec<Effect>,
    ) {
        match method {
            "notifications/progress" => self.progressed(now, text, params, out),
            // The child's requests are answered at once, so there is nothing left to cancel; the
            // others only a client sends.
            "notifications/cancelled"
            | "notifications/initialized"
            | "notifications/roots/list_changed" => {}
            _ => match ListChanged::of(method) {
                Some(changed) => self.list_changed(now, changed),
                None => {
                    let Ok(message) = serde_json::from_str::<&RawValue>(text) else { return };
                    let message = message.to_owned();
                    out.push(match self.heard_for {
                        Some(call) => Effect::NotifyCall { call, message },
                        None => Effect::NotifyAll { message },
                    });
                }
            },
        }
    }

    fn progressed(
        &mut self,
        now: Timestamp,
        text: &str,
        params: Option<&RawValue>,
        out: &mut Vec<Effect>,
    ) {
        #[derive(Deserialize)]
        struct Progress<'a> {
            #[serde(borrow, default, rename = "progressToken", deserialize_with = "present")]
            token: Option<&'a RawValue>,
        }
        let token = params
            .filter(|params| is_object(params))
            .and_then(|params| serde_json::from_str::<Progress<'_>>(params.get()).ok())
            .and_then(|progress| Id::from_token(progress.token?));
        let Some((token, id)) = token.and_then(|token| Some((token, token.number()?))) else {
            return self.reporting.violated("progress of nothing");
        };
        let Some((call, own)) = self.table.progressed(now, id) else {
            if !self.table.has_issued(id) {
                self.reporting.violated("progress of nothing");
            }
            return;
        };
        let message = span_within(text, token.token())
            .map(|span| replaced(text, span, own))
            .and_then(|text| RawValue::from_string(text).ok());
        if let Some(message) = message {
            out.push(Effect::NotifyCall { call, message });
        }
    }
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Answers a request of the child with an error. `id` is the token of its id.
fn refuse(id: &str, code: i64, reason: &str, out: &mut Vec<Effect>) {
    let Ok(id) = serde_json::from_str::<&RawValue>(id) else { return };
    let error = error_object(code, reason, None);
    let mut line = response(Id::from_token(id), Answer::Error(&error));
    line.push(b'\n');
    out.push(Effect::Write(line));
}
