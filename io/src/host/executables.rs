//! Which programs may be started, and where they are: resolved once, so that what is put on the
//! search path later changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The allow list with the places found for it.
#[derive(Clone, Debug)]
pub(crate) struct Executables {
    found: BTreeMap<String, Option<PathBuf>>,
}

impl Executables {
    /// Looks for each of `allowed` (names, or absolute paths) in the absolute directories of `path`.
    pub(crate) fn resolve(allowed: &BTreeSet<String>, path: &OsStr) -> Self {
        let directories: Vec<PathBuf> =
            std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect();
        let found = allowed.iter().map(|command| {
            let place = if command.starts_with('/') {
                Some(PathBuf::from(command)).filter(|path| is_executable(path))
            } else if command.contains('/') || command.is_empty() {
                None
            } else {
                directories
                    .iter()
                    .map(|directory| directory.join(command))
                    .find(|path| is_executable(path))
            };
            (command.clone(), place)
        });
        Executables { found: found.collect() }
    }

    /// Where `command` is; an error says why it cannot be started and what to do about it.
    pub(super) fn find(&self, command: &str) -> Result<&Path, String> {
        match self.found.get(command) {
            Some(Some(path)) => Ok(path),
            Some(None) if command.starts_with('/') => Err(format!(
                "{command} is allowed, but no executable file was there when the satellite started; \
                 install it and restart the satellite"
            )),
            Some(None) => Err(format!(
                "{command} is allowed, but was not on the search path when the satellite started; \
                 install it ({}) and restart the satellite",
                provider(command)
            )),
            None => {
                let allowed: Vec<&str> = self.found.keys().map(String::as_str).collect();
                Err(format!(
                    "the command {command:?} is not allowed; allowed are {}; an operator adds names or \
                     absolute paths with SATELLITE_ALLOWED_COMMANDS",
                    allowed.join(", ")
                ))
            }
        }
    }

    /// Every allowed name with its place.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, Option<&Path>)> {
        self.found.iter().map(|(name, place)| (name.as_str(), place.as_deref()))
    }

    /// Allowed names that were not found.
    pub(super) fn missing(&self) -> impl Iterator<Item = &str> {
        self.found.iter().filter(|(_, place)| place.is_none()).map(|(name, _)| name.as_str())
    }
}

fn provider(command: &str) -> &'static str {
    match command {
        "npx" | "node" => "it comes with Node.js",
        "uvx" => "it comes with uv",
        "python" | "python3" => "it comes with Python",
        _ => "from wherever it is published",
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_on_the_path_and_everything_else_says_what_to_do() {
        let allowed = ["sh", "/bin/sh", "/no/such", "no-such-name", "../sh", "cargo"];
        let allowed = allowed.into_iter().map(String::from).collect();
        let found = Executables::resolve(&allowed, OsStr::new("relative:/bin:/usr/bin"));
        assert_eq!(found.find("sh"), Ok(Path::new("/bin/sh")));
        assert_eq!(found.find("/bin/sh"), Ok(Path::new("/bin/sh")));
        assert!(found.find("/no/such").unwrap_err().contains("no executable file"));
        assert!(found.find("no-such-name").unwrap_err().contains("not on the search path"));
        assert!(found.find("../sh").is_err());
        let refused = found.find("bash").unwrap_err();
        assert!(refused.contains("not allowed") && refused.contains("no-such-name"), "{refused}");
        assert!(found.missing().any(|name| name == "no-such-name"));
    }
}
