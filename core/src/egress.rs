//! Whom a request may reach whose address somebody else supplied: the configuration of a server, a
//! redirect, an authorisation server's metadata, a client's metadata document.
//!
//! Reached is the public Internet over `https`, and beyond that what the operator lists. A URL is
//! read strictly ([`Target`]), judged once before anything is looked up ([`Rules::judge`]), and
//! once more at each address its host resolves to ([`Rules::judge_address`]); the host then
//! connects to exactly these addresses, so that a second look-up cannot name another. Redirects are
//! judged the same way ([`Trail`]).
//!
//! Through a proxy the satellite looks up nothing, as inside many networks it could not: names are
//! judged by what they are ([`Rules::judge_unresolved`]). A public name that the proxy resolves to
//! a private address is for the proxy to refuse.

mod address;
mod allow;
mod redirect;
mod refusal;
mod target;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

pub use address::Class;
use allow::Listed;
pub use allow::{AllowList, BadEntry};
pub use redirect::{Step, Trail, may_leave_its_origin};
pub use refusal::Refusal;
pub use target::{Host, Target};

/// The rules of one satellite or Backend. The default allows `https` to the public Internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What is reached although a rule forbids it (`SATELLITE_EGRESS_ALLOW`).
    pub allow: AllowList,
    /// Whether what is listed may be reached at `http://` too (`SATELLITE_EGRESS_ALLOW_HTTP`).
    pub allow_http: bool,
    /// The Backend and the satellite's own public address: only an entry with their port allows
    /// them, for whoever names a server may not speak for the satellite.
    pub ourselves: Vec<Target>,
    /// The port this satellite listens at: on this machine it is the satellite itself.
    pub listener: Option<u16>,
}

impl Rules {
    /// Reads a URL and judges it: [`Target::parse`] and [`Rules::judge`].
    pub fn admit(&self, url: &str) -> Result<Target, Refusal> {
        let target = Target::parse(url)?;
        self.judge(&target)?;
        Ok(target)
    }

    /// Judges what a URL says by itself. A host that is an address is judged in full.
    pub fn judge(&self, target: &Target) -> Result<(), Refusal> {
        if let Host::Address(address) = target.host() {
            return self.judge_address(target, *address, false);
        }
        if !target.is_https() && !self.allow_http {
            return Err(Refusal::InTheClear { host: host_of(target) });
        }
        self.judge_whether_ourselves(target, None)
    }

    /// Judges one address that the host of an admitted URL resolves to; `own` says whether an
    /// interface of this machine has it. One address that is refused refuses the host.
    pub fn judge_address(
        &self,
        target: &Target,
        address: IpAddr,
        own: bool,
    ) -> Result<(), Refusal> {
        let host = || host_of(target);
        let class = Class::of(address);
        let listed = self.allow.lists(target, Some(address));
        if class == Class::Metadata && listed < Listed::Address {
            return Err(Refusal::Address { host: host(), class });
        }
        self.judge_whether_ourselves(target, Some(address))?;
        let here = own || matches!(class, Class::Loopback | Class::Unspecified);
        if here
            && self.listener == Some(target.port())
            && !self.allow.names_port(target, Some(address))
        {
            return Err(Refusal::Ourselves { host: host(), port: target.port() });
        }
        if listed > Listed::No {
            return self.judge_scheme(target, true);
        }
        if class != Class::Public {
            return Err(Refusal::Address { host: host(), class });
        }
        if own {
            return Err(Refusal::ThisMachine { host: host() });
        }
        self.judge_scheme(target, false)?;
        judge_port(target)
    }

    /// Judges an admitted URL whose host a proxy is to resolve.
    pub fn judge_unresolved(&self, target: &Target) -> Result<(), Refusal> {
        let Host::Name(name) = target.host() else { return self.judge(target) };
        let listed = self.allow.lists(target, None) > Listed::No;
        self.judge_scheme(target, listed)?;
        if listed {
            return Ok(());
        }
        if is_internal(name) {
            return Err(Refusal::InternalName { host: host_of(target) });
        }
        judge_port(target)
    }

    fn judge_scheme(&self, target: &Target, listed: bool) -> Result<(), Refusal> {
        if target.is_https() || (listed && self.allow_http) {
            return Ok(());
        }
        Err(Refusal::InTheClear { host: host_of(target) })
    }

    fn judge_whether_ourselves(
        &self,
        target: &Target,
        address: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let same = |ours: &Target| {
            ours.port() == target.port()
                && (ours.host() == target.host()
                    || address.is_some_and(|it| *ours.host() == Host::Address(plain(it))))
        };
        if self.ourselves.iter().any(same) && !self.allow.names_port(target, address) {
            return Err(Refusal::Ourselves { host: host_of(target), port: target.port() });
        }
        Ok(())
    }
}

/// Ports below 1024 belong to other protocols, some of which would take a request for commands.
fn judge_port(target: &Target) -> Result<(), Refusal> {
    match target.port() {
        80 | 443 | 1024.. => Ok(()),
        port => Err(Refusal::Port { host: host_of(target), port }),
    }
}

/// Whether a name means something within one network only (RFC 6761, RFC 6762, RFC 8375, and what
/// networks use).
fn is_internal(name: &str) -> bool {
    const ENDINGS: [&str; 11] = [
        "localhost",
        "local",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "localdomain",
        "home.arpa",
        "in-addr.arpa",
    ];
    let ends_with = |ending: &&str| {
        name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !name.contains('.') || ENDINGS.iter().any(ends_with)
}

/// An IPv4 address for its mapped form.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn host_of(target: &Target) -> String {
    target.host().to_string()
}

#[cfg(test)]
mod tests;
