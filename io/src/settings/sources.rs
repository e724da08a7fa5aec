//! Where settings come from, in their order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use super::file;
use super::variables::{
    COMMAND_VARIABLES, JAIL_PREFIX, LOWER_CASE_TOO, VARIABLES, WITHOUT_EFFECT, default_of,
};
use crate::exit::{Exit, usage};

/// What was set where. Later calls do not overrule a source that comes before.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    flags: BTreeMap<&'static str, (&'static str, String)>,
    environment: BTreeMap<String, String>,
    file: BTreeMap<String, String>,
    file_name: String,
    whole: Environment,
    without_effect: Vec<String>,
}

/// The environment of a process. It may hold secrets, so only its search path is ever shown.
#[derive(Clone, Default)]
pub struct Environment(pub Vec<(OsString, OsString)>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        write!(f, "PATH {path:?}, …")
    }
}

/// A setting as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub text: String,
    /// Where it was found, for errors: `PORT`, `--port`, `port in satellite.toml`.
    pub origin: String,
}

impl Sources {
    /// The process's own environment.
    pub fn from_process() -> Result<Self, Exit> {
        Self::from_variables(std::env::vars_os())
    }

    /// An environment given as pairs. An empty value counts as unset.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Exit> {
        let mut sources = Sources::default();
        for (name, value) in variables {
            sources.whole.0.push((name.clone(), value.clone()));
            let Some(name) = name.to_str() else { continue };
            if value.is_empty() {
                continue;
            }
            let lower = LOWER_CASE_TOO.iter().find(|it| it.to_ascii_lowercase() == name);
            let is_lower = lower.is_some();
            let name = lower.copied().unwrap_or(name);
            if name.starts_with(JAIL_PREFIX) || WITHOUT_EFFECT.contains(&name) {
                sources.without_effect.push(String::from(name));
            } else if name != "PATH"
                && VARIABLES.iter().chain(COMMAND_VARIABLES).any(|it| it.name == name)
            {
                let Some(value) = value.to_str() else {
                    return Err(usage(
                        format!("{name} in the environment is not UTF-8"),
                        "set it to plain text",
                    ));
                };
                // What is written in upper case comes first.
                if !is_lower || !sources.environment.contains_key(name) {
                    sources.environment.insert(String::from(name), String::from(value));
                }
            }
        }
        sources.without_effect.sort();
        Ok(sources)
    }

    /// Adds a flag of the command line, if it was given.
    #[must_use]
    pub fn flag(
        mut self,
        name: &'static str,
        flag: &'static str,
        value: Option<impl ToString>,
    ) -> Self {
        if let Some(value) = value {
            self.flags.insert(name, (flag, value.to_string()));
        }
        self
    }

    /// Adds the file of `--config`.
    pub fn with_file(mut self, path: &Path) -> Result<Self, Exit> {
        self.file = file::read(path)?;
        self.file_name = path.display().to_string();
        Ok(self)
    }

    /// What somebody set, with its origin.
    pub fn find(&self, name: &str) -> Option<Value> {
        if let Some((flag, text)) = self.flags.get(name) {
            return Some(Value { text: text.clone(), origin: String::from(*flag) });
        }
        if let Some(text) = self.environment.get(name) {
            return Some(Value { text: text.clone(), origin: String::from(name) });
        }
        let key = name.to_ascii_lowercase();
        let text = self.file.get(&key)?.clone();
        Some(Value { text, origin: format!("{key} in {}", self.file_name) })
    }

    /// What somebody set.
    pub fn given(&self, name: &str) -> Option<String> {
        self.find(name).map(|it| it.text)
    }

    /// What somebody set, or the default.
    pub fn text(&self, name: &str) -> String {
        self.given(name).unwrap_or_else(|| String::from(default_of(name)))
    }

    /// Like [`Sources::text`], with the origin.
    pub(super) fn value(&self, name: &str) -> Value {
        self.find(name).unwrap_or_else(|| Value {
            text: String::from(default_of(name)),
            origin: String::from(name),
        })
    }

    /// The whole environment, with a search path in any case.
    pub(super) fn environment(&self) -> Environment {
        let mut environment = self.whole.clone();
        if !environment.0.iter().any(|(name, value)| name == "PATH" && !value.is_empty()) {
            environment.0.push((OsString::from("PATH"), OsString::from(default_of("PATH"))));
        }
        environment
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        if self.without_effect.is_empty() {
            return Vec::new();
        }
        vec![format!("these settings have no effect here: {}", self.without_effect.join(", "))]
    }
}
