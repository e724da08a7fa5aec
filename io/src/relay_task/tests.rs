//! The task with a machine of few rules and pipes in memory.

use std::sync::{Arc, Mutex};

use satellite_core::relay::Call;
use satellite_core::{Deadline, Verdict};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;

use super::*;
use crate::relays::{CallStep, NewCall, PendingCall, RelayHandle, relay_channel};

/// Writes each call's id as a line. A line that comes back answers the call it names; a line with
/// a star before the id is a notification for it, a lone star one for all.
#[derive(Default)]
struct Lines {
    open: Vec<(CallId, Timestamp)>,
    rest: Vec<u8>,
    closed: Option<String>,
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.into()).unwrap()
}

impl Machine for Lines {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Opened => out.push(Effect::Report(Report::Initialized)),
            Event::Called(Call { id, params, timeout_ms, .. }) => {
                if let Some(reason) = &self.closed {
                    let rejection = Rejection::Closed { reason: reason.clone() };
                    let outcome = CallOutcome::RejectedBeforeSend(rejection);
                    out.push(Effect::Answer { call: id, outcome });
                    return Verdict::Handled;
                }
                self.open.push((id, now.after(timeout_ms)));
                let body = params.as_deref().map_or("", RawValue::get);
                out.push(Effect::Write(format!("{}{body}\n", id.0).into_bytes()));
            }
            Event::Cancelled { call, .. } => {
                self.open.retain(|(open, _)| *open != call);
                out.push(Effect::Write(format!("-{}\n", call.0).into_bytes()));
            }
            Event::Read(bytes) => {
                self.rest.extend(bytes);
                while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.rest.drain(..=end).collect();
                    let line = String::from_utf8(line).unwrap();
                    let line = line.trim();
                    if line == "*" {
                        out.push(Effect::NotifyAll { message: raw("\"all\"") });
                    } else if let Some(call) = line.strip_prefix('*') {
                        let call = CallId(call.parse().unwrap());
                        out.push(Effect::NotifyCall { call, message: raw("\"one\"") });
                    } else {
                        let call = CallId(line.parse().unwrap());
                        self.open.retain(|(open, _)| *open != call);
                        let outcome = CallOutcome::Result(raw(line));
                        out.push(Effect::Answer { call, outcome });
                    }
                }
            }
            Event::Closed { reason } => {
                for (call, _) in self.open.drain(..) {
                    let outcome = CallOutcome::OutcomeUnknown { reason: reason.clone() };
                    out.push(Effect::Answer { call, outcome });
                }
                self.closed = Some(reason);
            }
            Event::Tick => {
                for (call, at) in std::mem::take(&mut self.open) {
                    if at <= now {
                        let outcome = CallOutcome::TimedOut { after_ms: 1 };
                        out.push(Effect::Answer { call, outcome });
                    } else {
                        self.open.push((call, at));
                    }
                }
            }
            Event::Relist | Event::Probed => {}
        }
        Verdict::Handled
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let at = self.open.iter().map(|(_, at)| *at).min()?;
        Some(Deadline::new(at, "call"))
    }
}

struct Child {
    input: DuplexStream,
    output: DuplexStream,
    exit: Option<oneshot::Sender<String>>,
    reports: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> (RelayHandle, Child) {
    let (stdin, input) = tokio::io::duplex(1024);
    let (output, stdout) = tokio::io::duplex(1024);
    let (exit, exited) = oneshot::channel();
    let (handle, inbox) = relay_channel();
    let reports = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&reports);
    let task = tokio::spawn(async move {
        let exited = async { exited.await.unwrap_or_else(|_| "lost".into()) };
        let report = move |_| *counted.lock().unwrap() += 1;
        let clock = Clock::starting_at(Timestamp(0));
        run(Lines::default(), stdin, stdout, inbox, exited, report, clock).await;
    });
    (handle, Child { input, output, exit: Some(exit), reports, task })
}

fn call(handle: &RelayHandle, params: Option<&str>, progress: bool) -> PendingCall {
    handle.call(NewCall {
        method: "tools/call".into(),
        params: params.map(raw),
        timeout_ms: 60_000,
        progress,
        repeatable: false,
    })
}

