//! A set of networks holds what one of them holds, however they overlap, touch and repeat.

use everyhop_canon::cidr::Cidr;
use everyhop_canon::networks::Networks;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

fn set(texts: &[&str]) -> Networks {
    cidrs(texts).into_iter().collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn of_no_network_it_holds_nothing_and_of_every_one_everything() {
    for at in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.0.0.1"] {
        assert!(!set(&[]).contain(ip(at)), "{at}");
        assert!(set(&["0.0.0.0/0", "::/0"]).contain(ip(at)), "{at}");
    }
}

#[test]
fn an_address_of_one_kind_is_in_no_network_of_the_other_and_a_mapped_one_is_ipv4() {
    let (four, six) = (set(&["0.0.0.0/0"]), set(&["::/0"]));
    for (at, is_four) in [("10.0.0.1", true), ("::ffff:10.0.0.1", true), ("::10.0.0.1", false), ("::1", false)] {
        assert_eq!((four.contain(ip(at)), six.contain(ip(at))), (is_four, !is_four), "{at}");
    }
    assert!(set(&["::ffff:10.0.0.0/104"]).contain(ip("10.255.255.255")));
}

#[test]
fn the_same_addresses_are_the_same_set_however_they_are_cut() {
    let ten = set(&["10.0.0.0/8"]);
    for again in [
        &["10.0.0.0/9", "10.128.0.0/9"][..],
        &["10.128.0.0/9", "10.0.0.0/9", "10.0.0.0/8", "10.1.2.3"],
        &["::ffff:10.0.0.0/104"],
        &["10.9.9.9/8"],
    ] {
        assert_eq!(set(again), ten, "{again:?}");
    }
    // What ends with the last address there is touches nothing behind it.
    assert_eq!(set(&["255.0.0.0/8", "255.255.255.255"]), set(&["255.0.0.0/8"]));
    assert_ne!(set(&["255.255.255.255", "0.0.0.0"]), set(&["255.255.255.255"]));
}

/// Near each other, from the first, the middle and the last of all addresses, so that they meet.
#[test]
fn random_sets_hold_what_one_of_their_networks_holds() {
    let mut seed = 0x5eed_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..4000 {
        let address = |is_four: bool, area: u64, at: u32| match (is_four, area) {
            (true, 0) => IpAddr::V4(Ipv4Addr::from_bits(at)),
            (true, 1) => IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + at)),
            (true, _) => IpAddr::V4(Ipv4Addr::from_bits(u32::MAX - at)),
            (false, 0) => IpAddr::V6(Ipv6Addr::from_bits(u128::from(at))),
            (false, 1) => IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(at))),
            (false, _) => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX - u128::from(at))),
        };
        let nets: Vec<Cidr> = (0..next(7))
            .map(|_| {
                let (is_four, area, at, spare) = (next(2) == 0, next(3), next(64), next(7));
                let at = address(is_four, area, u32::try_from(at).unwrap_or(0));
                let most = if is_four { 32 } else { 128 };
                format!("{at}/{}", if next(50) == 0 { spare } else { most - spare }).parse().expect("a network")
            })
            .collect();
        let set: Networks = nets.iter().copied().collect();
        for _ in 0..40 {
            let (is_four, area, at) = (next(2) == 0, next(3), next(80));
            let at = address(is_four, area, u32::try_from(at).unwrap_or(0));
            assert_eq!(set.contain(at), nets.iter().any(|net| net.contains(at)), "{at} in {nets:?}");
        }
    }
}
