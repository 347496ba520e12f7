//! What kind of place an address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anybody's.
    Public,
    /// This machine, or a network that isn't everybody's.
    Private,
    /// Where clouds hand out a machine's own credentials, link-local addresses, and what isn't one host's address at all.
    Never,
}

/// What kind of place an address is. An IPv6 address that stands for an IPv4 address is judged as that.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => match within(address) {
            Some(inner) => of_v4(inner),
            None => of_v6(address),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    // The metadata services of three clouds that aren't at link-local addresses.
    let metadata = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
    let [first, second, third, _] = address.octets();
    if address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || metadata.contains(&address.octets())
    {
        return Reach::Never;
    }
    let shared = first == 100 && (64..128).contains(&second);
    let protocols = (first, second, third) == (192, 0, 0);
    let benchmarks = first == 198 && (18..20).contains(&second);
    if address.is_loopback() || address.is_private() || shared || protocols || benchmarks || first >= 240 {
        return Reach::Private;
    }
    Reach::Public
}

fn of_v6(address: Ipv6Addr) -> Reach {
    // The metadata service of a cloud.
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    if address.is_unicast_link_local() || address.is_multicast() || address.is_unspecified() || address == metadata {
        return Reach::Never;
    }
    // Site-local addresses were what unique local ones are.
    let site_local = address.segments()[0] & 0xffc0 == 0xfec0;
    if address.is_loopback() || address.is_unique_local() || site_local {
        return Reach::Private;
    }
    Reach::Public
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, translated (NAT64), or tunnelled (6to4).
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, fourth, fifth, sixth, seventh, eighth] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (first, second, third, fourth, fifth, sixth) {
        // `::` and `::1` are no IPv4 addresses.
        (0, 0, 0, 0, 0, 0) if seventh == 0 && eighth <= 1 => None,
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(of(seventh, eighth)),
        (0x2002, ..) => Some(of(second, third)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        for (text, expected) in [
            ("93.184.216.34", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("::ffff:93.184.216.34", Reach::Public),
            ("127.0.0.1", Reach::Private),
            ("127.8.9.1", Reach::Private),
            ("::1", Reach::Private),
            ("::ffff:127.0.0.1", Reach::Private),
            ("::127.0.0.1", Reach::Private),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("2002:c0a8:101::1", Reach::Private),
            ("10.1.2.3", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("192.168.0.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("198.18.0.1", Reach::Private),
            ("250.0.0.1", Reach::Private),
            ("fd12::1", Reach::Private),
            ("fec0::1", Reach::Private),
            ("0.0.0.0", Reach::Never),
            ("::", Reach::Never),
            ("169.254.169.254", Reach::Never),
            ("::ffff:169.254.169.254", Reach::Never),
            ("64:ff9b::a9fe:a9fe", Reach::Never),
            ("2002:a9fe:a9fe::1", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("fd00:ec2::254", Reach::Never),
            ("fe80::1", Reach::Never),
            ("224.0.0.1", Reach::Never),
            ("255.255.255.255", Reach::Never),
        ] {
            assert_eq!(reach(text.parse().expect("an address")), expected, "{text}");
        }
    }
}