async fn line(input: &mut DuplexStream) -> String {
    let mut line = String::new();
    loop {
        match input.read_u8().await.unwrap() {
            b'\n' => return line,
            byte => line.push(char::from(byte)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_out_and_its_answer_comes_back_after_its_notifications() {
    let (handle, mut child) = start();
    let mut everybody = handle.subscribe();
    let mut pending = call(&handle, None, true);
    assert_eq!(line(&mut child.input).await, "1");
    child.output.write_all(b"*1\n*1\n*\n1\n").await.unwrap();
    for _ in 0..2 {
        assert!(matches!(pending.next().await, CallStep::Notification(_)));
    }
    assert!(matches!(pending.next().await, CallStep::Outcome(CallOutcome::Result(_))));
    assert_eq!(everybody.recv().await.unwrap().get(), "\"all\"");
    assert_eq!(*child.reports.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_taken_back_at_the_child_and_an_answered_one_is_not() {
    let (handle, mut child) = start();
    let first = call(&handle, None, false);
    assert_eq!(line(&mut child.input).await, "1");
    child.output.write_all(b"1\n").await.unwrap();
    first.outcome().await;
    drop(call(&handle, None, false));
    assert_eq!(line(&mut child.input).await, "2");
    assert_eq!(line(&mut child.input).await, "-2");
}

#[tokio::test(start_paused = true)]
async fn an_exit_answers_pending_calls_with_the_reason_and_what_was_said_before_it_counts() {
    let (handle, mut child) = start();
    let (first, second) = (call(&handle, None, false), call(&handle, None, false));
    assert_eq!(line(&mut child.input).await, "1");
    child.output.write_all(b"1\n").await.unwrap();
    child.exit.take().unwrap().send("the server was ended by SIGKILL".into()).unwrap();
    drop((child.output, child.input));
    assert!(matches!(first.outcome().await, CallOutcome::Result(_)));
    let outcome = second.outcome().await;
    let CallOutcome::OutcomeUnknown { reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "the server was ended by SIGKILL");
    child.task.await.unwrap();
    let late = call(&handle, None, false).outcome().await;
    assert!(matches!(late, CallOutcome::RejectedBeforeSend(Rejection::Closed { .. })), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn output_that_ends_without_an_exit_closes_the_relay_too() {
    let (handle, child) = start();
    let pending = call(&handle, None, false);
    drop(child.output);
    let outcome = pending.outcome().await;
    let CallOutcome::OutcomeUnknown { reason } = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "the server closed its standard output");
}

#[tokio::test(start_paused = true)]
async fn a_descendant_that_holds_the_output_open_delays_nothing() {
    let (handle, mut child) = start();
    let pending = call(&handle, None, false);
    child.exit.take().unwrap().send("the server exited with code 1".into()).unwrap();
    assert!(matches!(pending.outcome().await, CallOutcome::OutcomeUnknown { .. }));
    drop(child.output);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_read_blocks_neither_its_answers_nor_new_calls_and_is_bounded() {
    let (handle, mut child) = start();
    let body = format!("\"{}\"", "x".repeat(MESSAGE_MAX_BYTES - 2));
    let mut stuffed: Vec<_> = (0..3).map(|_| call(&handle, Some(&body), false)).collect();
    let rejected = call(&handle, None, false).outcome().await;
    assert!(
        matches!(rejected, CallOutcome::RejectedBeforeSend(Rejection::TooManyCalls { .. })),
        "{rejected:?}"
    );
    child.output.write_all(b"1\n").await.unwrap();
    assert!(matches!(stuffed.remove(0).outcome().await, CallOutcome::Result(_)));
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_kept_while_nothing_else_happens() {
    let (handle, _child) = start();
    let mut slow = call(&handle, None, false);
    let quick = handle.call(NewCall {
        method: "tools/call".into(),
        params: None,
        timeout_ms: 5,
        progress: false,
        repeatable: false,
    });
    assert!(matches!(quick.outcome().await, CallOutcome::TimedOut { .. }));
    assert!(matches!(slow.next().await, CallStep::Outcome(CallOutcome::TimedOut { .. })));
}

#[tokio::test(start_paused = true)]
async fn closing_the_input_reaches_the_child_as_its_end() {
    let (handle, mut child) = start();
    handle.tell(RelayInput::CloseInput);
    let mut rest = Vec::new();
    child.input.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(!child.task.is_finished(), "its last answers are still read");
}
