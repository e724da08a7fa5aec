//! What survives a restart, in one directory of mode 0700 that one daemon at a time owns.

mod journal;
mod seal;

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use satellite_core::control::Record;
use satellite_core::credentials::Credentials;
use sha2::{Digest, Sha256};

use crate::exit::{Exit, fault, usage};

use journal::JournalFile;
pub use journal::boot;

/// The pairing, in the field's own form.
const CREDENTIALS: &str = "backend.key.json";
/// The last good configuration, sealed.
const CONFIGURATION: &str = "configuration.sealed";
/// A random name, by which processes of this directory's daemon are known.
const IDENTITY: &str = "id";
/// Locked as long as a daemon runs; holds its process id.
const LOCK: &str = "lock";

/// Where the control machine's records go. The simulation has one in memory.
pub trait RecordStore: Clone + Send + Sync + 'static {
    /// Writes a record so that it outlives a crash from the moment this returns; an error is for
    /// people and names the file.
    fn persist(&self, record: Record) -> impl Future<Output = Result<(), String>> + Send;
}

/// The directory, owned until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct StateDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    marker: String,
    /// Seals the configuration: its key is derived from that of the Backend.
    credentials: Mutex<Option<Credentials>>,
    journal: Mutex<JournalFile>,
    /// The lock ends with it.
    _lock: File,
}

/// What an earlier daemon left.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The pairing.
    pub credentials: Option<Credentials>,
    /// The last good configuration, as the Backend sent it.
    pub configuration: Option<Vec<u8>>,
    /// The journal; empty if there is none.
    pub journal: Vec<u8>,
    /// Names the run of this machine's kernel; empty where it cannot be known.
    pub boot: String,
}

