//! The servers `dev` runs: those of a `mcp.json`, or the built-in demo server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use satellite_core::backend::sha256_hex;
use satellite_core::mcp_json::{self, McpServer, McpTarget, RemoteProtocol};
use satellite_core::secret::Secret;
use satellite_core::view::Transport;
use satellite_core::wire::admin::{
    CreateServer, Package, PackageTransport, Remote, Schema, UpdateInstallation,
};

use crate::exit::{Exit, fault, usage};

/// A server to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// Its key in the file.
    pub(super) name: String,
    /// What to start or where to go. A change makes it another server.
    pub(super) template: CreateServer,
    /// Arguments, environment and headers. They may change while it stays the same server.
    pub(super) tier: UpdateInstallation,
    /// The executable, if it has one.
    pub(super) command: Option<String>,
}

impl Wanted {
    /// Changes when the template does.
    pub(super) fn template_digest(&self) -> String {
        digest(&self.template)
    }

    /// Changes when arguments, environment or headers do.
    pub(super) fn tier_digest(&self) -> String {
        digest(&self.tier)
    }
}

/// Reads the file, or makes up the demo server where there is none.
pub(super) fn read(path: Option<&Path>) -> Result<Vec<Wanted>, Exit> {
    let Some(path) = path else { return Ok(vec![demo()?]) };
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| {
        usage(
            format!("cannot read {name}: {error}"),
            r#"name a file such as {"mcpServers": {"files": {"command": "npx", "args": ["-y", "…"]}}}"#,
        )
    })?;
    let servers = mcp_json::decode(&bytes)
        .map_err(|error| usage(format!("{name}: {error}"), error.hint.clone()))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let wanted: Result<Vec<Wanted>, Exit> = servers
        .into_iter()
        .filter(|it| !it.disabled)
        .map(|it| wanted(it, directory).map_err(|exit| named(&exit, path)))
        .collect();
    match wanted?.as_slice() {
        [] => Err(usage(
            format!("{name} names no server that is switched on"),
            "add one under mcpServers, or leave --servers out for the demo server",
        )),
        wanted => Ok(wanted.to_vec()),
    }
}

/// Executables that the servers name.
pub(super) fn commands(wanted: &[Wanted]) -> BTreeSet<String> {
    wanted.iter().filter_map(|it| it.command.clone()).collect()
}

/// URLs that the servers name.
pub(super) fn remotes(wanted: &[Wanted]) -> impl Iterator<Item = &str> {
    let remotes = wanted.iter().flat_map(|it| &it.template.remotes);
    remotes.flat_map(|it| std::iter::once(&it.url).chain(&it.urls)).map(Secret::expose)
}

fn wanted(server: McpServer, directory: &Path) -> Result<Wanted, Exit> {
    let McpServer { name, slug, target, .. } = server;
    let mut tier = UpdateInstallation::default();
    let mut requires_oauth = false;
    let (transport_type, package, remote, command) = match target {
        McpTarget::Stdio { command, args, env, cwd } => {
            if cwd.is_some() {
                return Err(usage(
                    format!("{name} sets `cwd`, which a satellite does not carry"),
                    "use absolute paths in `command` and `args`, and remove `cwd`",
                ));
            }
            // The Backend leaves empty arguments out: they stand for what was not filled in.
            if args.iter().any(String::is_empty) {
                return Err(usage(
                    format!("{name} has an empty argument, which a Backend does not carry"),
                    "remove it, or give it a value",
                ));
            }
            let command = resolve(&command, directory)?;
            tier.team_args = Some(args.into_iter().map(Some).collect());
            tier.team_env = Some(env.into_iter().collect());
            let transport =
                PackageTransport { command: Some(command.clone()), env: BTreeMap::new() };
            (Transport::Stdio, Some(Package { transport }), None, Some(command))
        }
        McpTarget::Remote { url, headers, protocol, oauth } => {
            requires_oauth = oauth;
            tier.team_headers = Some(headers.into_iter().collect());
            let transport = match protocol {
                RemoteProtocol::Http => Transport::Http,
                RemoteProtocol::Sse => Transport::Sse,
            };
            let remote =
                Remote { url: Secret::new(url), urls: Vec::new(), headers: BTreeMap::new() };
            (transport, None, Some(remote), None)
        }
    };
    let template = CreateServer {
        name: name.clone(),
        slug: Some(slug),
        description: None,
        transport_type,
        source: Some(String::from("manual")),
        language: None,
        runtime: None,
        packages: package.into_iter().collect(),
        remotes: remote.into_iter().collect(),
        template_args: Vec::new(),
        team_schema: Schema::default(),
        user_schema: Schema::default(),
        requires_oauth,
        repository_url: None,
        git_branch: None,
        git_commit_sha: None,
    };
    Ok(Wanted { name, template, tier, command })
}

