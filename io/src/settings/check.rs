//! Texts into values, each with an error that says where it came from and what is allowed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::sources::{Sources, Value};
use crate::exit::{Exit, usage};

pub(super) fn satellite_name(sources: &Sources) -> Result<String, Exit> {
    const ALLOWED: &str = "choose 10 to 32 of the characters a-z, 0-9, _ and -";
    let Some(Value { text, origin }) = sources.find("DEPLOYSTACK_SATELLITE_NAME") else {
        return Err(usage(
            "the satellite has no name",
            "set DEPLOYSTACK_SATELLITE_NAME to 10 to 32 of the characters a-z, 0-9, _ and -",
        ));
    };
    let length = text.chars().count();
    if !(10..=32).contains(&length) {
        return Err(usage(
            format!("the satellite name {text:?} ({origin}) has {length} characters"),
            ALLOWED,
        ));
    }
    let allowed = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "_-".contains(it);
    if let Some(wrong) = text.chars().find(|it| !allowed(*it)) {
        return Err(usage(
            format!("the satellite name {text:?} ({origin}) holds {wrong:?}"),
            ALLOWED,
        ));
    }
    Ok(text)
}

pub(super) fn number<N: TryFrom<u64>>(
    sources: &Sources,
    name: &str,
    low: u64,
    high: u64,
) -> Result<N, Exit> {
    let Value { text, origin } = sources.value(name);
    let parsed = text.trim().parse::<u64>().ok().filter(|it| (low..=high).contains(it));
    parsed.and_then(|it| N::try_from(it).ok()).ok_or_else(|| {
        usage(format!("{origin} is {text:?}"), format!("use a whole number from {low} to {high}"))
    })
}

pub(super) fn boolean(sources: &Sources, name: &str) -> Result<bool, Exit> {
    let Value { text, origin } = sources.value(name);
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(usage(format!("{origin} is {text:?}"), "use true or false")),
    }
}

/// The parts between commas, without empty ones.
pub(super) fn list(sources: &Sources, name: &str) -> BTreeSet<String> {
    let text = sources.text(name);
    text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(String::from).collect()
}

pub(super) fn base_url(sources: &Sources, name: &str) -> Result<String, Exit> {
    let Value { text, origin } = sources.value(name);
    normal(&text, &origin).map(|(url, _)| url)
}

pub(super) fn backend_url_of(
    sources: &Sources,
    name: &str,
    allow_insecure: bool,
) -> Result<String, Exit> {
    let Value { text, origin } = sources.value(name);
    backend_url(&text, &origin, allow_insecure)
}

/// The address of a Backend without a trailing slash. `http://` is refused beyond loopback, for
/// every request carries a key.
pub fn backend_url(text: &str, origin: &str, allow_insecure: bool) -> Result<String, Exit> {
    let (url, host) = normal(text, origin)?;
    if url.starts_with("http://") && !is_loopback(&host) && !allow_insecure {
        return Err(usage(
            format!("{origin} is {url}: keys would travel in the clear"),
            "use https://, or set SATELLITE_ALLOW_INSECURE_BACKEND=true",
        ));
    }
    Ok(url)
}

/// Whether a URL's host is this machine itself.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A URL without a trailing slash, and its host.
fn normal(text: &str, origin: &str) -> Result<(String, String), Exit> {
    let wrong = |what: &str| {
        // The text may hold a password, so it is not repeated.
        usage(format!("{origin} {what}"), "write it in full, for example https://cloud.example.com")
    };
    let url = text.trim().trim_end_matches('/');
    if url.contains(['#', '@']) {
        return Err(wrong("holds a user, a password or a fragment"));
    }
    let parsed: http::Uri = url.parse().map_err(|_| wrong("is no URL"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(wrong("does not start with https:// or http://"));
    }
    if parsed.query().is_some() {
        return Err(wrong("holds a query"));
    }
    match parsed.host() {
        Some(host) if !host.is_empty() => Ok((String::from(url), String::from(host))),
        _ => Err(wrong("names no host")),
    }
}
