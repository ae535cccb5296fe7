//! A PROXY header at each of its bounds (haproxy's proxy-protocol.txt): what is still one, and what is none (X03).

use everyhop_canon::proxy::{self, ProxyRead};
use std::net::SocketAddr;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FOUR: &[u8] = &[1, 2, 3, 4, 10, 0, 0, 1, 0x16, 0x2e, 1, 187];
const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("a length").to_be_bytes();
    [SIGNATURE, &[command, family], &len, body].concat()
}

/// Length and source of a header that is one.
fn header(bytes: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    match proxy::read(bytes) {
        ProxyRead::Header(it) => Some((it.consumed, it.source())),
        ProxyRead::Malformed(_) => None,
        ProxyRead::NeedMore => panic!("{bytes:?} is whole"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

/// Addresses, and TLVs that fill up to `len` bytes.
fn filled(len: usize) -> Vec<u8> {
    let value = len - FOUR.len() - 3;
    let mut body = FOUR.to_vec();
    body.push(0x04);
    body.extend_from_slice(&u16::try_from(value).expect("a length").to_be_bytes());
    body.resize(len, 0);
    body
}

#[test]
fn a_header_is_as_long_as_it_says_up_to_the_most_and_no_longer() {
    for len in [15, 255, 256, 300, 511, 512, 4095, 4096] {
        let bytes = v2(PROXY, 0x11, &filled(len));
        assert_eq!(
            header(&[&bytes[..], b"more"].concat()),
            Some((bytes.len(), Some(address("1.2.3.4:5678")))),
            "{len}"
        );
        assert_eq!(proxy::read(&bytes[..bytes.len() - 1]), ProxyRead::NeedMore, "{len}");
    }
    let long = v2(PROXY, 0x11, &filled(4097));
    assert_eq!(header(&long), None);
    assert!(matches!(proxy::read(&long[..16]), ProxyRead::Malformed(_)), "it is not waited for");
}

#[test]
fn a_header_of_either_version_is_known_by_its_beginning_and_nothing_else_is() {
    assert!(proxy::begins(b"PROXY TCP4 ") && proxy::begins(b"PROXY ") && proxy::begins(SIGNATURE));
    for other in [&b""[..], b"PROXY", b"PROXYx", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", &SIGNATURE[..11]] {
        assert!(!proxy::begins(other), "{}", other.escape_ascii());
    }
}

#[test]
fn who_proxies_says_for_whom_or_that_it_does_not_know() {
    let six = [&[0u8; 15][..], &[1], &[0; 15], &[2], &[0, 80, 1, 187]].concat();
    let paths = [b'/'; 216];
    for (command, family, body, source) in [
        (PROXY, 0x11, FOUR, Some(Some("1.2.3.4:5678"))),
        (PROXY, 0x21, &six[..], Some(Some("[::1]:80"))),
        (PROXY, 0x00, &[], Some(None)),
        (LOCAL, 0x00, &[], Some(None)),
        (LOCAL, 0x11, FOUR, Some(None)),
        // §2.2: of a LOCAL header nothing is looked at, so nothing of it can be wrong.
        (LOCAL, 0x11, &FOUR[..5], Some(None)),
        (LOCAL, 0x21, FOUR, Some(None)),
        (LOCAL, 0x00, b"\x04\xff\xff", Some(None)),
        // What is proxied has addresses, whole.
        (PROXY, 0x11, &[], None),
        (PROXY, 0x11, &FOUR[..11], None),
        (PROXY, 0x21, &six[..35], None),
        (PROXY, 0x21, FOUR, None),
        (PROXY, 0x00, b"\x04\xff\xff", None),
        (PROXY, 0x00, b"\x04\x00", None),
        // No command, version or family but those.
        (0x22, 0x11, FOUR, None),
        (0x2f, 0x11, FOUR, None),
        (0x11, 0x11, FOUR, None),
        (0x31, 0x11, FOUR, None),
        (PROXY, 0x01, FOUR, None),
        (PROXY, 0x13, FOUR, None),
        (PROXY, 0x41, FOUR, None),
        (LOCAL, 0x41, FOUR, None),
        // §2.2: datagrams and Unix sockets speak of nobody whom we could name, and have their addresses, whole.
        (PROXY, 0x12, FOUR, Some(None)),
        (PROXY, 0x12, &FOUR[..11], None),
        (PROXY, 0x22, &six[..], Some(None)),
        (PROXY, 0x22, FOUR, None),
        (PROXY, 0x31, &paths[..], Some(None)),
        (PROXY, 0x32, &paths[..], Some(None)),
        (PROXY, 0x31, &paths[..215], None),
        (PROXY, 0x31, &[&paths[..], b"\x01\x00\x03h2"].concat(), None),
        (LOCAL, 0x31, FOUR, Some(None)),
    ] {
        let bytes = v2(command, family, body);
        let want = source.map(|it| (bytes.len(), it.map(address)));
        assert_eq!(header(&bytes), want, "{command:#x} {family:#x} {body:?}");
    }
}

#[test]
fn values_behind_the_addresses_fit_to_the_last_byte() {
    for (tlvs, fit) in [
        (&b""[..], true),
        (b"\x01\x00\x00", true),
        (b"\x01\x00\x02h2", true),
        (b"\x01\x00\x02h2\x05\x00\x01x", true),
        (b"\x01", false),
        (b"\x01\x00", false),
        (b"\x01\x00\x03h2", false),
        (b"\x01\x00\x01h2", false),
        (b"\x01\x01\x02h2", false),
    ] {
        assert_eq!(header(&v2(PROXY, 0x11, &[FOUR, tlvs].concat())).is_some(), fit, "{tlvs:?}");
    }
}

/// §2.1: the longest line has 107 bytes.
#[test]
fn a_line_ends_within_107_bytes() {
    let line = |len: usize| [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; len - 16], b"\r\n".to_vec()].concat();
    assert_eq!(header(&line(107)), Some((107, None)));
    assert_eq!(proxy::read(&line(107)[..106]), ProxyRead::NeedMore);
    assert!(matches!(proxy::read(&line(108)[..107]), ProxyRead::Malformed(_)), "no line that begins so can be one");
    assert_eq!(header(&line(108)), None);
}

#[test]
fn ports_and_addresses_of_a_line_are_of_its_family_and_plain() {
    for (line, source) in [
        ("TCP4 1.2.3.4 5.6.7.8 0 65535", Some("1.2.3.4:0")),
        ("TCP6 ::1 ::2 65535 0", Some("[::1]:65535")),
        ("TCP4 1.2.3.4 5.6.7.8 65536 1", None),
        ("TCP4 1.2.3.4 5.6.7.8 1 65536", None),
        ("TCP4 1.2.3.4 5.6.7.8 1 01", None),
        ("TCP4 1.2.3.4 5.6.7.8 00 1", None),
        ("TCP4 1.2.3.4 5.6.7.8 +1 1", None),
        ("TCP4 1.2.3.4 5.6.7.8 1", None),
        ("TCP4 1.2.3.4 5.6.7.8 1 2 3", None),
        ("TCP4 1.2.3.4  5.6.7.8 1 2", None),
        ("TCP4 ::1 5.6.7.8 1 2", None),
        ("TCP4 1.2.3.4 ::1 1 2", None),
        ("TCP6 1.2.3.4 ::1 1 2", None),
        ("TCP5 1.2.3.4 5.6.7.8 1 2", None),
        ("tcp4 1.2.3.4 5.6.7.8 1 2", None),
    ] {
        let bytes = format!("PROXY {line}\r\n");
        assert_eq!(header(bytes.as_bytes()), source.map(|s| (bytes.len(), Some(address(s)))), "{line}");
    }
}

#[test]
fn what_is_written_is_read_and_a_value_that_is_too_long_is_left_out() {
    for len in [1024, 1025] {
        let mut out = b"before".to_vec();
        let value = vec![b'v'; len];
        let (from, to) = (address("1.2.3.4:5"), address("[2001:db8::1]:6"));
        proxy::write_v2(&mut out, from, to, &[(proxy::AUTHORITY, &value), (proxy::ALPN, b"h2")]);
        let own = &out[6..];
        let kept = if len == 1024 { 3 + 1024 } else { 0 };
        assert_eq!(own.len(), 16 + 36 + kept + 5);
        assert_eq!(header(own), Some((own.len(), Some(address("[::ffff:1.2.3.4]:5")))));
    }
}

#[test]
fn what_tls_came_to_at_the_sender_is_told_as_the_specification_has_it() {
    // §2.2.5: bits for TLS, a certificate in this connection, one in this session; 0 for verified; then version and cipher.
    let rest = b"\x21\x00\x031.3\x23\x00\x02ab";
    for (shown, client, unverified) in [(None, 1, 1), (Some(true), 7, 0), (Some(false), 5, 0)] {
        let expected = [&[client, 0, 0, 0, unverified][..], rest].concat();
        assert_eq!(proxy::ssl("1.3", "ab", shown), expected);
    }
}
