//! The command lines of `npx` (npm-exec, npm 7 and later) and `uvx` (uv tool run).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Package, Registry, Wanted};

/// Longest requirement; registries allow names of 214 characters.
const REQUIREMENT_MAX: usize = 512;

/// What `command` with `arguments` asks for; `None` where that is not one of the two, or where it
/// holds anything whose meaning only the wrapper knows.
pub fn parse(command: &str, arguments: &[String]) -> Option<Wanted> {
    match command {
        "npx" => npx(arguments),
        "uvx" => uvx(arguments),
        _ => None,
    }
}

fn npx(arguments: &[String]) -> Option<Wanted> {
    let mut rest = arguments.iter();
    let mut named = None;
    let first = loop {
        let argument = rest.next()?;
        match argument.as_str() {
            "-y" | "--yes" | "-q" | "--quiet" | "--" => {}
            "-p" | "--package" if named.is_none() => named = Some(rest.next()?.as_str()),
            other => match other.strip_prefix("--package=") {
                Some(package) if named.is_none() => named = Some(package),
                Some(_) => return None,
                None if other.starts_with('-') => return None,
                None => break other,
            },
        }
    };
    let (requirement, executable) = match named {
        Some(package) if is_name(first) => (package, Some(first.to_string())),
        Some(_) => return None,
        None => (first, None),
    };
    let package = Package {
        registry: Registry::Npm,
        requirement: requirement.to_string(),
        name: npm_name(requirement)?.to_string(),
        with: Vec::new(),
        python: None,
        executable,
    };
    Some(Wanted { package, arguments: rest.cloned().collect() })
}

fn uvx(arguments: &[String]) -> Option<Wanted> {
    let mut rest = arguments.iter();
    let (mut from, mut with, mut python) = (None, Vec::new(), None);
    let first = loop {
        let argument = rest.next()?;
        let (flag, inline) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_string())),
            _ => (argument.as_str(), None),
        };
        match (flag, inline) {
            ("-q" | "--quiet" | "--no-progress", None) => {}
            ("--from", value) if from.is_none() => {
                from = Some(value.or_else(|| rest.next().cloned())?);
            }
            ("--with", value) => with.push(value.or_else(|| rest.next().cloned())?),
            ("--python" | "-p", value) if python.is_none() => {
                python = Some(value.or_else(|| rest.next().cloned())?);
            }
            (other, _) if other.starts_with('-') => return None,
            _ => break argument.as_str(),
        }
    };
    let (requirement, executable) = match from {
        Some(from) => (from, is_name(first).then(|| first.to_string())?),
        // `name@version` is uvx's own way to say `name==version`.
        None => {
            let (name, version) = match first.split_once('@') {
                Some((name, "latest")) => (name, None),
                Some((name, version)) if is_exact_version(version) => (name, Some(version)),
                Some(_) => return None,
                None => (first, None),
            };
            let requirement =
                version.map_or_else(|| name.to_string(), |version| format!("{name}=={version}"));
            (requirement, pypi_name(name).filter(|it| it.len() == name.len())?.to_string())
        }
    };
    let known = with.iter().all(|it| pypi_name(it).is_some());
    let plain = python.as_deref().is_none_or(|it| it.split('.').all(is_number));
    if !(known && plain) {
        return None;
    }
    let package = Package {
        registry: Registry::Pypi,
        name: pypi_name(&requirement)?.to_string(),
        requirement,
        with,
        python,
        executable: Some(executable),
    };
    Some(Wanted { package, arguments: rest.cloned().collect() })
}

/// The name in `name`, `@scope/name` or either with `@version`. Addresses, aliases and paths are
/// none: they may lead anywhere.
fn npm_name(requirement: &str) -> Option<&str> {
    let skip = usize::from(requirement.starts_with('@'));
    let at = requirement.get(skip..)?.find('@').map(|at| at + skip);
    let (name, version) = match at {
        Some(at) => (requirement.get(..at)?, requirement.get(at + 1..)?),
        None => (requirement, "latest"),
    };
    let parts: Vec<&str> = name.strip_prefix('@').unwrap_or(name).split('/').collect();
    let is_whole = parts.len() == 1 + skip && parts.iter().all(|part| is_name(part));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+^~*<>=| ".contains(&byte);
    let is_plain = !version.is_empty() && version.bytes().all(plain);
    (is_whole && is_plain && requirement.len() <= REQUIREMENT_MAX).then_some(name)
}

