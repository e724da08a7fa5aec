//! What an operator lists to be reached although a rule forbids it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use super::address::carried;
use super::target::{Host, Target, split_port};

/// A list of hosts, addresses and networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// A name or an address, at one port or at every port.
    Host { host: Host, port: Option<u16> },
    /// Every address whose first `length` bits are those of `base`.
    Network { base: IpAddr, length: u8 },
}

/// How closely something is listed: what is more dangerous wants to be named more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listed {
    /// Not at all.
    No,
    /// By a network.
    Network,
    /// By its name.
    Name,
    /// By its address.
    Address,
}

/// An entry that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEntry {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for BadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.entry, self.problem)
    }
}

impl AllowList {
    /// Reads entries: `host`, `host:port`, an address (IPv6 in brackets if a port follows), or a
    /// network such as `10.0.0.0/8` (RFC 4632).
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadEntry> {
        let read = |entry: &str| {
            Entry::parse(entry).map_err(|problem| BadEntry { entry: String::from(entry), problem })
        };
        entries.into_iter().map(read).collect::<Result<Vec<_>, _>>().map(AllowList)
    }

    /// Adds host and port of a URL.
    pub fn add(&mut self, target: &Target) {
        let entry = Entry::Host { host: target.host().clone(), port: Some(target.port()) };
        if !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    /// How closely `target` is listed, reached at `address` if that is known.
    pub(super) fn lists(&self, target: &Target, address: Option<IpAddr>) -> Listed {
        let found = self.0.iter().map(|entry| entry.lists(target, address));
        found.max().unwrap_or(Listed::No)
    }

    /// Whether an entry names the host, or the address it is reached at, and its port.
    pub(super) fn names_port(&self, target: &Target, address: Option<IpAddr>) -> bool {
        self.0.iter().any(|entry| {
            matches!(entry, Entry::Host { port: Some(_), .. })
                && entry.lists(target, address) > Listed::No
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some((base, length)) = text.split_once('/') {
            let base: IpAddr =
                base.parse().map_err(|_| "is no network: write one such as 10.0.0.0/8")?;
            let bits = if base.is_ipv4() { 32 } else { 128 };
            let length = length
                .parse::<u8>()
                .ok()
                .filter(|it| *it <= bits)
                .ok_or("has no valid prefix length")?;
            if cut(base, length) != bits_of(base) {
                return Err("is an address in a network: write the network's first address");
            }
            return Ok(Entry::Network { base, length });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Entry::Host { host: Host::Address(address), port: None });
        }
        let host_or_network = "is neither a host, nor host:port, nor a network such as 10.0.0.0/8: leave out https://";
        let (host, port) = split_port(text).map_err(|_| host_or_network)?;
        let host = Host::parse(host).map_err(|_| host_or_network)?;
        Ok(Entry::Host { host, port })
    }

    fn lists(&self, target: &Target, address: Option<IpAddr>) -> Listed {
        match self {
            Entry::Host { port: Some(port), .. } if *port != target.port() => Listed::No,
            Entry::Host { host: Host::Name(name), .. } => match target.host() {
                Host::Name(other) if other == name => Listed::Name,
                _ => Listed::No,
            },
            Entry::Host { host: Host::Address(listed), .. } => match address {
                Some(address) if is_or_carries(address, |it| it == *listed) => Listed::Address,
                _ => Listed::No,
            },
            Entry::Network { base, length } => {
                let within = |it: IpAddr| {
                    it.is_ipv4() == base.is_ipv4() && cut(it, *length) == bits_of(*base)
                };
                match address {
                    Some(address) if is_or_carries(address, within) => Listed::Network,
                    _ => Listed::No,
                }
            }
        }
    }
}

/// Whether `holds` for the address, or for every IPv4 address that it carries.
fn is_or_carries(address: IpAddr, holds: impl Fn(IpAddr) -> bool) -> bool {
    if holds(address) {
        return true;
    }
    let IpAddr::V6(address) = address else { return false };
    let mut inner = carried(address).map(|it: Ipv4Addr| IpAddr::V4(it)).peekable();
    inner.peek().is_some() && inner.all(holds)
}

/// The address's bits, at the high end.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first `length` bits.
fn cut(address: IpAddr, length: u8) -> u128 {
    let below = 128_u32.saturating_sub(u32::from(length));
    let mask = u128::MAX.checked_shl(below).unwrap_or(0);
    bits_of(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(entries: &[&str], url: &str, address: &str) -> Listed {
        let list = AllowList::parse(entries.iter().copied()).unwrap();
        list.lists(&Target::parse(url).unwrap(), Some(address.parse().unwrap()))
    }

    #[test]
    fn names_addresses_and_networks_list_what_they_say() {
        let at = "10.1.2.3";
        for (entries, url, address, expected) in [
            (&["wiki.corp"][..], "https://wiki.corp/", at, Listed::Name),
            (&["WIKI.corp."], "https://wiki.corp:8443/", at, Listed::Name),
            (&["wiki.corp:8443"], "https://wiki.corp:8443/", at, Listed::Name),
            (&["wiki.corp:8443"], "https://wiki.corp/", at, Listed::No),
            (&["wiki.corp"], "https://a.wiki.corp/", at, Listed::No),
            (&["corp"], "https://wiki.corp/", at, Listed::No),
            (&["10.1.2.3"], "https://wiki.corp/", at, Listed::Address),
            (&["10.1.2.3:443"], "https://wiki.corp/", at, Listed::Address),
            (&["10.1.2.3:80"], "https://wiki.corp/", at, Listed::No),
            (&["10.0.0.0/8"], "https://wiki.corp/", at, Listed::Network),
            (&["10.0.0.0/8"], "https://wiki.corp/", "11.0.0.0", Listed::No),
            (&["0.0.0.0/0"], "https://wiki.corp/", at, Listed::Network),
            (&["0.0.0.0/0"], "https://wiki.corp/", "fd00::1", Listed::No),
            (&["::/0"], "https://wiki.corp/", "fd00::1", Listed::Network),
            (&["::/0"], "https://wiki.corp/", at, Listed::No),
            (&["10.1.2.2/31"], "https://wiki.corp/", at, Listed::Network),
            (&["10.1.2.2/32"], "https://wiki.corp/", at, Listed::No),
            (&["fd00::/8"], "https://wiki.corp/", "fd12::1", Listed::Network),
            (&["fd00::1"], "https://wiki.corp/", "fd00::1", Listed::Address),
            (&["[fd00::1]:443"], "https://[fd00::1]/", "fd00::1", Listed::Address),
            (&["10.0.0.0/8"], "https://wiki.corp/", "::ffff:10.0.0.1", Listed::Network),
            (&["10.0.0.1"], "https://wiki.corp/", "64:ff9b::10.0.0.1", Listed::Address),
            // Teredo: the client is 192.168.0.1, its server is not listed.
            (&["192.168.0.0/16"], "https://wiki.corp/", "2001:0:a00:1::3f57:fffe", Listed::No),
            (&["10.0.0.0/8", "wiki.corp", "10.1.2.3"], "https://wiki.corp/", at, Listed::Address),
            (&[], "https://wiki.corp/", at, Listed::No),
        ] {
            assert_eq!(listed(entries, url, address), expected, "{entries:?} {url} {address}");
        }
    }

    #[test]
    fn what_is_no_entry_is_refused_with_its_text() {
        for entry in [
            "",
            "https://wiki.corp",
            "wiki.corp/24",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::/129",
            "127.1",
            "0x7f000001",
            "wiki.corp:0",
            "wiki.corp:https",
            "[::1",
            "*.corp",
        ] {
            let bad = AllowList::parse(["ok.example", entry]).unwrap_err();
            assert_eq!(bad.entry, entry);
        }
    }
}
