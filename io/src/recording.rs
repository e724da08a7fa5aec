//! `satellite run --record`: writes what the control machine hears and decides to a file, without
//! keeping it waiting.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use satellite_core::control::{Control, Effect, Event};
use satellite_core::limits::Settings;
use satellite_core::recording::Recorder;
use satellite_core::time::Timestamp;
use satellite_core::view::View;
use satellite_core::{Deadline, Machine, Verdict};

use crate::exit::{Exit, usage};
use crate::world::Published;

/// Steps that wait to be written. With more the recording is given up, not the daemon.
const WAITING_MAX: usize = 4_096;
/// What is written reaches the file within this time.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Where to record, and how much.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    file: File,
    max_bytes: u64,
}

impl RecordingFile {
    /// Makes the file, readable by its owner only.
    ///
    /// # Errors
    ///
    /// It exists, or cannot be made.
    pub fn create(path: &Path, max_mib: u64) -> Result<RecordingFile, Exit> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = made.map_err(|error| {
            let hint = if error.kind() == std::io::ErrorKind::AlreadyExists {
                "a recording is never overwritten: name another file with --record, or move it away"
            } else {
                "name a file with --record that this user may create"
            };
            usage(format!("cannot make the recording {}: {error}", path.display()), hint)
        })?;
        Ok(RecordingFile { path: path.into(), file, max_bytes: max_mib.saturating_mul(1 << 20) })
    }

    /// Wraps a machine made of `settings` and `seed` such that all it hears and decides is
    /// recorded, from `at` on. Where the system has no thread left for that, nothing is recorded,
    /// and the log says so.
    pub fn begin(
        self,
        control: Control,
        settings: &Settings,
        seed: u64,
        at: Timestamp,
    ) -> (Recorded, Recording) {
        let (steps, received) = sync_channel(WAITING_MAX);
        let settings = settings.clone();
        let is_given_up = Arc::<AtomicBool>::default();
        let given_up = Arc::clone(&is_given_up);
        let writer = std::thread::Builder::new().name("recording".into()).spawn(move || {
            let path = self.path.clone();
            if let Err(error) = self.write(&settings, seed, at, &received, &given_up) {
                tracing::error!(
                    operation = "recording",
                    file = %path.display(),
                    %error,
                    "The recording is given up; the satellite goes on. Make room and restart to \
                     take another"
                );
            }
        });
        match writer {
            Ok(writer) => {
                let recorded = Recorded { control, steps: Some(steps), is_given_up };
                (recorded, Recording { writer: Some(writer) })
            }
            Err(error) => {
                tracing::error!(operation = "recording", %error, "Nothing is recorded; check the \
                    limits of this user and machine");
                (Recorded { control, steps: None, is_given_up }, Recording { writer: None })
            }
        }
    }

    fn write(
        self,
        settings: &Settings,
        seed: u64,
        at: Timestamp,
        steps: &Receiver<Box<Step>>,
        is_given_up: &AtomicBool,
    ) -> std::io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let (mut recorder, first) = Recorder::begin(settings, seed, version, at, self.max_bytes);
        let mut file = BufWriter::with_capacity(64 * 1024, self.file);
        file.write_all(&first)?;
        let mut flushed = tokio::time::Instant::now();
        loop {
            match steps.recv_timeout(FLUSH_EVERY) {
                Ok(step) => {
                    let Step { at, event, verdict, effects } = *step;
                    file.write_all(&recorder.step(at, &event, verdict, &effects))?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if is_given_up.load(Ordering::Acquire) => {
                    file.write_all(&recorder.end("more happened than could be written"))?;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    file.write_all(&recorder.end("the satellite ended"))?;
                    return file.flush();
                }
            }
            if recorder.has_ended() {
                tracing::warn!(
                    operation = "recording",
                    file = %self.path.display(),
                    "The recording ends here, as its last line says; the satellite goes on"
                );
                return file.flush();
            }
            if flushed.elapsed() >= FLUSH_EVERY {
                file.flush()?;
                flushed = tokio::time::Instant::now();
            }
        }
    }
}