impl StateDir {
    /// Makes the directory if need be and takes possession of it.
    ///
    /// Fails when another daemon owns it or when it cannot be written.
    pub fn open(path: &Path) -> Result<Self, Exit> {
        let unusable = |what: &Path, error: &io::Error| {
            usage(
                format!("cannot use the state directory: {}: {error}", what.display()),
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "free some space on its file system, or name another with --state-dir or SATELLITE_STATE_DIR"
                    }
                    _ => {
                        "make it writable for the satellite's user, or name another with --state-dir or SATELLITE_STATE_DIR"
                    }
                },
            )
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| unusable(path, &error))?;
        let metadata = path.metadata().map_err(|error| unusable(path, &error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(|error| unusable(path, &error))?;
        }
        let lock = take_lock(path, unusable)?;
        let identity_path = path.join(IDENTITY);
        let identity = match std::fs::read(&identity_path) {
            Ok(identity) if identity.len() >= 16 => identity,
            Ok(_) => new_identity(path).map_err(|error| unusable(&identity_path, &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                new_identity(path).map_err(|error| unusable(&identity_path, &error))?
            }
            Err(error) => return Err(unusable(&identity_path, &error)),
        };
        // Device and inode are part of it, so that the daemon of a copied directory, which has the
        // same id, does not take this one's processes for leftovers of its own.
        let mut hash = Sha256::new();
        hash.update(&identity);
        hash.update(metadata.dev().to_le_bytes());
        hash.update(metadata.ino().to_le_bytes());
        let inner = Inner {
            path: path.to_owned(),
            marker: hex(&hash.finalize()[..8]),
            credentials: Mutex::new(None),
            journal: Mutex::new(JournalFile::new(path)),
            _lock: lock,
        };
        Ok(StateDir { inner: Arc::new(inner) })
    }

    /// What begins the markers of this directory's processes.
    pub fn marker(&self) -> &str {
        &self.inner.marker
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Reads what an earlier daemon left.
    ///
    /// Fails when there are credentials that cannot be read: going on without them would pair
    /// anew. A configuration that cannot be read is only a cache, and is left out with a warning.
    pub fn load(&self) -> Result<Stored, Exit> {
        let path = self.inner.path.join(CREDENTIALS);
        let credentials = match std::fs::read(&path) {
            Ok(bytes) => Credentials::decode(&bytes).map_err(|error| {
                fault(
                    format!("the credentials in {} are damaged: {error}", path.display()),
                    "restore the file from a backup, or remove it and start with a new registration token",
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(fault(
                    format!("cannot read the credentials in {}: {error}", path.display()),
                    "make the file readable for the satellite's user; it needs mode 0600",
                ));
            }
        };
        let configuration = credentials.as_ref().and_then(|credentials| {
            let path = self.inner.path.join(CONFIGURATION);
            let opened = match std::fs::read(&path) {
                Ok(sealed) => seal::open(credentials, &sealed),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => Err(error.to_string()),
            };
            opened
                .inspect_err(|error| {
                    tracing::warn!(
                        path = %path.display(),
                        error,
                        "The last good configuration cannot be read; the Backend will be asked"
                    );
                })
                .ok()
        });
        self.remember(credentials.clone());
        let journal = self.journal().load();
        Ok(Stored { credentials, configuration, journal, boot: boot() })
    }

    fn journal(&self) -> MutexGuard<'_, JournalFile> {
        self.inner.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, credentials: Option<Credentials>) {
        *self.inner.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    fn store(&self, record: Record) -> Result<(), String> {
        let directory = &self.inner.path;
        match record {
            Record::Credentials(credentials) => {
                write_whole(directory, CREDENTIALS, &credentials.encode())
                    .map_err(|error| not_written(directory, CREDENTIALS, &error))?;
                self.remember(Some(credentials));
                Ok(())
            }
            Record::Configuration(raw) => {
                let credentials =
                    self.inner.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let credentials = credentials.ok_or("there is no pairing to seal it with")?;
                write_whole(directory, CONFIGURATION, &seal::seal(&credentials, raw)?)
                    .map_err(|error| not_written(directory, CONFIGURATION, &error))
            }
            Record::Journal { bytes, sync } => self.journal().append(&bytes, sync),
            Record::JournalRewrite(bytes) => self.journal().rewrite(&bytes),
            Record::JournalMark(numbers) => self.journal().mark(numbers),
            Record::Unpaired => {
                self.remember(None);
                for name in [CREDENTIALS, CONFIGURATION] {
                    let path = directory.join(name);
                    match std::fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(format!("cannot remove {}: {error}", path.display()));
                        }
                        _ => {}
                    }
                }
                sync_directory(directory)
                    .map_err(|error| format!("cannot sync {}: {error}", directory.display()))
            }
        }
    }
}

impl RecordStore for StateDir {
    async fn persist(&self, record: Record) -> Result<(), String> {
        let directory = self.clone();
        tokio::task::spawn_blocking(move || directory.store(record))
            .await
            .unwrap_or_else(|_| Err(String::from("writing was given up")))
    }
}

fn take_lock(directory: &Path, unusable: impl Fn(&Path, &io::Error) -> Exit) -> Result<File, Exit> {
    let path = directory.join(LOCK);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unusable(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            return Err(usage(
                format!(
                    "another satellite (process {}) uses the state directory {}",
                    if owner.trim().is_empty() { "unknown" } else { owner.trim() },
                    directory.display()
                ),
                "stop it, or give this one a directory of its own with --state-dir or SATELLITE_STATE_DIR",
            ));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
    }
    let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    match written {
        // The number is for people; the lock holds without it.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(lock),
        Err(error) => Err(unusable(&path, &error)),
        Ok(()) => Ok(lock),
    }
}

fn new_identity(directory: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let identity = hex(&bytes).into_bytes();
    write_whole(directory, IDENTITY, &identity)?;
    Ok(identity)
}

/// Replaces a file as a whole: after a crash there is the old one or the new one.
fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.tmp"));
    // Left by a crash, it may have another mode.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, directory.join(name))?;
    sync_directory(directory)
}

fn not_written(directory: &Path, name: &str, error: &io::Error) -> String {
    format!("cannot write {}: {error}", directory.join(name).display())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
