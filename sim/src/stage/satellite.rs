//! A satellite of the stage: the control machine that ships, a disk, a clock, and a heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use satellite_core::Machine;
use satellite_core::control::{Control, Record, Start};
use satellite_core::credentials::Credentials;
use satellite_core::heartbeat::Heartbeat;
use satellite_core::id::InstallationId;
use satellite_core::journal::{self, Entry};
use satellite_core::limits::Settings;
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use satellite_core::view::View;
use serde::Deserialize;

use super::clock::Clock;
use super::relays::Peer;
use super::remotes::Conversation;

/// What survives a killed daemon.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The pairing.
    pub credentials: Option<Credentials>,
    /// The last good configuration.
    pub configuration: Option<Vec<u8>>,
    /// The journal.
    pub journal: Vec<u8>,
    /// So many of its bytes outlive a power cut.
    pub synced: usize,
    /// The number after the last event that it holds.
    pub next_event: u64,
    /// Numbers from there on that its mark stands for.
    pub marked: u64,
    /// Whether it could not even be marked when that was last tried.
    pub is_unmarkable: bool,
}

impl Disk {
    /// Writes a record, as far as there is room.
    pub fn write(&mut self, record: Record, room: Room) -> Result<(), String> {
        let is_mark = matches!(record, Record::JournalMark(_));
        let refused = match room {
            Room::Free => None,
            Room::Full if is_mark && self.journal.len() > 8 => None,
            Room::Full => Some("no space left on device"),
            Room::ReadOnly => Some("read-only file system"),
        };
        if is_mark {
            self.is_unmarkable = refused.is_some();
        }
        if let Some(error) = refused {
            return Err(String::from(error));
        }
        match record {
            Record::Credentials(credentials) => self.credentials = Some(credentials),
            Record::Configuration(bytes) => self.configuration = Some(bytes),
            Record::Unpaired => self.credentials = None,
            Record::Journal { bytes, sync } => {
                self.next_event = self.next_event.max(next_event(&bytes));
                self.journal.extend_from_slice(&bytes);
                if sync {
                    self.synced = self.journal.len();
                }
            }
            Record::JournalRewrite(bytes) => {
                self.synced = bytes.len();
                self.next_event = next_event(&bytes);
                (self.marked, self.is_unmarkable) = (0, false);
                self.journal = bytes;
            }
            Record::JournalMark(numbers) => {
                let mark = journal::mark(numbers).ok_or("more than a mark can say")?;
                self.journal.iter_mut().zip(mark).for_each(|(place, byte)| *place = byte);
                self.synced = self.journal.len();
                self.marked = numbers;
            }
        }
        Ok(())
    }

    /// Whether a later daemon knows that an event of this number was, or may have been.
    pub fn knows(&self, number: u64) -> bool {
        number < self.next_event.saturating_add(self.marked)
    }

    /// Whether it has never been written to.
    pub fn is_blank(&self) -> bool {
        self.journal.is_empty() && self.next_event == 0
    }

    /// Bytes that a power cut may take.
    pub fn unsynced(&self) -> usize {
        self.journal.len().saturating_sub(self.synced)
    }

    /// What a power cut leaves: what was synced, and so many bytes more.
    pub fn lose_power(&mut self, kept: usize) {
        self.journal.truncate(self.synced.saturating_add(kept));
        self.synced = self.journal.len();
        self.next_event = next_event(&self.journal);
    }
}

/// What a disk takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Everything.
    Free,
    /// What needs no room.
    Full,
    /// Nothing.
    ReadOnly,
}

/// The number after the last event of these lines of a journal; 0 if they hold none.
fn next_event(lines: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let numbers = journal::scan(lines).entries.into_iter().filter_map(|entry| match entry {
        Entry::Event(json) => serde_json::from_str(json.get()).ok().map(|it: Numbered| it.seq),
        Entry::Gap(gap) => Some(gap.to_seq),
        Entry::Confirmed { through } => Some(through),
        _ => None,
    });
    numbers.max().map_or(0, |last| last.saturating_add(1))
}

/// How many processes a satellite's operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub processes: usize,
    /// Of one team.
    pub per_team: Option<usize>,
    /// Being started at once.
    pub starts: usize,
}

