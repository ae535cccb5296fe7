//! The longest, the last and the first of what still has a form, and the one beyond it that has none.

use everyhop_canon::cidr::{Cidr, NoCidr};
use everyhop_canon::forwarded::write_node;
use everyhop_canon::host::{NoHost, host, host_into};
use everyhop_canon::path::{BadPath, NotStrict, Odd, path, path_into};

fn cidr(text: &str) -> Cidr {
    text.parse().expect(text)
}

fn contains(net: &str, ip: &str) -> bool {
    cidr(net).contains(ip.parse().expect(ip))
}

#[test]
fn a_network_holds_its_first_and_last_address_and_neither_neighbour() {
    for (net, inside, outside) in [
        ("10.8.0.0/13", ["10.8.0.0", "10.15.255.255"], ["10.7.255.255", "10.16.0.0"]),
        ("192.0.2.7", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
        ("192.0.2.7/32", ["192.0.2.7", "192.0.2.7"], ["192.0.2.6", "::192.0.2.7"]),
        ("2001:db8:8::/45", ["2001:db8:8::", "2001:db8:f:ffff::1"], ["2001:db8:7:ffff::", "2001:db8:10::"]),
        ("2001:db8::1/128", ["2001:db8::1", "2001:db8::1"], ["2001:db8::", "2001:db8::2"]),
        ("::ffff:192.0.2.0/120", ["192.0.2.0", "192.0.2.255"], ["192.0.1.255", "192.0.3.0"]),
    ] {
        assert!(inside.iter().all(|ip| contains(net, ip)), "{net}");
        assert!(!outside.iter().any(|ip| contains(net, ip)), "{net}");
    }
    assert!(contains("0.0.0.0/0", "255.255.255.255") && contains("::/0", "ffff::"));
    assert!(!contains("0.0.0.0/0", "::1") && !contains("::/0", "127.0.0.1"), "no network is of both kinds");
}

#[test]
fn a_prefix_is_at_most_as_long_as_its_address() {
    for (text, shown) in
        [("10.0.0.1/32", "10.0.0.1/32"), ("::1/128", "::1/128"), ("::ffff:10.0.0.1/128", "10.0.0.1/32")]
    {
        assert_eq!(cidr(text).to_string(), shown);
    }
    for text in
        ["10.0.0.1/33", "::1/129", "::ffff:10.0.0.1/129", "::ffff:0:0/95", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/256"]
    {
        assert_eq!(text.parse::<Cidr>(), Err(NoCidr), "{text}");
    }
}

#[test]
fn a_network_is_shown_without_the_bits_below_its_prefix() {
    for (text, shown) in [
        ("10.255.255.255/9", "10.128.0.0/9"),
        ("255.255.255.255/0", "0.0.0.0/0"),
        ("192.0.2.129/25", "192.0.2.128/25"),
        ("2001:db8:ffff::1/33", "2001:db8:8000::/33"),
        ("ffff::/0", "::/0"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
    ] {
        assert_eq!(cidr(text).to_string(), shown, "{text}");
        assert_eq!(cidr(shown).to_string(), shown, "and stays as it is shown");
    }
}

/// RFC 7239 §6: an IPv6 node is in brackets and quoted, for its colons.
#[test]
fn a_node_is_written_as_its_kind_of_address_is() {
    for (ip, written) in
        [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "\"[2001:db8::1]\"")]
    {
        let mut out = b"for=".to_vec();
        write_node(&mut out, ip.parse().expect(ip));
        assert_eq!(String::from_utf8_lossy(&out), format!("for={written}"));
    }
}

/// RFC 1035 §2.3.4: a label has at most 63 bytes, a name 253.
#[test]
fn a_host_is_as_long_as_a_name_may_be_and_no_longer() {
    let label = "a".repeat(63);
    let whole = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    assert_eq!(whole.len(), 253);
    for fits in [label.clone(), whole.clone(), format!("{label}.test"), format!("{whole}.")] {
        assert_eq!(host(fits.as_bytes()).as_deref(), Ok(fits.trim_end_matches('.')));
    }
    for long in [
        format!("{label}a"),
        format!("{label}a.test"),
        format!("test.{label}a"),
        format!("{whole}b"),
        format!("{whole}b."),
    ] {
        assert_eq!(host(long.as_bytes()), Err(NoHost), "{long}");
    }
}

#[test]
fn a_port_is_one_to_five_digits_and_fits() {
    let port = |text: &str| host_into(text.as_bytes(), &mut String::new());
    for (text, found) in [("a:0", 0), ("a:65535", 65535), ("a:00080", 80), ("[::1]:65535", 65535), ("[::1]:1", 1)] {
        assert_eq!(port(text), Ok(Some(found)), "{text}");
    }
    // RFC 3986 §3.2.3: a colon without a port behind it names none.
    for text in ["a:", "[::1]:"] {
        assert_eq!(port(text), Ok(None), "{text}");
    }
    for text in [":", "a:65536", "a:99999", "a:000080", "a:0000000080", "a:+80", "a:8 0", "[::1]:000080", "[::1]80"] {
        assert_eq!(port(text), Err(NoHost), "{text}");
    }
}

#[test]
fn a_path_is_appended_whatever_stands_before_it() {
    let mut out = "before/".to_owned();
    path_into(b"/a", &mut out).expect("a path");
    assert_eq!(out, "before//a");
    let mut slash = String::from("x/");
    path_into(b"/%41", &mut slash).expect("a slash that stands before it makes no empty segment");
    assert_eq!(slash, "x//A");
    let mut dots = "..".to_owned();
    path_into(b"/.a", &mut dots).expect("what stands before it is judged by somebody else");
    assert_eq!(dots, "../.a");
}

/// RFC 3629 §3: the shortest form of its length is the first that is no overlong one of a shorter length.
#[test]
fn the_first_character_of_each_length_in_utf_8_is_not_overlong_and_the_one_before_it_is() {
    for fits in ["/%C2%80", "/%E0%A0%80", "/%E1%80%80", "/%F0%90%80%80", "/%F4%8F%BF%BF", "/%E0", "/%F0", "/%E0x%80"] {
        assert_eq!(path(fits.as_bytes()).as_deref(), Ok(fits));
    }
    for overlong in ["/%C0%A1", "/%C1%BE", "/%E0%9F%BF", "/%F0%8F%BF%BF", "/%F5%80%80%80", "/%FF", "/a%e0%9fb"] {
        assert_eq!(path(overlong.as_bytes()), Err(NotStrict::Odd(Odd::Overlong)), "{overlong}");
    }
}

#[test]
fn an_encoded_percent_sign_hides_only_what_would_be_refused_or_read_anew() {
    for fits in ["/%2541", "/%2561", "/%2520", "/%257E", "/%25zz", "/%252", "/%25"] {
        assert_eq!(path(fits.as_bytes()).as_deref(), Ok(fits));
    }
    for twice in ["/%252E", "/%252F", "/%255C", "/%2525", "/%253B", "/a%252f..%252f"] {
        assert_eq!(path(twice.as_bytes()), Err(NotStrict::Odd(Odd::DoubleEncoding)), "{twice}");
    }
    for control in ["/%2500", "/%251F", "/%257F"] {
        assert_eq!(path(control.as_bytes()), Err(NotStrict::Bad(BadPath::Control)), "{control}");
    }
}

#[test]
fn every_byte_that_is_no_visible_ascii_is_refused_by_itself_and_so_are_those_that_readers_change() {
    for byte in 0..=255u8 {
        let raw = [b"/x", &[byte][..], b"x"].concat();
        let bad = !matches!(byte, 0x21..=0x7e) || b"\\#?\"<>`".contains(&byte);
        let want = if byte == b'%' { Some(BadPath::Percent) } else { bad.then_some(BadPath::Byte) };
        assert_eq!(path(&raw).err(), want.map(NotStrict::Bad), "{byte:#x}");
    }
}
