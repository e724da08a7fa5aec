//! The task of one relay: it owns the machine and the pipes of one child.
//!
//! A call takes two hops each way: the client's task, this task, the pipe. All sources are polled
//! in turn on every wake, so neither a flooding child nor busy clients can starve the other, and a
//! child that does not read its input blocks nothing but that input.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use satellite_core::Machine;
use satellite_core::limits::{CALLS_IN_FLIGHT_MAX, MESSAGE_MAX_BYTES};
use satellite_core::relay::{CallId, CallOutcome, Effect, Event, Rejection, Report};
use satellite_core::time::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::clock::Clock;
use crate::relays::{Caller, RelayInbox, RelayInput};

/// Inputs taken at once.
const INPUT_BATCH: usize = 256;
/// Bytes read at once: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that may wait for a child that does not read. Beyond, calls are rejected unsent.
const WRITE_QUEUE_MAX_BYTES: usize = 2 * MESSAGE_MAX_BYTES;
/// How long output is waited for once the child has exited. What it wrote is read in any case;
/// only a descendant that holds the pipe open makes this pass.
const LAST_OUTPUT: Duration = Duration::from_millis(15);
/// How long the exit is waited for once a pipe has ended: it says why, and nearly always comes at
/// the same moment.
const LATE_EXIT: Duration = Duration::from_secs(1);

/// Runs a relay until the child is gone. `exited` resolves to the reason when the child exits;
/// `report` passes on what the control machine needs to know.
pub async fn run<M, In, Out>(
    machine: M,
    stdin: In,
    stdout: Out,
    inbox: RelayInbox,
    exited: impl Future<Output = String> + Send,
    report: impl Fn(Report) + Send,
    clock: Clock,
) where
    M: Machine<Event = Event, Effect = Effect> + Send,
    In: AsyncWrite + Unpin + Send,
    Out: AsyncRead + Unpin + Send,
{
    let mut task = Task {
        machine,
        input: Input::Open(stdin),
        stdout: Some(stdout),
        inbox,
        callers: BTreeMap::new(),
        effects: Vec::new(),
        inputs: Vec::with_capacity(INPUT_BATCH),
        outgoing: Vec::new(),
        written: 0,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        report,
        clock,
    };
    let mut exited = pin!(exited);
    let mut alarm = pin!(sleep(Duration::ZERO));
    let mut armed = None;
    let mut last_words: Option<Pin<Box<Sleep>>> = None;
    let mut exit: Option<String> = None;
    let mut is_exit_seen = false;

    task.event(Event::Opened);
    loop {
        task.arm(alarm.as_mut(), &mut armed);
        let woken = poll_fn(|context| {
            let woken = task.poll(context);
            let mut is_ready = woken.any();
            if exit.is_none()
                && let Poll::Ready(reason) = exited.as_mut().poll(context)
            {
                exit = Some(reason);
                is_ready = true;
            }
            if let Some(end) = &mut last_words {
                is_ready |= end.as_mut().poll(context).is_ready();
            }
            is_ready |= armed.is_some() && alarm.as_mut().poll(context).is_ready();
            if is_ready { Poll::Ready(woken) } else { Poll::Pending }
        })
        .await;

        task.take_inputs();
        task.take_output(woken.read);
        if task.machine.next_deadline().is_some_and(|deadline| deadline.at <= task.clock.now()) {
            task.event(Event::Tick);
        }
        if alarm.is_elapsed() {
            armed = None;
        }

        let output_ended = task.stdout.is_none();
        if output_ended && exit.is_some() {
            break;
        }
        if exit.is_some() && !is_exit_seen {
            is_exit_seen = true;
            last_words = Some(Box::pin(sleep(LAST_OUTPUT)));
        } else if last_words.is_none() && (output_ended || matches!(task.input, Input::Failed)) {
            last_words = Some(Box::pin(sleep(LATE_EXIT)));
        }
        if woken.read.is_none() && last_words.as_ref().is_some_and(|end| end.is_elapsed()) {
            break;
        }
    }
    let reason = exit.unwrap_or_else(|| {
        String::from(if task.stdout.is_none() {
            "the server closed its standard output"
        } else {
            "the server closed its standard input"
        })
    });
    task.close(reason);
}

/// What a poll found.
#[derive(Clone, Copy)]
struct Woken {
    inputs: bool,
    /// Bytes read, 0 at the end of the output.
    read: Option<usize>,
    write_failed: bool,
}

impl Woken {
    fn any(self) -> bool {
        self.inputs || self.read.is_some() || self.write_failed
    }
}

/// The child's standard input.
enum Input<In> {
    Open(In),
    /// Closed by us: the child is to end.
    Closed,
    /// The child does not take anything any more.
    Failed,
}

struct Task<M, In, Out, R> {
    machine: M,
    input: Input<In>,
    stdout: Option<Out>,
    inbox: RelayInbox,
    callers: BTreeMap<CallId, Caller>,
    effects: Vec<Effect>,
    inputs: Vec<RelayInput>,
    /// Bytes for the child; those before `written` have gone.
    outgoing: Vec<u8>,
    written: usize,
    buffer: Box<[u8]>,
    report: R,
    clock: Clock,
}

