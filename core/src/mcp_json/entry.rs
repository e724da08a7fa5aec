//! One server of the file.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::document::{Document, Entry};
use super::error::McpJsonError;
use super::{McpTarget, RemoteProtocol};
use crate::secret::Secret;

/// Reads an entry: whether it is switched off, and how the server is reached.
pub(super) fn decode<'a>(
    document: &Document<'a>,
    server: &Entry<'a>,
) -> Result<(bool, McpTarget), McpJsonError> {
    if server.name.trim().is_empty() {
        return Err(document.error(
            server.value,
            &server.path,
            "a server has no name".to_owned(),
            "give it one, for example \"files\"".to_owned(),
        ));
    }
    let keys = document.object(server.value, &server.path)?;
    let key = |name: &str| keys.iter().find(|it| it.name == name);
    let disabled = match key("disabled") {
        Some(entry) => document.boolean(entry.value, &entry.path)?,
        None => false,
    };
    let stated = key("type").or_else(|| key("transport"));
    let stated = match stated {
        Some(entry) => Some((entry, protocol(document, entry)?)),
        None => None,
    };
    let target = match (key("command"), key("url").or_else(|| key("serverUrl"))) {
        (Some(command), None) => {
            if let Some((entry, Some(_))) = stated {
                return Err(document.error(
                    entry.value,
                    &entry.path,
                    format!("{} goes with `url`, but there is a `command`", entry.value.get()),
                    "use \"stdio\", or remove the key".to_owned(),
                ));
            }
            stdio(document, &keys, command)?
        }
        (None, Some(url)) => {
            let protocol = match stated {
                Some((entry, None)) => {
                    return Err(document.error(
                        entry.value,
                        &entry.path,
                        "\"stdio\" goes with `command`, but there is a `url`".to_owned(),
                        "use \"http\" or \"sse\", or remove the key".to_owned(),
                    ));
                }
                Some((_, Some(protocol))) => protocol,
                None => RemoteProtocol::Http,
            };
            remote(document, &keys, url, protocol)?
        }
        (Some(_), Some(_)) => {
            return Err(document.error(
                server.value,
                &server.path,
                "has both `command` and `url`".to_owned(),
                "keep `command` for a program to start, or `url` for a remote server".to_owned(),
            ));
        }
        (None, None) => {
            return Err(document.error(
                server.value,
                &server.path,
                "has neither `command` nor `url`".to_owned(),
                "add \"command\": \"npx\" (a program to start) or \"url\": \"https://…\""
                    .to_owned(),
            ));
        }
    };
    Ok((disabled, target))
}

/// The `type` of a server; `None` is stdio.
fn protocol<'a>(
    document: &Document<'a>,
    entry: &Entry<'a>,
) -> Result<Option<RemoteProtocol>, McpJsonError> {
    let text = document.string(entry.value, &entry.path)?;
    match text.to_ascii_lowercase().as_str() {
        "stdio" => Ok(None),
        "http" | "streamable-http" | "streamablehttp" | "streamable_http" => {
            Ok(Some(RemoteProtocol::Http))
        }
        "sse" => Ok(Some(RemoteProtocol::Sse)),
        _ => Err(document.error(
            entry.value,
            &entry.path,
            format!("{text:?} is no known type"),
            "use \"stdio\", \"http\" or \"sse\"".to_owned(),
        )),
    }
}

