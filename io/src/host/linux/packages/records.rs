//! What is known of installations, and whether they still are what was installed.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use satellite_core::package::{self, File, Package, Record, Registry};

use super::Place;
use crate::host::linux::create_private;

/// Largest record; one of 50,000 files has 6 MB.
const RECORD_MAX_BYTES: u64 = 32 << 20;
/// Largest `package.json`.
const MANIFEST_MAX_BYTES: u64 = 4 << 20;
/// Most files of an installation.
const FILES_MAX: usize = 200_000;

/// The directory of the records.
#[derive(Clone, Debug)]
pub(super) struct Records(PathBuf);

impl Records {
    pub(super) fn new(directory: PathBuf) -> Self {
        Records(directory)
    }

    fn file(&self, place: &Place) -> PathBuf {
        let team = place.packages.parent().and_then(Path::file_name).unwrap_or_default();
        self.0.join(team).join(format!("{}.json", place.name))
    }

    /// The record of a package if all it names is as it was, and the next installation's number.
    pub(super) async fn known(&self, place: &Place) -> (Option<Record>, u64) {
        let (records, place) = (self.clone(), place.clone());
        let look = move || match records.read(&place) {
            None => (None, 1),
            Some(record) => {
                let next = record.generation + 1;
                (is_intact(&place, &record).then_some(record), next)
            }
        };
        tokio::task::spawn_blocking(look).await.unwrap_or((None, 1))
    }

    /// Looks at what was installed and keeps a record of it. An error says what is wrong and what to
    /// do about it, and whether time may help.
    pub(super) async fn keep(
        &self,
        place: &Place,
        package: Package,
        generation: u64,
    ) -> Result<Record, (String, bool)> {
        let (records, place) = (self.clone(), place.clone());
        let keep = move || {
            let record = made(&place, package, generation).map_err(|error| (error, false))?;
            records.write(&place, &record).map_err(|error| {
                let advice = "make the state directory writable";
                (format!("cannot keep what was installed: {error}; {advice}"), true)
            })?;
            Ok(record)
        };
        tokio::task::spawn_blocking(keep)
            .await
            .unwrap_or_else(|error| Err((error.to_string(), true)))
    }

    /// The record of a package. One that cannot be read is none.
    fn read(&self, place: &Place) -> Option<Record> {
        let file = self.file(place);
        let bytes = read_bounded(&file, RECORD_MAX_BYTES).ok()?;
        match Record::decode(&bytes) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(file = %file.display(), error, "A record of a package is not used");
                None
            }
        }
    }

    /// Keeps a record; whoever reads meanwhile finds the one before.
    fn write(&self, place: &Place, record: &Record) -> io::Result<()> {
        let file = self.file(place);
        create_private(file.parent().unwrap_or(&self.0))?;
        let fresh = file.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut written =
            options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        written.write_all(&serde_json::to_vec(record)?)?;
        written.sync_all()?;
        fs::rename(fresh, file)
    }
}

/// Whether all that a record names is as it was.
fn is_intact(place: &Place, record: &Record) -> bool {
    let directory = place.directory(record.generation);
    let broken = record.files.iter().find(|file| of(&directory, &file.path).as_ref() != Some(file));
    if let Some(file) = broken {
        tracing::warn!(
            operation = "install_package",
            package = record.package.requirement,
            file = file.path,
            "An installed package is not what was installed; it is installed again"
        );
    }
    broken.is_none()
}

/// What was installed. An error says what is wrong with it and what to do about it.
fn made(place: &Place, package: Package, generation: u64) -> Result<Record, String> {
    let directory = place.directory(generation);
    let (executable, version, by_node) = if package.registry == Registry::Npm {
        let own = format!("node_modules/{}", package.name);
        let manifest = read_bounded(&directory.join(&own).join("package.json"), MANIFEST_MAX_BYTES)
            .map_err(|error| {
                format!("npm installed no {}: {error}; report that to its author", package.name)
            })?;
        let (file, version) = package::executable(&manifest, package.executable.as_deref())
            .map_err(|error| error.0)?;
        let file = format!("{own}/{file}");
        let by_node = is_for_node(&directory.join(&file));
        (file, version, by_node)
    } else {
        let name = package.executable.as_deref().unwrap_or(&package.name);
        (format!("bin/{name}"), python_version(&directory, &package.name), false)
    };
    if !directory.join(&executable).is_file() {
        return Err(format!(
            "{} has no executable {executable}; name one with `npx -p` or `uvx --from`",
            package.requirement
        ));
    }
    let files = files(&directory)
        .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
    Ok(Record { package, generation, version, executable, by_node, files })
}

/// A file that Node.js runs, by its name or by its first line.
fn is_for_node(file: &Path) -> bool {
    let ending = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let first = read_start(file).unwrap_or_default();
    matches!(ending, "js" | "mjs" | "cjs")
        || first.strip_prefix(b"#!").is_some_and(|line| {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            String::from_utf8_lossy(line).split(['/', ' ']).any(|word| word == "node")
        })
}

/// The version in the name of `NAME-VERSION.dist-info`.
fn python_version(directory: &Path, name: &str) -> String {
    let same = |text: &str| text.to_ascii_lowercase().replace(['-', '.'], "_");
    let libraries = fs::read_dir(directory.join("lib")).into_iter().flatten().flatten();
    let packages = libraries.filter_map(|lib| fs::read_dir(lib.path().join("site-packages")).ok());
    packages
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find_map(|entry| {
            let (found, version) = entry.strip_suffix(".dist-info")?.rsplit_once('-')?;
            (same(found) == same(name)).then(|| version.to_owned())
        })
        .unwrap_or_default()
}

/// Every file and link below `directory`. No link is followed.
fn files(directory: &Path) -> io::Result<Vec<File>> {
    let (mut found, mut left) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(place) = left.pop() {
        for entry in fs::read_dir(place)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // Python writes what it compiles beside its source.
                if entry.file_name() != "__pycache__" {
                    left.push(entry.path());
                }
                continue;
            }
            let path = entry.path();
            let relative = path.strip_prefix(directory).ok().and_then(Path::to_str);
            found.extend(relative.and_then(|relative| of(directory, relative)));
            if found.len() > FILES_MAX {
                return Err(io::Error::other(format!("it holds more than {FILES_MAX} files")));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A file as it is.
fn of(directory: &Path, path: &str) -> Option<File> {
    let known = fs::symlink_metadata(directory.join(path)).ok()?;
    let changed_ms = known.mtime() * 1_000 + known.mtime_nsec() / 1_000_000;
    Some(File { path: path.to_owned(), bytes: known.len(), changed_ms })
}

/// Opens a file without waiting: what lies in a team's directory may be a pipe that nobody writes to.
fn open(file: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(file)
}

fn read_bounded(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    if length as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

fn read_start(file: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    open(file)?.take(256).read_to_end(&mut start)?;
    Ok(start)
}