impl<M, In, Out, R> Task<M, In, Out, R>
where
    M: Machine<Event = Event, Effect = Effect>,
    In: AsyncWrite + Unpin,
    Out: AsyncRead + Unpin,
    R: Fn(Report),
{
    /// Sets the alarm to the machine's deadline. An alarm that rings too early costs nothing, so it
    /// is only ever moved forward: most deadlines are time-outs of calls that are answered long before.
    fn arm(&self, alarm: Pin<&mut Sleep>, armed: &mut Option<Timestamp>) {
        let Some(deadline) = self.machine.next_deadline() else { return };
        if armed.is_none_or(|armed| deadline.at < armed) {
            *armed = Some(deadline.at);
            // A deadline that stays due is asked again, but not without a pause.
            let soonest = tokio::time::Instant::now() + Duration::from_millis(1);
            alarm.reset(self.clock.instant(deadline.at).max(soonest));
        }
    }

    /// Writes what can be written, then asks every source.
    fn poll(&mut self, context: &mut Context<'_>) -> Woken {
        let write_failed = self.poll_write(context);
        let read = match &mut self.stdout {
            Some(stdout) => {
                let mut buffer = ReadBuf::new(&mut self.buffer);
                match Pin::new(stdout).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) => Some(buffer.filled().len()),
                    Poll::Ready(Err(_)) => Some(0),
                    Poll::Pending => None,
                }
            }
            None => None,
        };
        let inputs = self.inbox.inputs.poll_recv_many(context, &mut self.inputs, INPUT_BATCH);
        let inputs = matches!(inputs, Poll::Ready(count) if count > 0);
        Woken { inputs, read, write_failed }
    }

    /// Whether writing has just failed.
    fn poll_write(&mut self, context: &mut Context<'_>) -> bool {
        while self.written < self.outgoing.len() {
            let Input::Open(stdin) = &mut self.input else {
                self.forget_outgoing();
                return false;
            };
            match Pin::new(stdin).poll_write(context, &self.outgoing[self.written..]) {
                Poll::Ready(Ok(count)) if count > 0 => self.written += count,
                Poll::Ready(_) => {
                    self.input = Input::Failed;
                    self.forget_outgoing();
                    return true;
                }
                Poll::Pending => return false,
            }
        }
        self.forget_outgoing();
        false
    }

    fn forget_outgoing(&mut self) {
        self.written = 0;
        if self.outgoing.capacity() > 4 * READ_BYTES {
            self.outgoing = Vec::new();
        } else {
            self.outgoing.clear();
        }
    }

    fn take_inputs(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        let calls = inputs.iter().filter(|input| matches!(input, RelayInput::Call(..))).count();
        self.inbox.took(calls);
        for input in inputs.drain(..) {
            self.take_input(input);
        }
        self.inputs = inputs;
    }

    fn take_input(&mut self, input: RelayInput) {
        match input {
            RelayInput::Call(call, caller) => {
                if self.outgoing.len() - self.written > WRITE_QUEUE_MAX_BYTES {
                    let rejection = Rejection::TooManyCalls { limit: CALLS_IN_FLIGHT_MAX };
                    let _ = caller.done.send(CallOutcome::RejectedBeforeSend(rejection));
                    return;
                }
                self.callers.insert(call.id, caller);
                self.event(Event::Called(call));
            }
            RelayInput::Cancel(call, reason) => self.event(Event::Cancelled { call, reason }),
            RelayInput::Relist => self.event(Event::Relist),
            RelayInput::Probe => self.event(Event::Probed),
            RelayInput::Reconnect | RelayInput::DropToken => {}
            RelayInput::CloseInput => {
                if let Input::Open(_) = self.input {
                    self.input = Input::Closed;
                }
            }
        }
    }

    fn take_output(&mut self, read: Option<usize>) {
        match read {
            Some(0) => self.stdout = None,
            Some(count) => {
                let bytes = self.buffer[..count].to_vec();
                self.event(Event::Read(bytes));
            }
            None => {}
        }
    }

    fn event(&mut self, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.handle(self.clock.now(), event, &mut effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write(bytes) if self.outgoing.is_empty() => self.outgoing = bytes,
            Effect::Write(bytes) => self.outgoing.extend_from_slice(&bytes),
            Effect::Answer { call, outcome } => {
                if let Some(caller) = self.callers.remove(&call) {
                    // A client that is gone is no error.
                    let _ = caller.done.send(outcome);
                }
            }
            Effect::NotifyCall { call, message } => {
                if let Some(Caller { notifications: Some(sender), .. }) = self.callers.get(&call) {
                    // Progress is advice: a client too slow for it misses some.
                    let _ = sender.try_send(message);
                }
            }
            Effect::NotifyAll { message } => self.inbox.notify_all(message),
            Effect::Report(report) => (self.report)(report),
        }
    }

    /// Ends every call, those that come at the last moment included.
    fn close(&mut self, reason: String) {
        self.event(Event::Closed { reason });
        self.inbox.inputs.close();
        while let Ok(input) = self.inbox.inputs.try_recv() {
            self.take_input(input);
        }
    }
}

#[cfg(test)]
mod tests;
