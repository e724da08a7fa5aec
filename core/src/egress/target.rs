//! A URL, read strictly: what two readers might understand differently is refused, not guessed.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Refusal;
use crate::limits::URL_MAX_BYTES;

/// Whom a URL names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name in lower case, in ASCII, without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// An `http://` or `https://` URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    https: bool,
    host: Host,
    port: u16,
    /// Path and query, from the slash on.
    path: String,
}

impl Target {
    /// Reads an absolute URL of at most [`URL_MAX_BYTES`]. Its fragment is dropped, as it never
    /// leaves a client.
    ///
    /// Refused are other schemes, users and passwords, hosts that are neither a plain name nor a
    /// plain address (RFC 3986 §3.2.2: no `127.1`, `0x7f000001`, `017700000001`, `2130706433`),
    /// names beyond ASCII, port 0, and characters that a URL must encode.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > URL_MAX_BYTES {
            return Err(Refusal::Malformed("is longer than any server needs"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Refusal::Malformed("does not start with https://"));
        };
        let https = match scheme {
            it if it.eq_ignore_ascii_case("https") => true,
            it if it.eq_ignore_ascii_case("http") => false,
            _ => return Err(Refusal::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(Refusal::UserInfo);
        }
        let (host, port) = split_port(authority)?;
        let host = Host::parse(host)?;
        let port = match port {
            None => default_port(https),
            Some(port) => port,
        };
        let rest = without_fragment(rest);
        check_characters(rest)?;
        let path = match rest.strip_prefix('/') {
            Some(_) => String::from(rest),
            None => String::from("/") + rest,
        };
        Ok(Target { https, host, port, path })
    }

    /// What `reference` (a `Location` header) means seen from here (RFC 3986 §5.2).
    pub fn join(&self, reference: &str) -> Result<Self, Refusal> {
        if reference.len() > URL_MAX_BYTES {
            return Err(Refusal::Malformed("is longer than any server needs"));
        }
        let reference = without_fragment(reference);
        let first_segment = reference.split(['/', '?']).next().unwrap_or("");
        if first_segment.contains(':') {
            return if reference.contains("://") {
                Target::parse(reference)
            } else {
                Err(Refusal::Scheme)
            };
        }
        if reference.starts_with("//") {
            let scheme = if self.https { "https:" } else { "http:" };
            return Target::parse(&(String::from(scheme) + reference));
        }
        check_characters(reference)?;
        let (path, query) = match reference.find('?') {
            Some(at) => reference.split_at(at),
            None => (reference, ""),
        };
        let own_path = self.path.split('?').next().unwrap_or("/");
        let joined = match path.chars().next() {
            None if query.is_empty() => self.path.clone(),
            None => own_path.to_owned() + query,
            Some('/') => without_dots(path) + query,
            Some(_) => {
                let folder = own_path.rfind('/').map_or("", |at| own_path.split_at(at).0);
                without_dots(&(folder.to_owned() + "/" + path)) + query
            }
        };
        if joined.len() > URL_MAX_BYTES {
            return Err(Refusal::Malformed("is longer than any server needs"));
        }
        Ok(Target { path: joined, host: self.host.clone(), ..*self })
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whom it names.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, the scheme's own if none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether scheme, host and port are the same (RFC 6454).
    pub fn is_same_origin(&self, other: &Target) -> bool {
        (self.https, self.port) == (other.https, other.port) && self.host == other.host
    }

    /// Scheme, host and port, for messages: path and query may hold secrets.
    pub fn origin(&self) -> impl fmt::Display + '_ {
        Origin(self)
    }
}

/// The whole URL in its one form. For sending: path and query may hold secrets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Origin(self), self.path)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", Origin(self))
    }
}

struct Origin<'a>(&'a Target);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin(target) = self;
        f.write_str(if target.https { "https://" } else { "http://" })?;
        write!(f, "{}", target.host)?;
        if target.port == default_port(target.https) {
            return Ok(());
        }
        write!(f, ":{}", target.port)
    }
}

impl Host {
    /// Reads a host as it stands in a URL: IPv6 in brackets.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').and_then(|it| it.parse::<Ipv6Addr>().ok());
            return match address {
                Some(address) => Ok(Host::Address(IpAddr::V6(address))),
                None => Err(Refusal::Malformed("holds no valid IPv6 address between its brackets")),
            };
        }
        if !text.is_ascii() {
            return Err(Refusal::Malformed(
                "names a host beyond ASCII: write it in its ASCII form, with xn--",
            ));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Host::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
        };
        if name.len() > 253 || !name.split('.').all(plain) {
            return Err(Refusal::Malformed("names no valid host"));
        }
        // Resolvers and other readers of URLs take these for addresses, each in its own way.
        let last = name.rsplit('.').next().unwrap_or("");
        let is_hexadecimal = |it: &str| {
            it.strip_prefix("0x").is_some_and(|it| it.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if last.bytes().all(|it| it.is_ascii_digit()) || is_hexadecimal(last) {
            return Err(Refusal::Malformed(
                "writes an address in an unusual form: write four decimal numbers with dots between",
            ));
        }
        Ok(Host::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn split_port(authority: &str) -> Result<(&str, Option<u16>), Refusal> {
    let after_host = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => 0,
    };
    let Some(colon) = authority.rfind(':').filter(|at| *at >= after_host) else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(colon);
    let digits = port.trim_start_matches(':');
    let number = digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse::<u16>().ok());
    match number.flatten() {
        Some(port) if port != 0 => Ok((host, Some(port))),
        _ => Err(Refusal::Malformed("names no valid port")),
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

fn without_fragment(text: &str) -> &str {
    text.split('#').next().unwrap_or("")
}

fn check_characters(text: &str) -> Result<(), Refusal> {
    let plain = |it: u8| it.is_ascii_graphic() && !matches!(it, b'\\' | b'<' | b'>');
    if text.bytes().all(plain) {
        return Ok(());
    }
    Err(Refusal::Malformed("holds characters that a URL must encode"))
}

/// Takes `.` and `..` out of a path (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept = alloc::vec::Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    String::from("/") + &kept.join("/")
}

#[cfg(test)]
mod tests;
