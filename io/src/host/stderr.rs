//! A child's standard error: lines, bounded in length and rate, without the child's secrets.

use std::collections::VecDeque;
use std::time::Duration;

use satellite_core::control::StderrLine;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

use super::redaction::Redaction;
use crate::settings::StderrSettings;

/// Lines kept for the report of the process's end.
const LAST_LINES: usize = 20;

/// Reads until the end and passes lines on; `report` takes them with the number of lines dropped
/// since its last call. Returns the last lines, whether they were passed on or not.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    mut stderr: R,
    redaction: Redaction,
    settings: StderrSettings,
    mut report: impl FnMut(Vec<StderrLine>, u64),
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Vec<String> {
    let mut lines = Lines::new(settings.line_max_bytes + redaction.longest());
    let mut last: VecDeque<Line> = VecDeque::new();
    let mut rate =
        Rate { window: Instant::now(), most: settings.lines_per_second, passed: 0, dropped: 0 };
    let mut buffer = vec![0; 8 * 1024];
    let mut is_over = false;
    while !is_over {
        let count = tokio::select! {
            biased;
            read = stderr.read(&mut buffer) => read.unwrap_or(0),
            () = sleep_until(rate.window + Rate::WINDOW), if rate.dropped > 0 => {
                report(Vec::new(), rate.take_dropped());
                continue;
            }
            _ = &mut stop => 0,
        };
        is_over = count == 0;
        let found = if is_over { lines.finish() } else { lines.push(&buffer[..count]) };
        let mut passed = Vec::new();
        for line in found {
            if rate.admits() {
                passed.push(line.clone().clean(&redaction, settings.line_max_bytes));
            }
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        if !passed.is_empty() || (is_over && rate.dropped > 0) {
            report(passed, rate.take_dropped());
        }
    }
    last.into_iter().map(|line| line.clean(&redaction, settings.line_max_bytes).text).collect()
}

/// At most so many lines in each second.
struct Rate {
    window: Instant,
    most: u32,
    passed: u32,
    dropped: u64,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(1);

    fn admits(&mut self) -> bool {
        if self.window.elapsed() >= Rate::WINDOW {
            self.window = Instant::now();
            self.passed = 0;
        }
        let admitted = self.passed < self.most;
        if admitted {
            self.passed += 1
        } else {
            self.dropped += 1
        }
        admitted
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// A line as it came, cut only where it would take too much memory.
#[derive(Clone, Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Line {
    /// Secrets go first: a cut through the middle of one would leave its beginning.
    fn clean(self, redaction: &Redaction, most: usize) -> StderrLine {
        let mut text = redaction.apply(String::from_utf8_lossy(&self.bytes).into_owned());
        let mut truncated = self.is_cut;
        if text.len() > most {
            text.truncate(text.floor_char_boundary(most));
            truncated = true;
        }
        StderrLine { text, truncated }
    }
}

struct Lines {
    current: Line,
    keep: usize,
}

impl Lines {
    fn new(keep: usize) -> Self {
        Lines { current: Line::default(), keep }
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut found = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, is_whole) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            let room = self.keep.saturating_sub(self.current.bytes.len());
            self.current.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            self.current.is_cut |= piece.len() > room;
            if is_whole {
                found.extend(self.finish());
            }
        }
        found
    }

    /// The line that is open, unless it is blank.
    fn finish(&mut self) -> Vec<Line> {
        let mut line = std::mem::take(&mut self.current);
        while line.bytes.last().is_some_and(u8::is_ascii_whitespace) {
            line.bytes.pop();
        }
        if line.bytes.is_empty() { Vec::new() } else { vec![line] }
    }
}

#[cfg(test)]
mod tests {
    use satellite_core::limits::{STDERR_LINE_MAX_BYTES, STDERR_LINES_PER_SECOND};
    use satellite_core::secret::Secret;
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn read_all(text: &[u8], secrets: &[Secret]) -> (Vec<StderrLine>, u64, Vec<String>) {
        let (mut writer, reader) = tokio::io::duplex(64);
        let (mut lines, mut dropped) = (Vec::new(), 0);
        let (_stop, stopped) = tokio::sync::oneshot::channel();
        let report = |some: Vec<StderrLine>, count| {
            lines.extend(some);
            dropped += count;
        };
        let settings = StderrSettings {
            lines_per_second: STDERR_LINES_PER_SECOND,
            line_max_bytes: STDERR_LINE_MAX_BYTES,
            warning_interval: Duration::ZERO,
        };
        let redaction = Redaction::new(secrets);
        let write = async {
            writer.write_all(text).await.unwrap();
            drop(writer);
        };
        let (last, ()) = tokio::join!(read(reader, redaction, settings, report, stopped), write);
        (lines, dropped, last)
    }

    #[tokio::test(start_paused = true)]
    async fn lines_come_whole_and_long_ones_are_cut_at_a_character() {
        let text = format!("one\r\n\n  \nzwö\n{}\nlast", "é".repeat(1_000));
        let (lines, dropped, last) = read_all(text.as_bytes(), &[]).await;
        assert_eq!(dropped, 0);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!((texts[0], texts[1], texts[3], texts.len()), ("one", "zwö", "last", 4));
        assert_eq!((texts[2].len(), lines[2].truncated), (STDERR_LINE_MAX_BYTES, true));
        assert_eq!(last.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_bounded_counted_and_its_end_is_kept() {
        let text: String = (0..1_000).map(|number| format!("line {number}\n")).collect();
        let (lines, dropped, last) = read_all(text.as_bytes(), &[]).await;
        assert_eq!(lines.len() as u64 + dropped, 1_000);
        assert_eq!(lines.len(), STDERR_LINES_PER_SECOND as usize);
        assert_eq!((last.len(), last[19].as_str()), (20, "line 999"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_at_the_cut_does_not_show_its_beginning() {
        let secret = "s3cr3t-value-0123456789";
        let text = format!("{}{secret} tail\n", "x".repeat(STDERR_LINE_MAX_BYTES - 10));
        let (lines, _, last) = read_all(text.as_bytes(), &[Secret::new(secret)]).await;
        assert!(!lines[0].text.contains("s3cr3t") && lines[0].truncated, "{lines:?}");
        assert!(!last[0].contains("s3cr3t"));
    }
}