/// One event of the machine, and what came of it.
struct Step {
    at: Timestamp,
    event: Event,
    verdict: Verdict,
    effects: Vec<Effect>,
}

/// The control machine, with somebody who listens.
pub struct Recorded {
    control: Control,
    steps: Option<SyncSender<Box<Step>>>,
    is_given_up: Arc<AtomicBool>,
}

impl Machine for Recorded {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        let Some(steps) = &self.steps else { return self.control.handle(now, event, out) };
        let before = out.len();
        let heard = event.clone();
        let verdict = self.control.handle(now, event, out);
        let effects = out.get(before..).unwrap_or_default().to_vec();
        let step = Box::new(Step { at: now, event: heard, verdict, effects });
        if let Err(error) = steps.try_send(step) {
            // Either the recording has ended, or it would get a hole and be of no use.
            let is_full = matches!(error, TrySendError::Full(_));
            self.is_given_up.store(is_full, Ordering::Release);
            self.steps = None;
        }
        verdict
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.control.next_deadline()
    }
}

impl Published for Recorded {
    fn view(&self) -> Arc<View> {
        self.control.view()
    }
}

/// A recording that is being taken.
#[derive(Debug)]
pub struct Recording {
    writer: Option<JoinHandle<()>>,
}

impl Recording {
    /// Waits until everything is in the file. The recorded machine must be gone.
    pub async fn finish(&mut self) {
        if let Some(writer) = self.writer.take() {
            // A writer that broke off has left what it had written.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use satellite_core::recording::Replay;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("satellite-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    #[tokio::test]
    async fn what_a_machine_hears_is_in_the_file_when_it_has_ended() {
        let folder = folder("recording");
        let path = folder.join("r.jsonl");
        let file = RecordingFile::create(&path, 1).expect("the file is made");
        let settings = Settings { name: "edge-satellite-01".into(), ..Settings::default() };
        let control = Control::new(settings.clone(), 5);
        let (mut recorded, mut recording) = file.begin(control, &settings, 5, Timestamp(1_000));
        let mut out = Vec::new();
        recorded.handle(Timestamp(1_000), Event::Started(Default::default()), &mut out);
        recorded.handle(Timestamp(2_000), Event::Tick, &mut out);
        drop(recorded);
        recording.finish().await;
        let outcome = Replay::run(&std::fs::read(&path).expect("the file"), None);
        assert_eq!((outcome.fault, outcome.steps, outcome.apart), (None, 2, None));
        assert_eq!(outcome.end.as_deref(), Some("the satellite ended"));
        let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = RecordingFile::create(&path, 1).expect_err("it exists");
        assert!(refused.hint.contains("never overwritten"), "{refused:?}");
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_recording_that_falls_behind_ends_and_says_why() {
        let settings = Settings::default();
        let (steps, received) = sync_channel(1);
        let is_given_up = Arc::<AtomicBool>::default();
        let control = Control::new(settings.clone(), 5);
        let mut recorded =
            Recorded { control, steps: Some(steps), is_given_up: Arc::clone(&is_given_up) };
        for at in 1..=3 {
            recorded.handle(Timestamp(at), Event::Tick, &mut Vec::new());
        }
        let folder = folder("recording-behind");
        let path = folder.join("r.jsonl");
        let file = RecordingFile::create(&path, 1).expect("the file is made");
        file.write(&settings, 5, Timestamp(1), &received, &is_given_up).expect("it is written");
        let outcome = Replay::run(&std::fs::read(&path).expect("the file"), None);
        assert_eq!((outcome.fault, outcome.steps, outcome.apart), (None, 1, None));
        assert_eq!(outcome.end.as_deref(), Some("more happened than could be written"));
        let _ = std::fs::remove_dir_all(&folder);
    }
}
