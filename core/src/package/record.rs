//! What is kept of an installation, so that the next start needs neither the registry nor a guess.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Package;
use crate::wire;

/// An installation that was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was asked for.
    pub package: Package,
    /// How many times it had been installed before; part of the directory's name.
    pub generation: u64,
    /// The version that was installed.
    pub version: String,
    /// The file to start, relative to the installation.
    pub executable: String,
    /// Whether it is started by Node.js; else by what its first line names.
    pub by_node: bool,
    /// Every file of the installation.
    pub files: Vec<File>,
}

/// A file of an installation, as it was when that was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path, relative to the installation.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last changed, in milliseconds.
    pub changed_ms: i64,
}

impl Record {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// When it is none, or names a file outside of the installation.
    pub fn decode(bytes: &[u8]) -> Result<Record, String> {
        let record: Record = wire::decode("package record", bytes)?;
        let outside = {
            let mut paths = record.files.iter().map(|file| &file.path).chain([&record.executable]);
            paths.find(|path| !is_within(path)).cloned()
        };
        match outside {
            Some(path) => Err(alloc::format!("package record: {path:?} is outside of it")),
            None => Ok(record),
        }
    }
}

/// Whether a relative path stays below where it begins.
pub(super) fn is_within(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains('\0')
        && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_leads_nowhere_else() {
        let package = super::super::parse("npx", &[String::from("files@1.0.0")]).unwrap().package;
        let file =
            |path: &str| File { path: String::from(path), bytes: 7, changed_ms: 1_700_000_000_000 };
        let mut record = Record {
            package,
            generation: 2,
            version: String::from("1.0.0"),
            executable: String::from("node_modules/files/index.js"),
            by_node: true,
            files: vec![file("node_modules/files/index.js")],
        };
        let written = |record: &Record| serde_json::to_vec(record).unwrap();
        assert_eq!(Record::decode(&written(&record)), Ok(record.clone()));
        for path in ["/etc/passwd", "../x", "a/../../b", ""] {
            let other = Record { executable: String::from(path), ..record.clone() };
            assert!(Record::decode(&written(&other)).is_err(), "{path}");
            record.files.push(file(path));
            assert!(Record::decode(&written(&record)).is_err(), "{path}");
            record.files.pop();
        }
        assert!(Record::decode(format!("[{}]", 7).as_bytes()).is_err());
    }
}
