//! Why a request is not sent: each rule by its own name, and how to allow what it forbids.

use alloc::string::String;
use core::fmt;

use super::address::Class;
use crate::limits::EGRESS_REDIRECTS_MAX;

/// A request that the rules of egress forbid. Its text names the rule and the way to allow it, and
/// shows no path, query, user or password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The URL cannot be read in one way only; with what it does.
    Malformed(&'static str),
    /// Neither `https` nor `http`.
    Scheme,
    /// The URL holds a user or a password.
    UserInfo,
    /// `http` towards a host that is not listed for it.
    InTheClear {
        /// Host of the URL.
        host: String,
    },
    /// The host is, or resolves to, an address that is not public.
    Address {
        /// Host of the URL.
        host: String,
        /// What its address is.
        class: Class,
    },
    /// The host is, or resolves to, an address of this machine.
    ThisMachine {
        /// Host of the URL.
        host: String,
    },
    /// The Backend, or this satellite itself.
    Ourselves {
        /// Host of the URL.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A port at which no web server is expected.
    Port {
        /// Host of the URL.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A name of an internal network, which a proxy would resolve unseen.
    InternalName {
        /// Host of the URL.
        host: String,
    },
    /// More redirects than allowed.
    TooManyRedirects,
    /// A redirect from `https` to `http`.
    Downgrade,
    /// A redirect that would turn a request with a body into one without.
    MethodWouldChange {
        /// The status.
        status: u16,
        /// Where it points: scheme, host and port.
        origin: String,
    },
    /// A redirect that would send a body to another origin.
    BodyOffOrigin {
        /// The status.
        status: u16,
        /// Where it points: scheme, host and port.
        origin: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => write!(f, "the URL {what}"),
            Refusal::Scheme => {
                f.write_str("the URL does not start with https://: write it in full")
            }
            Refusal::UserInfo => f.write_str(
                "the URL holds a user or a password: take it out, and configure a header instead",
            ),
            Refusal::InTheClear { host } => write!(
                f,
                "{host} would be reached in the clear: use https://, or list it in \
                 SATELLITE_EGRESS_ALLOW and set SATELLITE_EGRESS_ALLOW_HTTP=true"
            ),
            Refusal::Address { host, class: Class::Metadata } => write!(
                f,
                "{host} is a cloud's metadata address: only the address itself in \
                 SATELLITE_EGRESS_ALLOW allows it"
            ),
            Refusal::Address { host, class } => write!(
                f,
                "{host} has {class} address: list the host or its network in \
                 SATELLITE_EGRESS_ALLOW to allow it"
            ),
            Refusal::ThisMachine { host } => write!(
                f,
                "{host} has an address of this machine: list the host in \
                 SATELLITE_EGRESS_ALLOW to allow it"
            ),
            Refusal::Ourselves { host, port } => write!(
                f,
                "{host}:{port} is the Backend or this satellite: list it with its port in \
                 SATELLITE_EGRESS_ALLOW to allow it"
            ),
            Refusal::Port { host, port } => write!(
                f,
                "port {port} is not one of a web server: list {host}:{port} in \
                 SATELLITE_EGRESS_ALLOW to allow it"
            ),
            Refusal::InternalName { host } => write!(
                f,
                "{host} is a name of an internal network, and the proxy would resolve it unchecked: \
                 list it in SATELLITE_EGRESS_ALLOW, or in NO_PROXY to reach it directly"
            ),
            Refusal::TooManyRedirects => write!(
                f,
                "more than {EGRESS_REDIRECTS_MAX} redirects: configure the address they end at"
            ),
            Refusal::Downgrade => f.write_str(
                "a redirect from https to http is not followed: have the server redirect to https",
            ),
            Refusal::MethodWouldChange { status, origin } => write!(
                f,
                "a redirect with {status} to {origin} would lose the request's body: configure the \
                 address it points to"
            ),
            Refusal::BodyOffOrigin { status, origin } => write!(
                f,
                "a redirect with {status} would send the request to another origin, {origin}: \
                 configure the address it points to"
            ),
        }
    }
}

impl core::error::Error for Refusal {}
