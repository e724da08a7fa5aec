//! The journal's file: appended to, synced when asked, replaced as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use satellite_core::journal::{condition, mark};
use satellite_core::limits::JOURNAL_MAX_BYTES;

use super::{sync_directory, write_whole};

/// The file.
const JOURNAL: &str = "journal";
/// Damaged journals that are kept for whoever wants to look into them.
const DAMAGED_MAX: u32 = 9;

/// The journal of a state directory.
#[derive(Debug)]
pub(super) struct JournalFile {
    directory: PathBuf,
    /// Open once something was appended.
    file: Option<File>,
    /// How long it is without what a failed write left.
    length: u64,
    /// Why it must be replaced before anything is appended.
    broken: Option<String>,
}

impl JournalFile {
    pub(super) fn new(directory: &Path) -> Self {
        JournalFile { directory: directory.to_owned(), file: None, length: 0, broken: None }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(JOURNAL)
    }

    fn describe(&self, error: &io::Error) -> String {
        let hint = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "; free some space on its file system"
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                "; make it writable for the satellite's user"
            }
            _ => "",
        };
        format!("cannot write {}: {error}{hint}", self.path().display())
    }

    /// The journal as it is; empty if there is none. One that is damaged, or cannot be read at
    /// all, is kept aside under another name; what can be read of it is returned.
    pub(super) fn load(&self) -> Vec<u8> {
        let path = self.path();
        let read = || {
            let mut file = File::open(&path)?;
            let length = file.metadata()?.len();
            if length > JOURNAL_MAX_BYTES {
                return Err(io::Error::other(format!(
                    "it has {length} bytes; no satellite writes more than {JOURNAL_MAX_BYTES}"
                )));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
            file.read_to_end(&mut bytes).map(|_| bytes)
        };
        match read() {
            Ok(bytes) => {
                let found = condition(&bytes);
                if found.damaged_lines > 0 {
                    self.set_aside(&format!("{} of its lines", found.damaged_lines), true);
                }
                bytes
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.set_aside(&error.to_string(), false);
                // No entry, so that the machine learns that there was a journal.
                format!("unreadable: {error}\n").into_bytes()
            }
        }
    }

    /// Keeps a damaged journal for people. Its name stays, too, while it has anything to read: it
    /// is replaced by the first write.
    fn set_aside(&self, what: &str, keep: bool) {
        let path = self.path();
        let free = (1..=DAMAGED_MAX)
            .map(|number| self.directory.join(format!("{JOURNAL}.damaged-{number}")))
            .find(|aside| !aside.exists());
        let aside = free.ok_or_else(|| {
            io::Error::other(format!("there are {DAMAGED_MAX} already; remove some"))
        });
        let moved = aside.and_then(|aside| {
            if keep { std::fs::hard_link(&path, &aside) } else { std::fs::rename(&path, &aside) }
                .map(|()| aside)
        });
        let aside = match &moved {
            Ok(aside) => aside.display().to_string(),
            Err(error) => format!("nowhere: {error}"),
        };
        tracing::error!(
            operation = "journal",
            path = %path.display(),
            aside,
            error = what,
            "The journal cannot be read in full; what can be read is used, and the Backend is told \
             which events are missing. Check the disk"
        );
    }

    /// Appends `bytes`, and syncs them if asked to.
    pub(super) fn append(&mut self, bytes: &[u8], sync: bool) -> Result<(), String> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.try_append(bytes, sync).map_err(|error| {
            let described = self.describe(&error);
            // What is half written must not stand before a later entry.
            let repaired = match &self.file {
                Some(file) => file.set_len(self.length),
                None => Ok(()),
            };
            if repaired.is_err() {
                self.broken = Some(described.clone());
            }
            described
        })
    }

    fn try_append(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        let path = self.path();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let is_new = !path.exists();
                let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
                self.length = file.metadata()?.len();
                if is_new {
                    sync_directory(&self.directory)?;
                }
                self.file.insert(file)
            }
        };
        file.write_all(bytes)?;
        if sync {
            file.sync_data()?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Replaces the journal: after a crash there is the old one or this one.
    pub(super) fn rewrite(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file = None;
        match write_whole(&self.directory, JOURNAL, bytes) {
            Ok(()) => {
                self.broken = None;
                Ok(())
            }
            Err(error) => {
                // Half a copy would fill the disk that is perhaps full.
                let _ = std::fs::remove_file(self.directory.join(format!("{JOURNAL}.tmp")));
                Err(self.describe(&error))
            }
        }
    }

    /// Overwrites the head of its first line, which takes no room, and syncs all of it.
    pub(super) fn mark(&self, numbers: u64) -> Result<(), String> {
        let path = self.path();
        let write = || {
            let mark =
                mark(numbers).ok_or_else(|| io::Error::other("too many events are missing"))?;
            let file = OpenOptions::new().write(true).open(&path)?;
            if file.metadata()?.len() < mark.len() as u64 {
                return Err(io::Error::from(ErrorKind::StorageFull));
            }
            file.write_all_at(&mark, 0)?;
            file.sync_data()
        };
        write().map_err(|error| self.describe(&error))
    }
}

/// Names the run of this machine's kernel; empty where it cannot be known.
pub fn boot() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    read.map(|id| id.trim().to_owned()).unwrap_or_default()
}
