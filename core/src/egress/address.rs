//! What an address is, going by the special-purpose registries of IANA (RFC 6890) and by what
//! clouds keep their machines' credentials at.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The public Internet.
    Public,
    /// This machine, by a loopback address.
    Loopback,
    /// A private network (RFC 1918, RFC 4193, site-local).
    Private,
    /// Between a carrier and its customers (RFC 6598).
    Shared,
    /// This link only.
    LinkLocal,
    /// Where a cloud hands a machine its credentials.
    Metadata,
    /// No address, or "this network".
    Unspecified,
    /// Many machines at once.
    Multicast,
    /// Every machine of the link.
    Broadcast,
    /// For examples only.
    Documentation,
    /// For measurements only (RFC 2544).
    Benchmarking,
    /// Set aside for protocols, or not assigned.
    Reserved,
}

/// Where clouds keep credentials, beside what is link-local anyway.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // most clouds
    Ipv4Addr::new(169, 254, 170, 2),   // Amazon, containers
    Ipv4Addr::new(169, 254, 170, 23),  // Amazon, pods
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // Amazon
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // Amazon, pods
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

impl Class {
    /// What `address` is. A form of IPv6 that carries an IPv4 address is judged by that one.
    pub fn of(address: IpAddr) -> Class {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&address) {
        return Class::Metadata;
    }
    match address.octets() {
        [0, ..] => Class::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] => Class::Shared,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Class::Documentation,
        // The protocols' own block, and the relays of 6to4.
        [192, 0, 0, _] | [192, 88, 99, _] => Class::Reserved,
        [198, 18..=19, ..] => Class::Benchmarking,
        [224..=239, ..] => Class::Multicast,
        [255, 255, 255, 255] => Class::Broadcast,
        [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&address) {
        return Class::Metadata;
    }
    let plain = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        [0xff00..=0xffff, ..] => Class::Multicast,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Class::Private,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        // Translation to IPv4 at a place of a network's own choice (RFC 8215).
        [0x64, 0xff9b, 1, ..] => Class::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Class::Documentation,
        [0x2001, 2, 0, ..] => Class::Benchmarking,
        // Teredo is judged by what it carries; the rest of the protocols' block is not assigned.
        [0x2001, 1..=0x1ff, ..] => Class::Reserved,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ if carried(address).next().is_some() => Class::Public,
        _ => Class::Reserved,
    };
    // What it carries can only make it worse.
    match plain {
        Class::Public => {
            carried(address).map(of_v4).find(|it| *it != Class::Public).unwrap_or(plain)
        }
        worse => worse,
    }
}

/// The IPv4 addresses that `address` carries and that a gateway or a kernel might reach for it.
pub(super) fn carried(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let found = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // Mapped (RFC 4291), translated (RFC 2765), compatible (deprecated).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // NAT64 (RFC 6052).
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [Some(v4(high, low)), None],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [Some(v4(high, low)), None],
        // Teredo (RFC 4380): its server, and the client with every bit turned.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            [Some(v4(high, low)), Some(v4(!client_high, !client_low))]
        }
        // ISATAP (RFC 5214) below any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => [Some(v4(high, low)), None],
        _ => [None, None],
    };
    found.into_iter().flatten()
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "a public",
            Class::Loopback => "a loopback",
            Class::Private => "a private",
            Class::Shared => "a carrier's shared",
            Class::LinkLocal => "a link-local",
            Class::Metadata => "a cloud's metadata",
            Class::Unspecified => "an unspecified",
            Class::Multicast => "a multicast",
            Class::Broadcast => "a broadcast",
            Class::Documentation => "a documentation",
            Class::Benchmarking => "a benchmarking",
            Class::Reserved => "a reserved",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(address: &str) -> Class {
        Class::of(address.parse().unwrap())
    }

    #[test]
    fn each_range_has_its_class_up_to_its_edges() {
        for (class_of_it, addresses) in [
            (Class::Loopback, &["127.0.0.1", "127.255.255.255", "::1"][..]),
            (Class::Private, &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255"]),
            (Class::Private, &["192.168.0.1", "fc00::", "fdff::1", "fec0::1", "64:ff9b:1::1"]),
            (Class::Shared, &["100.64.0.0", "100.127.255.255"]),
            (Class::LinkLocal, &["169.254.0.1", "fe80::1", "febf::1"]),
            (Class::Metadata, &["169.254.169.254", "fd00:ec2::254", "100.100.100.200"]),
            (Class::Metadata, &["169.254.170.2", "168.63.129.16", "fd20:ce::254", "192.0.0.192"]),
            (Class::Unspecified, &["0.0.0.0", "0.255.255.255", "::"]),
            (Class::Multicast, &["224.0.0.1", "239.255.255.255", "ff02::1", "ff00::"]),
            (Class::Broadcast, &["255.255.255.255"]),
            (Class::Documentation, &["192.0.2.9", "198.51.100.9", "203.0.113.9", "2001:db8::9"]),
            (Class::Documentation, &["3fff::1", "3fff:fff::1"]),
            (Class::Benchmarking, &["198.18.0.0", "198.19.255.255", "2001:2::1"]),
            (Class::Reserved, &["240.0.0.1", "192.0.0.1", "192.88.99.1", "255.255.255.254"]),
            (Class::Reserved, &["2001:1::1", "2001:1ff::1", "100::1", "4000::1", "5f00::1"]),
            (Class::Public, &["9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.0"]),
            (Class::Public, &["100.63.255.255", "100.128.0.0", "128.0.0.0", "126.255.255.255"]),
            (Class::Public, &["198.17.255.255", "198.20.0.0", "223.255.255.255", "8.8.8.8"]),
            (Class::Public, &["2606:4700::1111", "2001:200::1", "2001:db7::1", "3fff:1000::1"]),
        ] {
            for address in addresses {
                assert_eq!(class(address), class_of_it, "{address}");
            }
        }
    }

    #[test]
    fn a_carried_ipv4_address_decides() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:169.254.169.254", Class::Metadata),
            ("::ffff:8.8.8.8", Class::Public),
            ("::ffff:0:10.0.0.1", Class::Private),
            ("::127.0.0.1", Class::Loopback),
            ("64:ff9b::10.0.0.1", Class::Private),
            ("64:ff9b::8.8.8.8", Class::Public),
            ("2002:7f00:1::", Class::Loopback),
            ("2002:a00:1::1", Class::Private),
            ("2002:808:808::1", Class::Public),
            // Its server is public, its client 192.168.0.1 with every bit turned.
            ("2001:0:808:808::3f57:fffe", Class::Private),
            ("2001:0:a00:1::f7f7:f7f7", Class::Private),
            ("2001:0:808:808::f7f7:f7f7", Class::Public),
            ("2606:4700::5efe:127.0.0.1", Class::Loopback),
            ("2606:4700::200:5efe:10.0.0.1", Class::Private),
            ("fe80::5efe:8.8.8.8", Class::LinkLocal),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn no_form_of_ipv6_makes_an_ipv4_address_better(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            let expected = Class::of(IpAddr::V4(v4));
            for form in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
            ] {
                prop_assert_eq!(Class::of(IpAddr::V6(form)), expected, "{}", form);
            }
        }

        #[test]
        fn only_global_unicast_and_translations_are_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            if Class::of(IpAddr::V6(address)) == Class::Public {
                prop_assert!(bits >> 125 == 1 || carried(address).next().is_some());
            }
        }
    }
}
