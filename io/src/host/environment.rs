//! The environment a child gets: a short list of the daemon's own variables, what makes it behave,
//! and what its configuration says. Nothing else of the daemon's environment reaches it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use satellite_core::secret::Secret;

/// Variables of the daemon that children see as well: where programs are, how text is written, how
/// the outside is reached.
const INHERITED: &[&str] = &[
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "NPM_CONFIG_REGISTRY",
    "PIP_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
];

/// Variables of a configuration that are left out, compared without regard to case: they make a
/// loader or an interpreter run code, look for programs or trust others elsewhere, or are the
/// satellite's to set. Files that people already have name some of them, `PATH` above all, so the
/// server starts without.
const LEFT_OUT: &[&str] = &[
    "NODE_OPTIONS",
    "NODE_REPL_EXTERNAL_MODULE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_PATH",
    "NODE_REDIRECT_WARNINGS",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONWARNINGS",
    "PYTHONDEBUG",
    "PYTHONINSPECT",
    "PYTHONUSERSITE",
    "PYTHONEXECUTABLE",
    "PYTHONHASHSEED",
    "BASH_ENV",
    "ENV",
    "ZDOTDIR",
    "SHELL",
    "PATH",
    "HOME",
    "TMPDIR",
    "TMP",
    "TEMP",
    "IFS",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    MARKER,
];

/// The variable by which a process is known as one of ours.
pub(super) const MARKER: &str = "SATELLITE_PROCESS";

/// What every child gets, made once.
#[derive(Clone, Debug)]
pub(super) struct BaseEnvironment {
    variables: BTreeMap<OsString, OsString>,
}

/// The environment of one child.
#[derive(Debug)]
pub(super) struct ChildEnvironment {
    /// What it gets.
    pub(super) variables: BTreeMap<OsString, OsString>,
    /// What its configuration asked for beyond that.
    pub(super) left_out: Vec<String>,
}

impl BaseEnvironment {
    /// Takes from `daemon`, the daemon's environment, what children may see.
    ///
    /// A proxy or registry whose URL holds a password is left out: children are not ours.
    pub(super) fn new(daemon: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut variables: BTreeMap<OsString, OsString> = daemon
            .into_iter()
            .filter(|(name, value)| {
                name.to_str().is_some_and(is_inherited)
                    && !(value.to_string_lossy().contains("://")
                        && value.to_string_lossy().contains('@'))
            })
            .collect();
        for (name, value) in [
            ("NO_UPDATE_NOTIFIER", "1"),
            ("npm_config_update_notifier", "false"),
            ("PYTHONUNBUFFERED", "1"),
        ] {
            variables.insert(name.into(), value.into());
        }
        BaseEnvironment { variables }
    }

    /// Where programs are looked for.
    pub(super) fn path(&self) -> OsString {
        self.variables.get(&OsString::from("PATH")).cloned().unwrap_or_default()
    }

    /// The whole environment of one child, and the names that were left out of it; an error names
    /// the variable and says what to do.
    pub(super) fn with(
        &self,
        own: &[(String, Secret)],
        home: &Path,
        temporary: &Path,
        marker: &str,
    ) -> Result<ChildEnvironment, String> {
        let mut variables = self.variables.clone();
        let mut left_out = Vec::new();
        for (name, value) in own {
            if let Some(reason) = why_refused(name, value) {
                return Err(format!(
                    "the environment variable {name:?} {reason}; remove it from the server's configuration"
                ));
            }
            if is_left_out(name) {
                left_out.push(name.clone());
                continue;
            }
            variables.insert(name.into(), value.expose().into());
        }
        variables.insert("HOME".into(), home.into());
        variables.insert("TMPDIR".into(), temporary.into());
        variables.insert(MARKER.into(), marker.into());
        Ok(ChildEnvironment { variables, left_out })
    }
}

fn is_inherited(name: &str) -> bool {
    name.starts_with("LC_") || INHERITED.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn why_refused(name: &str, value: &Secret) -> Option<&'static str> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Some("is not a valid name");
    }
    if value.expose().contains('\0') {
        return Some("has a value with a NUL character");
    }
    None
}

fn is_left_out(name: &str) -> bool {
    let is_loader = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("LD_"));
    is_loader || LEFT_OUT.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BaseEnvironment {
        let daemon = [
            ("PATH", "/usr/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("https_proxy", "http://proxy:3128"),
            ("HTTP_PROXY", "http://me:word@proxy:3128"),
            ("DEPLOYSTACK_REGISTRATION_TOKEN", "secret"),
            ("LD_PRELOAD", "/evil.so"),
            ("HOME", "/root"),
        ];
        BaseEnvironment::new(daemon.map(|(name, value)| (name.into(), value.into())))
    }

    fn with(own: &[(&str, &str)]) -> Result<ChildEnvironment, String> {
        let own: Vec<_> =
            own.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        base().with(&own, Path::new("/h"), Path::new("/t"), "id:key:1")
    }

    #[test]
    fn only_the_listed_variables_and_the_servers_own_reach_a_child() {
        let child = with(&[("API_KEY", "k"), ("PYTHONPATH", "/app")]).unwrap();
        assert!(child.left_out.is_empty());
        let text: Vec<String> = child
            .variables
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            text,
            [
                "API_KEY=k",
                "HOME=/h",
                "LC_ALL=C.UTF-8",
                "NO_UPDATE_NOTIFIER=1",
                "PATH=/usr/bin",
                "PYTHONPATH=/app",
                "PYTHONUNBUFFERED=1",
                "SATELLITE_PROCESS=id:key:1",
                "TMPDIR=/t",
                "https_proxy=http://proxy:3128",
                "npm_config_update_notifier=false",
            ]
        );
    }

    #[test]
    fn names_that_take_over_a_process_are_left_out_in_any_case() {
        let without = with(&[]).unwrap().variables;
        for name in ["LD_PRELOAD", "ld_anything", "Node_Options", "PATH", "Path", "HOME", MARKER] {
            let child = with(&[(name, "some-value")]).unwrap();
            assert_eq!(child.variables, without, "{name}");
            assert_eq!(child.left_out, [name]);
        }
    }

    #[test]
    fn what_no_environment_can_hold_is_refused_without_showing_the_value() {
        for name in ["", "A=B", "A\0"] {
            let error = with(&[(name, "some-value")]).unwrap_err();
            assert!(
                error.contains(&format!("{name:?}")) && !error.contains("some-value"),
                "{error}"
            );
        }
        assert!(with(&[("FINE", "a\0b")]).unwrap_err().contains("NUL"));
    }
}
