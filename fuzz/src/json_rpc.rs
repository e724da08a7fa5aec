//! JSON-RPC as text, its framing, and the relay behind it.

use std::collections::BTreeMap;

use satellite_core::Machine;
use satellite_core::json::{self, Answer, Message, Parsed};
use satellite_core::limits::CALLS_IN_FLIGHT_MAX;
use satellite_core::relay::{
    Call, CallId, Effect, Event, Frame, Framer, Relay, RelaySettings, Report,
};
use satellite_core::time::Timestamp;

/// Reads any bytes as a message, as a stream, and as a conversation.
///
/// # Panics
///
/// When a promise of the core is broken.
pub fn run(data: &[u8]) {
    message(data);
    framing(data);
    conversation(data);
}

/// What is accepted is valid throughout, and can be sent on as one line.
fn message(data: &[u8]) {
    let message = match json::parse(data) {
        Ok(Parsed::Single(message)) => message,
        Ok(Parsed::Batch(members)) => {
            assert!(!members.is_empty());
            return;
        }
        Err(invalid) => {
            assert!(
                matches!(invalid.fault.code(), -32_700 | -32_600) && !invalid.reason.is_empty()
            );
            return;
        }
    };
    let text = std::str::from_utf8(data).expect("a message is UTF-8");
    let line = json::one_line(text);
    assert!(!line.contains(['\r', '\n']) && line.len() == text.len());
    assert!(matches!(json::parse(line.as_bytes()), Ok(Parsed::Single(_))));
    let rebuilt = match message {
        Message::Request { ref method, params, .. } => {
            let token = params.map(json::progress_token).and_then(Result::ok).flatten();
            let mut line = json::request_line(7, method, params, token.map(|token| token.span));
            assert_eq!(line.pop(), Some(b'\n'));
            line
        }
        Message::Notification { ref method, params } => {
            let mut line = json::notification_line(method, params.map(|params| params.get()));
            assert_eq!(line.pop(), Some(b'\n'));
            line
        }
        Message::Response { id, answer } => json::response(id, answer),
    };
    assert!(!rebuilt.contains(&b'\n') && !rebuilt.contains(&b'\r'));
    match (json::parse(&rebuilt), message) {
        (Ok(Parsed::Single(Message::Request { id, .. })), Message::Request { .. }) => {
            assert_eq!(id.number(), Some(7));
        }
        (
            Ok(Parsed::Single(Message::Notification { method, .. })),
            Message::Notification { method: before, .. },
        ) => assert_eq!(method, before),
        (
            Ok(Parsed::Single(Message::Response { id, answer })),
            Message::Response { id: before, answer: said },
        ) => {
            assert_eq!(id, before);
            let is_result = |answer| matches!(answer, Answer::Result(_));
            assert_eq!(is_result(answer), is_result(said));
        }
        (rebuilt, message) => panic!("{message:?} became {rebuilt:?}"),
    }
}

/// Lines do not depend on how the stream was cut.
fn framing(data: &[u8]) {
    let Some((&size, data)) = data.split_first() else { return };
    let limit = 40;
    let cut = |data: &[u8], size: usize| {
        let mut framer = Framer::new(limit);
        let mut seen = Vec::new();
        for chunk in data.chunks(size) {
            let mut frames = framer.feed(chunk);
            while let Some(frame) = frames.advance() {
                seen.push(match frame {
                    Frame::Line(line) => {
                        assert!(line.len() <= limit && !line.contains(&b'\n'));
                        Some(line.to_vec())
                    }
                    // Whom it is told to answer may depend on how much of it had arrived.
                    Frame::Oversized(_) => None,
                });
            }
        }
        (seen, framer.finish())
    };
    let size = usize::from(size % 16) + 1;
    // When a line beyond the limit is told depends on the cuts, until it has ended.
    let ended = [data, b"\n"].concat();
    assert_eq!(cut(&ended, ended.len()), cut(&ended, size));
    assert_eq!(cut(data, data.len().max(1)).1, cut(data, size).1);
}

