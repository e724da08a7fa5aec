//! What happened in a run, one JSON object a line, or only a digest of it.
//!
//! A long run takes millions of steps. Their text is made only where somebody wants to read it; the
//! digest is made of the same things either way, so two runs can be compared without their text.

use std::hash::Hasher;

use satellite_core::time::Timestamp;
use serde::Serialize;

/// The lines of a run, in order.
#[derive(Debug)]
pub struct Trace {
    text: String,
    keeps: bool,
    steps: u64,
    last_at: Option<Timestamp>,
    digest: Digest,
}

impl Default for Trace {
    fn default() -> Self {
        Trace { keeps: true, ..Trace::quiet() }
    }
}

/// One step: something happened to somebody, who then wanted something.
#[derive(Debug, Serialize)]
pub struct Step<'a> {
    /// Its number, from 0.
    pub step: u64,
    /// Simulated milliseconds since the epoch.
    pub at: Timestamp,
    /// To whom.
    pub who: &'a str,
    /// What.
    pub event: &'a str,
    /// What became of it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub verdict: &'a str,
    /// What was asked for in return.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub effects: &'a [String],
}

/// The text of a step.
#[derive(Debug, Default)]
pub struct Words {
    /// To whom.
    pub who: String,
    /// What.
    pub event: String,
    /// What became of it.
    pub verdict: String,
    /// What was asked for in return.
    pub effects: Vec<String>,
}

impl Trace {
    /// A trace that keeps no text.
    pub fn quiet() -> Trace {
        Trace {
            text: String::new(),
            keeps: false,
            steps: 0,
            last_at: None,
            digest: Digest::default(),
        }
    }

    /// Whether text is kept.
    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// Adds a step and numbers it.
    pub fn note(
        &mut self,
        at: Timestamp,
        who: &str,
        event: &str,
        verdict: &str,
        effects: &[String],
    ) {
        let mut digest = Digest::default();
        for text in [who, event, verdict].into_iter().chain(effects.iter().map(String::as_str)) {
            digest.write(text.as_bytes());
        }
        self.count(at, digest);
        self.write(at, who, event, verdict, effects);
    }

    /// Adds a step that is known by its digest. Its words are asked for only if they are kept.
    pub fn step(&mut self, at: Timestamp, digest: Digest, words: impl FnOnce() -> Words) {
        self.count(at, digest);
        if self.keeps {
            let Words { who, event, verdict, effects } = words();
            self.write(at, &who, &event, &verdict, &effects);
        }
    }

    fn count(&mut self, at: Timestamp, digest: Digest) {
        self.digest.write_u64(at.0);
        self.digest.write_u64(digest.finish());
        self.steps += 1;
        self.last_at = Some(at);
    }

    fn write(&mut self, at: Timestamp, who: &str, event: &str, verdict: &str, effects: &[String]) {
        if self.keeps {
            let step = Step { step: self.steps - 1, at, who, event, verdict, effects };
            // Text, numbers and lists of text have no way to fail.
            self.text.push_str(&serde_json::to_string(&step).unwrap_or_default());
            self.text.push('\n');
        }
    }

    /// When the last step was.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// How many steps there are.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All lines that were kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A number that differs, for all that matters, where anything in two runs does.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }
}

/// A quick hash that is the same on every machine and in every build. Not for adversaries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Digest(u64);

impl Digest {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
        let mut rest = [0; 8];
        for (place, byte) in rest.iter_mut().zip(chunks.remainder()) {
            *place = *byte;
        }
        self.add(u64::from_le_bytes(rest) ^ (bytes.len() as u64).rotate_left(32));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.add(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(parts: &[&str]) -> u64 {
        let mut digest = Digest::default();
        for part in parts {
            digest.write(part.as_bytes());
        }
        digest.finish()
    }

    #[test]
    fn a_digest_tells_content_length_and_order_apart() {
        let all = [digest_of(&["ab", "c"]), digest_of(&["a", "bc"]), digest_of(&["c", "ab"])];
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
        assert_ne!(digest_of(&["a"]), digest_of(&["a\0"]));
    }

    #[test]
    fn a_quiet_trace_counts_and_digests_as_one_that_keeps_its_text() {
        let mut kept = Trace::default();
        let mut quiet = Trace::quiet();
        for trace in [&mut kept, &mut quiet] {
            trace.note(Timestamp(1), "a", "started", "moved", &[String::from("send")]);
            trace.step(Timestamp(2), Digest(7), || Words {
                who: String::from("a"),
                ..Words::default()
            });
        }
        assert_eq!((kept.steps(), kept.digest()), (quiet.steps(), quiet.digest()));
        assert_eq!((kept.text().lines().count(), quiet.text()), (2, ""));
    }
}