fn stdio<'a>(
    document: &Document<'a>,
    keys: &[Entry<'a>],
    command: &Entry<'a>,
) -> Result<McpTarget, McpJsonError> {
    let name = document.string(command.value, &command.path)?;
    if name.trim().is_empty() || name.contains('\0') {
        return Err(document.error(
            command.value,
            &command.path,
            "names no program".to_owned(),
            "name one, for example \"npx\"".to_owned(),
        ));
    }
    if name.contains(' ') && !name.contains(['/', '\\']) {
        return Err(document.error(
            command.value,
            &command.path,
            format!("{name:?} holds a space; no shell takes it apart"),
            "put the program in `command` and the rest in `args`".to_owned(),
        ));
    }
    let mut args = Vec::new();
    if let Some(entry) = keys.iter().find(|it| it.name == "args") {
        for (path, item) in document.array(entry.value, &entry.path)? {
            let text = document.string(item, &path)?;
            if text.contains('\0') {
                return Err(nul(document, item, &path));
            }
            args.push(text);
        }
    }
    let env = pairs(document, keys, "env")?;
    let cwd = match keys.iter().find(|it| it.name == "cwd") {
        Some(entry) => Some(document.string(entry.value, &entry.path)?),
        None => None,
    };
    Ok(McpTarget::Stdio { command: name, args, env, cwd })
}

fn remote<'a>(
    document: &Document<'a>,
    keys: &[Entry<'a>],
    url: &Entry<'a>,
    protocol: RemoteProtocol,
) -> Result<McpTarget, McpJsonError> {
    let text = document.string(url.value, &url.path)?;
    let host = ["https://", "http://"].into_iter().find_map(|it| text.strip_prefix(it));
    let plain = text.chars().all(|it| !it.is_whitespace() && !it.is_control());
    if !plain || host.is_none_or(|it| it.is_empty() || it.starts_with(['/', '?', '#'])) {
        return Err(document.error(
            url.value,
            &url.path,
            format!("{text:?} is no address"),
            "write it in full, for example \"https://example.com/mcp\"".to_owned(),
        ));
    }
    let headers = pairs(document, keys, "headers")?;
    Ok(McpTarget::Remote { url: text, headers, protocol, oauth: oauth(document, keys)? })
}

/// Whether an entry says that users sign in: `true`, `"oauth"`, or an object whose `enabled` is not
/// `false`.
fn oauth(document: &Document<'_>, keys: &[Entry<'_>]) -> Result<bool, McpJsonError> {
    let Some(entry) = keys.iter().find(|it| it.name == "oauth" || it.name == "auth") else {
        return Ok(false);
    };
    match entry.value.get() {
        "true" | "\"oauth\"" => Ok(true),
        "false" | "null" => Ok(false),
        text if text.starts_with('{') => {
            let members = document.object(entry.value, &entry.path)?;
            match members.iter().find(|it| it.name == "enabled") {
                Some(enabled) => document.boolean(enabled.value, &enabled.path),
                None => Ok(true),
            }
        }
        _ => Err(document.error(
            entry.value,
            &entry.path,
            "is no way to sign in".to_owned(),
            "use \"oauth\": true where users sign in, or remove the key".to_owned(),
        )),
    }
}

/// An object of strings, whose values may be secrets.
fn pairs<'a>(
    document: &Document<'a>,
    keys: &[Entry<'a>],
    name: &str,
) -> Result<Vec<(String, Secret)>, McpJsonError> {
    let Some(entry) = keys.iter().find(|it| it.name == name) else {
        return Ok(Vec::new());
    };
    let mut pairs = Vec::new();
    for entry in document.object(entry.value, &entry.path)? {
        let text = document.string(entry.value, &entry.path)?;
        let forbidden_in_name = |it: char| it == '=' || it == ':' || it.is_control();
        if entry.name.is_empty() || entry.name.contains(forbidden_in_name) {
            return Err(document.error(
                entry.value,
                &entry.path,
                format!("{:?} cannot be a name here", entry.name),
                "use letters, digits, hyphens and underscores".to_owned(),
            ));
        }
        if text.contains('\0') || (name == "headers" && text.contains(['\r', '\n'])) {
            return Err(nul(document, entry.value, &entry.path));
        }
        pairs.push((entry.name, Secret::new(text)));
    }
    Ok(pairs)
}

fn nul(document: &Document<'_>, value: &serde_json::value::RawValue, path: &str) -> McpJsonError {
    document.error(
        value,
        path,
        "holds a character that cannot be passed on (NUL or a line break)".to_owned(),
        "remove it".to_owned(),
    )
}
