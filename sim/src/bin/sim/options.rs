//! `--name value` pairs, and files.

use std::collections::BTreeMap;
use std::path::Path;

/// What was given on the command line.
pub(crate) struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    /// Reads pairs whose names are known.
    pub(crate) fn read(arguments: &'a [String], known: &[&str]) -> Result<Options<'a>, String> {
        let pairs = arguments.chunks(2).map(|pair| match pair {
            [name, value] if name.strip_prefix("--").is_some_and(|name| known.contains(&name)) => {
                Ok((name.trim_start_matches("--"), value.as_str()))
            }
            other => Err(format!("{other:?}: options here are {known:?}, each with a value")),
        });
        pairs.collect::<Result<_, _>>().map(Options)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    pub(crate) fn maybe(&self, name: &str) -> Result<Option<u64>, String> {
        let number =
            |text: &str| text.parse().map_err(|_| format!("--{name} takes a number, not {text:?}"));
        self.text(name).map(number).transpose()
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        Ok(self.maybe(name)?.unwrap_or(default))
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}
