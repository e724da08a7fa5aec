//! A satellite of the stage: the control machine that ships, a disk, and a heartbeat.

use std::collections::BTreeMap;

use satellite_core::control::{Control, Record, Start};
use satellite_core::credentials::Credentials;
use satellite_core::heartbeat::Heartbeat;
use satellite_core::id::InstallationId;
use satellite_core::limits::Settings;
use satellite_core::secret::Secret;

/// What survives a killed daemon.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The pairing.
    pub credentials: Option<Credentials>,
    /// The last good configuration.
    pub configuration: Option<Vec<u8>>,
    /// The journal.
    pub journal: Vec<u8>,
}

impl Disk {
    /// Writes a record.
    pub fn write(&mut self, record: Record) {
        match record {
            Record::Credentials(credentials) => self.credentials = Some(credentials),
            Record::Configuration(bytes) => self.configuration = Some(bytes),
            Record::Unpaired => self.credentials = None,
            Record::Journal { bytes, sync: _ } => self.journal.extend_from_slice(&bytes),
            Record::JournalRewrite(bytes) => self.journal = bytes,
        }
    }
}

/// A satellite.
pub struct Satellite {
    /// Its name.
    pub name: String,
    /// Its daemon, while it runs.
    pub control: Option<Control>,
    /// Its heartbeat, which runs beside the daemon's control machine.
    pub heartbeat: Option<Heartbeat>,
    /// How often the daemon was started: words to an earlier one are not delivered.
    pub boot: u64,
    /// Its disk.
    pub disk: Disk,
    /// The token it was given.
    pub token: String,
    /// Whether the heartbeat knows the pairing.
    pub is_beating: bool,
    /// Polls in flight.
    pub polls_in_flight: u32,
    /// Exit code of the daemon, once it ended by itself.
    pub exited: Option<u8>,
    /// Crashes it was told of, by installation.
    pub crashes: BTreeMap<InstallationId, u64>,
}

impl Satellite {
    /// A satellite that has not been started.
    pub fn new(name: &str, token: &str) -> Satellite {
        Satellite {
            name: name.to_string(),
            control: None,
            heartbeat: None,
            boot: 0,
            disk: Disk::default(),
            token: token.to_string(),
            is_beating: false,
            polls_in_flight: 0,
            exited: None,
            crashes: BTreeMap::new(),
        }
    }

    /// A new daemon over the same disk.
    pub fn boot(&mut self, seed: u64) -> Start {
        self.boot += 1;
        self.polls_in_flight = 0;
        self.exited = None;
        let settings = Settings { name: self.name.clone(), ..Settings::default() };
        self.heartbeat = Some(Heartbeat::new(&settings));
        self.is_beating = false;
        self.control = Some(Control::new(settings, seed));
        Start {
            credentials: self.disk.credentials.clone(),
            registration_token: Some(Secret::new(self.token.as_str())),
            configuration: self.disk.configuration.clone(),
            journal: self.disk.journal.clone(),
            boot: String::from("a machine that never stops"),
        }
    }
}
