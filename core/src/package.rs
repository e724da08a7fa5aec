//! Servers that are published as packages: what `npx` and `uvx` are asked to run, read so that it
//! can be installed once and then be started directly. A wrapper that stays costs a process tree of
//! its own memory, looks at the registry at each start, and lies between a signal and the server.
//!
//! What is not understood here is left to the wrapper: it alone then says what its flags mean.

mod arguments;
mod manifest;
mod record;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use arguments::parse;
pub use manifest::{ManifestError, executable};
pub use record::{File, Record};

/// Where packages are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// The npm registry, for Node.js.
    Npm,
    /// The Python Package Index.
    Pypi,
}

impl Registry {
    /// Its name in messages and in directories.
    pub fn as_str(self) -> &'static str {
        match self {
            Registry::Npm => "npm",
            Registry::Pypi => "pypi",
        }
    }
}

/// A package to install, and what to start of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Where it is published.
    pub registry: Registry,
    /// What the installer is asked for: `@scope/name@1.2.3`, `name[extra]==1.2.3`.
    pub requirement: String,
    /// Its name alone.
    pub name: String,
    /// What is installed beside it, as its requirement is written.
    pub with: Vec<String>,
    /// The version of Python to use, if one is asked for.
    pub python: Option<String>,
    /// Which of its executables to start; `None` for the one named like it, or its only one.
    pub executable: Option<String>,
}

impl Package {
    /// Everything that decides what is installed, as one text: the key of an installation.
    pub fn key(&self) -> String {
        let mut key = String::from(self.registry.as_str());
        let parts = core::iter::once(&self.requirement).chain(&self.with).chain(&self.python);
        for part in parts {
            key.push('\n');
            key.push_str(part);
        }
        key
    }
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The package.
    pub package: Package,
    /// What its executable is given.
    pub arguments: Vec<String>,
}
