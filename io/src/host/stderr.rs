//! A child's standard error: lines, bounded in length and rate, without the child's secrets.

use std::collections::VecDeque;
use std::time::Duration;

use satellite_core::process::StderrLine;
use satellite_core::redaction::Redaction;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, sleep_until};

use crate::settings::StderrSettings;

/// Lines kept for the report of the process's end.
const LAST_LINES: usize = 20;

/// Reads until the end and passes lines on; `report` takes them with what was dropped. That is
/// other than nothing once in `settings.warning_interval`, and at the end for the rest.
/// Returns the last lines, whether they were passed on or not.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    mut stderr: R,
    redaction: Redaction,
    settings: StderrSettings,
    mut report: impl FnMut(Vec<StderrLine>, Dropped),
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Vec<String> {
    let mut lines = Lines::new(settings.line_max_bytes + redaction.longest());
    let mut last: VecDeque<Line> = VecDeque::new();
    let mut rate = Rate::new(settings.lines_per_second, settings.warning_interval);
    let mut buffer = vec![0; 8 * 1024];
    let mut is_over = false;
    while !is_over {
        let count = tokio::select! {
            biased;
            read = stderr.read(&mut buffer) => read.unwrap_or(0),
            () = rate.until_due() => {
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
        let is_told = is_over || rate.is_due();
        let dropped = if is_told { rate.take_dropped() } else { Dropped::default() };
        if !passed.is_empty() || dropped.count > 0 {
            report(passed, dropped);
        }
    }
    last.into_iter().map(|line| line.clean(&redaction, settings.line_max_bytes).text).collect()
}

/// Lines that were too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) count: u64,
    /// From the first of them until they are told.
    pub(crate) over: Duration,
}

/// At most so many lines in each second; the others are counted.
struct Rate {
    window: Instant,
    most: u32,
    passed: u32,
    dropped: u64,
    /// Since when lines have been dropped that are not told yet.
    since: Option<Instant>,
    /// When the count is to be told, if it is not zero.
    due: Option<Instant>,
    /// Until when it is not told again.
    quiet_until: Instant,
    interval: Duration,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(1);

    fn new(most: u32, interval: Duration) -> Self {
        let now = Instant::now();
        Rate {
            window: now,
            most,
            passed: 0,
            dropped: 0,
            since: None,
            due: None,
            quiet_until: now,
            interval,
        }
    }

    fn admits(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.window) >= Rate::WINDOW {
            self.window = now;
            self.passed = 0;
        }
        let admitted = self.passed < self.most;
        if admitted {
            self.passed += 1;
        } else {
            self.dropped += 1;
            self.since.get_or_insert(now);
            // Not at once, so that the count is that of a whole burst.
            self.due.get_or_insert((now + Rate::WINDOW).max(self.quiet_until));
        }
        admitted
    }

    fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    async fn until_due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    fn take_dropped(&mut self) -> Dropped {
        let now = Instant::now();
        self.due = None;
        self.quiet_until = now + self.interval;
        let over = self.since.take().map_or(Duration::ZERO, |since| now.duration_since(since));
        Dropped { count: std::mem::take(&mut self.dropped), over }
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
        let report = |some: Vec<StderrLine>, some_dropped: Dropped| {
            lines.extend(some);
            dropped += some_dropped.count;
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
    async fn a_long_flood_is_told_once_an_interval_and_the_rest_at_the_end() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let (_stop, stopped) = tokio::sync::oneshot::channel();
        let settings = StderrSettings {
            lines_per_second: 1,
            line_max_bytes: STDERR_LINE_MAX_BYTES,
            warning_interval: Duration::from_secs(60),
        };
        let (mut passed, mut warnings) = (0, Vec::new());
        let report = |lines: Vec<StderrLine>, dropped: Dropped| {
            passed += lines.len() as u64;
            if dropped.count > 0 {
                warnings.push((Instant::now(), dropped));
            }
        };
        let write = async {
            for _ in 0..150 {
                writer.write_all(b"one\ntwo\nthree\n").await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            drop(writer);
        };
        let redaction = Redaction::new(&[]);
        let _ = tokio::join!(read(reader, redaction, settings, report, stopped), write);
        assert_eq!(warnings.len(), 4, "after a second, twice an interval later, at the end");
        for pair in warnings[..3].windows(2) {
            assert!(pair[1].0 - pair[0].0 >= settings.warning_interval, "{warnings:?}");
            let between = pair[1].0 - pair[0].0;
            let over = pair[1].1.over;
            assert!(over <= between && over + Duration::from_secs(2) > between, "{warnings:?}");
        }
        assert_eq!(passed + warnings.iter().map(|(_, dropped)| dropped.count).sum::<u64>(), 450);
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