/// The name in a requirement of PEP 508 without markers or addresses: `name[extra]>=1,<2`.
fn pypi_name(requirement: &str) -> Option<&str> {
    let end = requirement
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(requirement.len());
    let (name, rest) = requirement.split_at_checked(end)?;
    let version = match rest.strip_prefix('[') {
        Some(extras) => {
            let (extras, version) = extras.split_once(']')?;
            if !extras.split(',').all(|extra| is_name(extra.trim())) {
                return None;
            }
            version
        }
        None => rest,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-+*<>=!~, ".contains(&byte);
    let is_version = version.is_empty() || version.starts_with(['=', '<', '>', '!', '~', ' ']);
    (is_name(name)
        && is_version
        && version.bytes().all(plain)
        && requirement.len() <= REQUIREMENT_MAX)
        .then_some(name)
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && text.bytes().all(plain)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1.2.3`, `2026.8.31`, `1.0.0-beta.2`, `1.0.post1`: one version and no range.
fn is_exact_version(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_digit())
        && text.contains('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+!".contains(&byte))
        && !text.split('.').any(|part| matches!(part, "x" | "X" | ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(line: &str) -> Option<Wanted> {
        let mut words = line.split(' ').map(String::from);
        let command = words.next()?;
        parse(&command, &words.collect::<Vec<_>>())
    }

    #[test]
    fn what_people_write_is_understood() {
        let rows = [
            ("npx -y @a/files@1.2.3 /data", "@a/files@1.2.3", "@a/files", None),
            ("npx --yes files", "files", "files", None),
            ("npx files@^1.2", "files@^1.2", "files", None),
            ("npx -y -p @a/b tool --flag", "@a/b", "@a/b", Some("tool")),
            ("npx --package=@a/b@2.0.0 -- tool", "@a/b@2.0.0", "@a/b", Some("tool")),
            ("uvx mcp-server-time", "mcp-server-time", "mcp-server-time", Some("mcp-server-time")),
            ("uvx time@2026.1.0", "time==2026.1.0", "time", Some("time")),
            ("uvx time@latest", "time", "time", Some("time")),
            ("uvx --from pkg[cli]==1.4.0 tool serve", "pkg[cli]==1.4.0", "pkg", Some("tool")),
            ("uvx --from=pkg>=1,<2 tool", "pkg>=1,<2", "pkg", Some("tool")),
        ];
        for (line, requirement, name, executable) in rows {
            let found = wanted(line).unwrap_or_else(|| panic!("{line} is not understood"));
            let package = &found.package;
            assert_eq!(
                (
                    package.requirement.as_str(),
                    package.name.as_str(),
                    package.executable.as_deref()
                ),
                (requirement, name, executable),
                "{line}"
            );
        }
        let with = wanted("uvx --with httpx==0.27.0 --python 3.12 tool a").unwrap();
        assert_eq!(with.package.with, ["httpx==0.27.0"]);
        assert_eq!(with.package.python.as_deref(), Some("3.12"));
        assert_eq!(with.arguments, ["a"]);
        assert_eq!(
            wanted("npx -y files -y --package z").unwrap().arguments,
            ["-y", "--package", "z"]
        );
    }

    #[test]
    fn what_only_the_wrapper_understands_is_left_to_it() {
        for line in [
            "node server.js",
            "npx",
            "npx -y",
            "npx -c x",
            "npx --registry=http://x files",
            "npx -p a -p b tool",
            "npx -p a ../tool",
            "npx ./local",
            "npx ../../etc",
            "npx github:a/b",
            "npx git+https://x/y.git",
            "npx https://x/y.tgz",
            "npx a@npm:b",
            "npx @a",
            "npx @a/b/c",
            "npx a@",
            "uvx",
            "uvx --index-url http://x tool",
            "uvx --from git+https://x tool",
            "uvx --from ./here tool",
            "uvx --from /abs tool",
            "uvx --from pkg;python_version<'3' tool",
            "uvx --from pkg@https://x tool",
            "uvx --python /usr/bin/python3 tool",
            "uvx tool@>=1",
            "uvx pkg[x]",
        ] {
            assert_eq!(wanted(line), None, "{line}");
        }
    }

    #[test]
    fn what_decides_an_installation_is_in_its_key_and_nothing_else() {
        let key = |line: &str| wanted(line).unwrap().package.key();
        assert_eq!(key("npx -y files /a"), key("npx files /b"));
        assert_eq!(key("npx -p files tool"), key("npx files"));
        let all = [
            "npx files",
            "npx files@1.0.0",
            "uvx files",
            "uvx --with a files",
            "uvx -p 3.12 files",
        ];
        for (at, one) in all.iter().enumerate() {
            for other in all.iter().skip(at + 1) {
                assert_ne!(key(one), key(other), "{one}, {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_requirement_can_be_taken_for_a_flag_or_a_path(
            words in proptest::collection::vec("[-@a-z./:=\\[\\]~^0-9 ]{0,12}", 0..6),
            is_npx: bool,
        ) {
            let words: Vec<String> = words;
            let command = if is_npx { "npx" } else { "uvx" };
            if let Some(found) = parse(command, &words) {
                let package = &found.package;
                for requirement in [&package.requirement].into_iter().chain(&package.with) {
                    prop_assert!(!requirement.starts_with(['-', '.', '/']), "{requirement}");
                    prop_assert!(!requirement.contains("://") && !requirement.contains(".."), "{requirement}");
                }
                let executable = package.executable.as_deref().unwrap_or("x");
                prop_assert!(!executable.contains('/') && !executable.starts_with('.'));
            }
        }
    }
}
