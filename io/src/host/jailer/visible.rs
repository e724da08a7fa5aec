//! What of the system a server sees: programs, libraries, certificates, how names are resolved, and
//! where its own program lies. Everything else is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::jail::Shown;

/// What servers see if it is there.
const SYSTEM: &[&str] = &[
    "/bin",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/opt",
    "/sbin",
    "/usr",
];

/// Variables that name files or directories of certificates.
const CERTIFICATES: &[&str] =
    &["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"];

/// Most links that lead from a name to a program.
const LINKS_MAX: usize = 16;
/// Most of a script's first line (`BINPRM_BUF_SIZE` of Linux).
const FIRST_LINE_BYTES: usize = 256;

/// What is shown, as it is collected.
pub(super) struct Visible<'a> {
    /// Where programs are looked for.
    path: &'a OsStr,
    /// Directories that must stay unseen: nothing that holds one of them is shown for a program.
    hidden: &'a BTreeSet<PathBuf>,
    shown: BTreeMap<PathBuf, Shown>,
}

impl<'a> Visible<'a> {
    /// The system.
    pub(super) fn system(path: &'a OsStr, hidden: &'a BTreeSet<PathBuf>) -> Self {
        let mut visible = Visible { path, hidden, shown: BTreeMap::new() };
        for place in SYSTEM.iter().map(Path::new) {
            let is_top = place.parent() == Some(Path::new("/"));
            match fs::read_link(place) {
                Ok(to) if is_top => {
                    visible.shown.insert(place.into(), Shown::Link(to));
                }
                _ => visible.add(place),
            }
        }
        visible
    }

    /// Shows the certificates that `environment` names.
    pub(super) fn certificates<'b>(
        &mut self,
        environment: impl Iterator<Item = (&'b OsStr, &'b OsStr)>,
    ) {
        for (name, value) in environment {
            let place = Path::new(value);
            let is_certificate = CERTIFICATES.iter().any(|known| name == *known);
            if is_certificate && place.is_absolute() && !self.holds_hidden(place) {
                self.add(place);
            }
        }
    }

    /// Shows what is at `place`, if anything is.
    pub(super) fn add(&mut self, place: &Path) {
        let Ok(real) = place.canonicalize() else { return };
        let shown = if real.is_dir() { Shown::Directory(real) } else { Shown::File(real) };
        self.shown.insert(place.into(), shown);
    }

    /// Shows an executable: each link on the way to it, the directory tree it was installed with,
    /// and what interprets it.
    pub(super) fn program(&mut self, executable: &Path) {
        let mut place = executable.to_owned();
        for _ in 0..LINKS_MAX {
            self.installation(&place);
            match fs::read_link(&place) {
                Ok(to) => place = normal(&place.parent().unwrap_or(Path::new("/")).join(to)),
                Err(_) => break,
            }
        }
        let Ok(real) = executable.canonicalize() else { return };
        self.installation(&real);
        for interpreter in self.interpreters(&real) {
            if interpreter != executable {
                self.program(&interpreter);
            }
        }
    }

    /// Everything that is shown.
    pub(super) fn into_shown(self) -> BTreeMap<PathBuf, Shown> {
        self.shown
    }

    /// Shows the tree that a program was installed with, `…/bin/it` beside `…/lib`; else it alone.
    fn installation(&mut self, executable: &Path) {
        let tree = executable.parent().filter(|directory| directory.ends_with("bin")).and_then(
            |directory| {
                let tree = directory.parent()?;
                let is_tree = tree.join("lib").is_dir() || tree.join("pyvenv.cfg").is_file();
                (is_tree && tree.parent().is_some() && !self.holds_hidden(tree)).then_some(tree)
            },
        );
        let place = tree.unwrap_or(executable);
        let is_shown = place.ancestors().any(|above| self.shown.contains_key(above));
        if !is_shown {
            self.add(place);
        }
    }

    fn holds_hidden(&self, place: &Path) -> bool {
        self.hidden.iter().any(|hidden| hidden.starts_with(place))
    }

    /// The programs that the first line of a script names: the first, and what `env` looks for.
    fn interpreters(&self, script: &Path) -> Vec<PathBuf> {
        let Some(line) = first_line(script) else { return Vec::new() };
        let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|it| !it.is_empty());
        let Some(first) = words.next().map(|word| PathBuf::from(OsStr::from_bytes(word))) else {
            return Vec::new();
        };
        let looked_for = words
            .find(|word| !word.starts_with(b"-"))
            .filter(|_| first.ends_with("env"))
            .and_then(|name| {
                std::env::split_paths(self.path)
                    .map(|directory| directory.join(OsStr::from_bytes(name)))
                    .find(|place| place.is_file())
            });
        [Some(first), looked_for].into_iter().flatten().collect()
    }
}

/// What follows `#!`, if the file is a script.
fn first_line(file: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let file = fs::File::open(file).ok()?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FIRST_LINE_BYTES as u64), &mut start)
        .ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(line.to_vec())
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_is_shown_with_its_tree_its_links_and_its_interpreter_and_nothing_above() {
        let name = format!("satellite-visible-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for directory in ["node/bin", "node/lib/npm", "links", "home/bin", "home/lib", "home/state"]
        {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("node/lib/npm/npx.js"), "#!/usr/bin/env -S node\n").unwrap();
        fs::write(root.join("node/bin/node"), "").unwrap();
        fs::write(root.join("home/bin/tool"), "#!/bin/sh\n").unwrap();
        symlink("../lib/npm/npx.js", root.join("node/bin/npx")).unwrap();
        symlink("../node/bin/npx", root.join("links/npx")).unwrap();

        let path = root.join("node/bin").into_os_string();
        let hidden = BTreeSet::from([root.join("home/state")]);
        let mut visible = Visible { path: &path, hidden: &hidden, shown: BTreeMap::new() };
        visible.program(&root.join("links/npx"));
        // What lies beside the state of the satellite is shown alone.
        visible.program(&root.join("home/bin/tool"));
        let shown = visible.into_shown();
        let shown: Vec<&Path> =
            shown.keys().filter_map(|place| place.strip_prefix(&root).ok()).collect();
        assert_eq!(shown, ["home/bin/tool", "links/npx", "node"].map(Path::new));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_system_shows_no_accounts_no_homes_and_no_settings_of_other_programs() {
        let hidden = BTreeSet::new();
        let shown = Visible::system(OsStr::new("/usr/bin"), &hidden).into_shown();
        assert!(shown.contains_key(Path::new("/usr")));
        for place in ["/", "/etc", "/etc/passwd", "/etc/shadow", "/home", "/root", "/var", "/run"] {
            assert!(!shown.contains_key(Path::new(place)), "{place}");
        }
    }
}
