//! Takes a recording while a daemon runs.

use alloc::string::String;
use alloc::vec::Vec;

use super::digest::{Digest, Views};
use super::{Apart, Decided, End, FORMAT, Handles, Header, Step, line, verdict};
use crate::control::{Control, Effect, Event};
use crate::limits::Settings;
use crate::time::Timestamp;
use crate::{Machine, Verdict};

/// Room kept for the last line.
const END_MAX_BYTES: u64 = 1_024;
/// How much is shown of an effect.
const SHOWN_MAX_BYTES: usize = 160;

/// Writes the lines of a recording.
///
/// A second machine hears every event as the recording has it, read back from its line: it decides
/// without secrets, and what it decides is what a replay must find. The daemon's own decisions are
/// compared with that, event by event.
pub struct Recorder {
    handles: Handles,
    witness: Witness,
    steps: u64,
    written: u64,
    max_bytes: u64,
    has_ended: bool,
}

impl Recorder {
    /// Begins a recording of at most `max_bytes`, of a machine made of `settings` and `seed`, and
    /// returns its first line.
    pub fn begin(
        settings: &Settings,
        seed: u64,
        version: &str,
        at: Timestamp,
        max_bytes: u64,
    ) -> (Recorder, Vec<u8>) {
        let mut handles = Handles::default();
        handles.is_public(&settings.name);
        let mut address = |url: &Option<String>| {
            url.as_deref().map(|url| {
                handles.learn_address(url);
                handles.address(url)
            })
        };
        let settings = Settings {
            backend_url: address(&settings.backend_url),
            public_url: address(&settings.public_url),
            ..settings.clone()
        };
        let header = Header { recording: FORMAT, version: version.into(), at, seed, settings };
        let written = line::write(&header);
        let witness = Witness::new(header);
        let mut recorder =
            Recorder { handles, witness, steps: 0, written: 0, max_bytes, has_ended: false };
        recorder.written += written.len() as u64;
        (recorder, written)
    }

    /// Whether no more will be written.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The line for an event that the machine was given at `at`, and what came of it. Reaching the
    /// bound ends the recording; afterwards there are no more lines.
    pub fn step(
        &mut self,
        at: Timestamp,
        event: &Event,
        decided: Verdict,
        effects: &[Effect],
    ) -> Vec<u8> {
        if self.has_ended {
            return Vec::new();
        }
        let recorded = self.handles.event(event);
        let event: Event = match serde_json::from_slice(&recorded) {
            Ok(event) => event,
            Err(error) => {
                let name = event.name();
                return self.end(&alloc::format!("an event `{name}` cannot be recorded: {error}"));
            }
        };
        let heard = self.witness.hear(at, event.clone());
        let apart = self.apart(decided, effects, &heard);
        let step = Step { step: self.steps + 1, at, event, decided: heard, apart };
        let line = line::write(&step);
        let length = line.len() as u64;
        if self.written + length + END_MAX_BYTES > self.max_bytes {
            let reached = alloc::format!("the bound of {} bytes is reached", self.max_bytes);
            return self.end(&reached);
        }
        self.steps += 1;
        self.written += length;
        line
    }

    /// The last line.
    pub fn end(&mut self, why: &str) -> Vec<u8> {
        if core::mem::replace(&mut self.has_ended, true) {
            return Vec::new();
        }
        line::write(&End { steps: self.steps, end: why.into() })
    }

    /// Whether the daemon did something else than what follows without secrets.
    fn apart(&mut self, decided: Verdict, effects: &[Effect], heard: &Decided) -> Option<Apart> {
        let decided = verdict(decided);
        if decided != heard.verdict {
            return Some(Apart { daemon: decided, recorded: heard.verdict.clone() });
        }
        let recorded = &self.witness.effects;
        for at in 0..effects.len().max(recorded.len()) {
            let mut side = |effects: &[Effect]| {
                effects.get(at).map_or_else(Vec::new, |effect| self.handles.effect(effect))
            };
            let (daemon, recorded) = (side(effects), side(recorded));
            if daemon != recorded {
                let same = daemon.iter().zip(&recorded).take_while(|(a, b)| a == b).count();
                let from = same.saturating_sub(SHOWN_MAX_BYTES / 2);
                let side = |json: &[u8]| shown(json.get(from..).unwrap_or_default());
                return Some(Apart { daemon: side(&daemon), recorded: side(&recorded) });
            }
        }
        None
    }
}

/// A machine, and what it decided last.
pub(super) struct Witness {
    control: Control,
    views: Views,
    effects: Vec<Effect>,
}

impl Witness {
    pub(super) fn new(header: Header) -> Witness {
        Witness {
            control: Control::new(header.settings, header.seed),
            views: Views::default(),
            effects: Vec::new(),
        }
    }

    /// Gives it an event.
    pub(super) fn hear(&mut self, at: Timestamp, event: Event) -> Decided {
        self.effects.clear();
        let decided = self.control.handle(at, event, &mut self.effects);
        Decided {
            verdict: verdict(decided),
            wanted: self.effects.iter().map(|it| shown(&crate::wire::encode(it))).collect(),
            effects: alloc::format!("{}", Digest::of_effects(&self.effects)),
            view: alloc::format!("{}", self.views.digest(self.control.view())),
        }
    }
}

/// The beginning of an effect's JSON.
fn shown(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= SHOWN_MAX_BYTES) {
        Some(end) => alloc::format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}