/// A satellite.
pub struct Satellite {
    /// Its name.
    pub name: String,
    /// What its operator allows.
    pub bounds: Bounds,
    /// Its daemon, while it runs.
    pub control: Option<Control>,
    /// Its heartbeat, which runs beside the daemon's control machine.
    pub heartbeat: Option<Heartbeat>,
    /// How often the daemon was started: words to an earlier one are not delivered.
    pub boot: u64,
    /// How often its machine was started.
    pub machine_boots: u64,
    /// What time the daemon believes it is.
    pub clock: Clock,
    /// Its disk.
    pub disk: Disk,
    /// Until when the disk is full.
    pub disk_full_until: Timestamp,
    /// Until when nothing can be written to the disk.
    pub read_only_until: Timestamp,
    /// Events before this number were accepted, and the disk knows of them.
    pub accepted: u64,
    /// Until when the machine sleeps.
    pub asleep_until: Timestamp,
    /// Whether its host can freeze processes.
    pub can_freeze: bool,
    /// The token it was given.
    pub token: String,
    /// Tokens it was given in all.
    pub tokens: u64,
    /// Whether the heartbeat knows the pairing.
    pub is_beating: bool,
    /// Whether the daemon was told to end.
    pub is_ending: bool,
    /// Effects after which the daemon dies, if it is to; and whether the machine's power goes too.
    pub fuse: Option<(u64, bool)>,
    /// Exit code of the daemon, once it ended by itself.
    pub exited: Option<u8>,
    /// Crashes it was told of, by installation.
    pub crashes: BTreeMap<InstallationId, u64>,
    /// The view of the heartbeat that is being made.
    pub sampled: Arc<View>,
    /// The relays of its processes, by their ids.
    pub peers: BTreeMap<u32, Peer>,
    /// Its conversations with servers elsewhere, by their numbers.
    pub conversations: BTreeMap<u64, Conversation>,
    /// When the control machine and the heartbeat next want the time, by the true clock.
    pub due: [Option<Timestamp>; 2],
}

impl Satellite {
    /// A satellite that has not been started.
    pub fn new(name: &str, token: &str) -> Satellite {
        Satellite {
            name: name.to_string(),
            bounds: Bounds { processes: 50, per_team: None, starts: 3 },
            control: None,
            heartbeat: None,
            boot: 0,
            machine_boots: 0,
            clock: Clock::new(Timestamp(0), Timestamp(0), 0),
            disk: Disk::default(),
            accepted: 0,
            read_only_until: Timestamp(0),
            disk_full_until: Timestamp(0),
            asleep_until: Timestamp(0),
            can_freeze: false,
            token: token.to_string(),
            tokens: 1,
            is_beating: false,
            is_ending: false,
            fuse: None,
            exited: None,
            crashes: BTreeMap::new(),
            sampled: Arc::default(),
            peers: BTreeMap::new(),
            conversations: BTreeMap::new(),
            due: [None; 2],
        }
    }

    /// A new daemon over the same disk.
    pub fn boot(&mut self, seed: u64, clock: Clock) -> Start {
        self.boot += 1;
        self.exited = None;
        self.is_ending = false;
        self.fuse = None;
        self.clock = clock;
        let settings = Settings {
            name: self.name.clone(),
            can_freeze: self.can_freeze,
            processes_max: self.bounds.processes,
            team_processes_max: self.bounds.per_team,
            starts_max: self.bounds.starts,
            ..Settings::default()
        };
        self.heartbeat = Some(Heartbeat::new(&settings));
        self.is_beating = false;
        self.control = Some(Control::new(settings, seed));
        Start {
            credentials: self.disk.credentials.clone(),
            registration_token: Some(Secret::new(self.token.as_str())),
            configuration: self.disk.configuration.clone(),
            journal: self.disk.journal.clone(),
            boot: format!("machine-{}", self.machine_boots),
        }
    }

    /// Ends the daemon.
    pub fn drop_daemon(&mut self) {
        self.control = None;
        self.heartbeat = None;
        self.peers.clear();
        self.conversations.clear();
        self.due = [None; 2];
        self.fuse = None;
    }

    /// Reads when the daemon's machines next want the time.
    pub fn wind(&mut self) {
        let clock = self.clock;
        let due = |deadline: Option<satellite_core::Deadline>| {
            deadline.map(|deadline| clock.when(deadline.at))
        };
        self.due = [
            due(self.control.as_ref().and_then(Machine::next_deadline)),
            due(self.heartbeat.as_ref().and_then(Machine::next_deadline)),
        ];
    }
}