fn demo() -> Result<Wanted, Exit> {
    let this = std::env::current_exe().map_err(|error| {
        fault(
            format!("cannot find this program's own file: {error}"),
            "name servers with --servers",
        )
    })?;
    let Some(this) = this.to_str() else {
        return Err(fault(
            format!("this program's path is not UTF-8: {}", this.display()),
            "move it, or name servers with --servers",
        ));
    };
    let target = McpTarget::Stdio {
        command: String::from(this),
        args: vec![String::from("demo-server")],
        env: Vec::new(),
        cwd: None,
    };
    let name = String::from(crate::demo::NAME);
    wanted(McpServer { slug: name.clone(), name, disabled: false, target }, Path::new("."))
}

/// A path is taken from the file's directory; a name is left to the search path. Links are kept:
/// a Python knows by the name it was called by which packages are its own.
fn resolve(command: &str, directory: &Path) -> Result<String, Exit> {
    if !command.contains('/') {
        return Ok(String::from(command));
    }
    let path = directory.join(command);
    let found = path.metadata().and_then(|_| std::path::absolute(&path));
    let path = found.map_err(|error| {
        usage(format!("no program at {}: {error}", path.display()), "correct `command`")
    })?;
    match path.to_str() {
        Some(path) => Ok(String::from(path)),
        None => Err(usage(format!("the path {} is not UTF-8", path.display()), "rename it")),
    }
}

fn named(exit: &Exit, path: &Path) -> Exit {
    Exit { error: format!("{}: {}", path.display(), exit.error), ..exit.clone() }
}

/// Short, and tells nothing of the secrets that went in.
fn digest(value: &impl serde::Serialize) -> String {
    // What is made of texts has no way to fail.
    sha256_hex(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unwrap_in_result, reason = "a file that cannot be written fails the test")]
    fn from(text: &str) -> Result<Vec<Wanted>, Exit> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("satellite-servers-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let wanted = read(Some(&path));
        std::fs::remove_file(&path).unwrap();
        wanted
    }

    #[test]
    fn without_a_file_there_is_the_demo_server_of_this_binary() {
        let wanted = read(None).unwrap();
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].name, "demo");
        assert!(wanted[0].command.as_ref().unwrap().starts_with('/'));
        assert_eq!(wanted[0].tier.team_args, Some(vec![Some(String::from("demo-server"))]));
    }

    #[test]
    fn a_change_of_arguments_keeps_the_server_and_a_change_of_command_does_not() {
        let server = |command: &str, arg: &str| {
            from(&format!(r#"{{"mcpServers":{{"a":{{"command":"{command}","args":["{arg}"]}}}}}}"#))
                .unwrap()
                .remove(0)
        };
        let (first, args, command) = (server("npx", "x"), server("npx", "y"), server("uvx", "x"));
        assert_eq!(first.template_digest(), args.template_digest());
        assert_ne!(first.tier_digest(), args.tier_digest());
        assert_ne!(first.template_digest(), command.template_digest());
        assert_eq!(first.tier_digest(), command.tier_digest());
    }

    #[test]
    fn a_program_keeps_the_name_it_is_called_by() {
        let directory = std::env::temp_dir().join(format!("satellite-venv-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink("/bin/sh", directory.join("python")).unwrap();
        let program = resolve("./python", &directory).unwrap();
        assert!(program.starts_with('/') && program.ends_with("/python"), "{program}");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn servers_that_are_switched_off_are_left_out() {
        let text =
            r#"{"mcpServers":{"a":{"command":"npx","disabled":true},"b":{"command":"node"}}}"#;
        let wanted = from(text).unwrap();
        assert_eq!(commands(&wanted), BTreeSet::from([String::from("node")]));
    }

    #[test]
    fn what_cannot_be_carried_is_refused_with_the_servers_name() {
        for (text, problem) in [
            (r#"{"mcpServers":{"a":{"command":"npx","cwd":"/x"}}}"#, "a sets `cwd`"),
            (r#"{"mcpServers":{"a":{"command":"npx","args":[""]}}}"#, "a has an empty argument"),
            (r#"{"mcpServers":{"a":{"command":"./no/such"}}}"#, "no program at"),
            (r#"{"mcpServers":{}}"#, "names no server"),
            ("{\n  x", "line 2, column 3"),
        ] {
            let error = from(text).unwrap_err();
            assert_eq!(error.code, crate::exit::USAGE);
            assert!(error.error.contains(problem), "{error:?}");
            assert!(!error.hint.is_empty());
        }
        let missing = read(Some(Path::new("/no/such/mcp.json"))).unwrap_err();
        assert!(missing.error.contains("/no/such/mcp.json"));
    }
}