/// A relay whose child says what the fuzzer likes; the bytes also say what its clients do.
fn conversation(data: &[u8]) {
    let mut relay = Relay::new(RelaySettings { handshake_timeout_ms: 1_000 });
    let mut now = Timestamp(1);
    let mut open: BTreeMap<CallId, i32> = BTreeMap::new();
    let mut ready = false;
    let greeting = br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"resources":{}}}}
"#;
    step(&mut relay, now, Event::Opened, &mut open, &mut ready);
    if data.first().is_some_and(|first| first % 4 != 0) {
        step(&mut relay, now, Event::Read(greeting.to_vec()), &mut open, &mut ready);
        assert!(ready);
    }
    let mut sent = 0_u64;
    for part in data.split_inclusive(|byte| matches!(byte, b'\n' | b'}')) {
        let choice = part.first().copied().unwrap_or_default();
        let event = match choice % 8 {
            0 | 1 => {
                sent += 1;
                *open.entry(CallId(sent)).or_default() += 1;
                let params = std::str::from_utf8(part).ok();
                let params = params.and_then(|text| serde_json::from_str(text).ok());
                let (method, timeout_ms) = (String::from("m\n"), u64::from(choice) * 100);
                let repeatable = choice % 2 == 0;
                Event::Called(Call { id: CallId(sent), method, params, timeout_ms, repeatable })
            }
            2 => Event::Cancelled { call: CallId(sent), reason: None },
            3 => {
                now = now.after(u64::from(choice) * 50);
                Event::Tick
            }
            4 if choice == 4 => Event::Relist,
            5 if choice == 5 => Event::Probed,
            _ => Event::Read(part.to_vec()),
        };
        let is_tick = matches!(event, Event::Tick);
        step(&mut relay, now, event, &mut open, &mut ready);
        // Each part is heard as well, whatever else it stood for.
        step(&mut relay, now, Event::Read(part.to_vec()), &mut open, &mut ready);
        if is_tick {
            step(&mut relay, now, Event::Tick, &mut open, &mut ready);
            assert!(relay.next_deadline().is_none_or(|deadline| deadline.at > now));
        }
        assert!(relay.in_flight() <= CALLS_IN_FLIGHT_MAX);
    }
    let closed = Event::Closed { reason: String::from("closed") };
    step(&mut relay, now, closed, &mut open, &mut ready);
    assert_eq!((relay.in_flight(), relay.next_deadline()), (0, None));
    assert!(open.values().all(|count| *count == 0), "{open:?}");
}

fn step(
    relay: &mut Relay,
    now: Timestamp,
    event: Event,
    open: &mut BTreeMap<CallId, i32>,
    ready: &mut bool,
) {
    let mut effects = Vec::new();
    relay.handle(now, event, &mut effects);
    for effect in effects {
        match effect {
            Effect::Write(bytes) => {
                let line = bytes.strip_suffix(b"\n").expect("a whole line");
                assert!(!line.contains(&b'\n') && json::parse(line).is_ok());
            }
            Effect::Answer { call, .. } => {
                let count = open.entry(call).or_default();
                *count -= 1;
                assert!(*count >= 0, "{call:?} was answered twice");
            }
            Effect::NotifyCall { message, .. } | Effect::NotifyAll { message } => {
                assert!(!message.get().contains(['\r', '\n']));
            }
            Effect::Report(Report::Initialized) => *ready = true,
            Effect::Report(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn ordinary_and_odd_conversations_keep_the_promises() {
        for data in [
            &b""[..],
            b"\x01",
            b"\x00{}\n\x03\n",
            br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"_meta":{"progressToken":3}}}"#,
            b"1{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{\"name\":\"t\"}]}}\n\
              {\"_meta\":{\"progressToken\":1}}\n\
              \r{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":3}}\n\x03\xff\n",
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}]\n\x04\n\x05\n",
        ] {
            run(data);
        }
    }
}
