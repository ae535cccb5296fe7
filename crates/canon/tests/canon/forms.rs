//! What has a canonical form gets one; what has none is refused; every incremental reader is split at every byte.

use everyhop_canon::cidr::Cidr;
use everyhop_canon::forwarded::{addresses, client_in};
use everyhop_canon::host;
use everyhop_canon::path::{BadPath, NotStrict, Odd, form_into, has_prefix, path, reads_one_way, target};
use everyhop_canon::proxy::{self, ProxyRead};
use std::net::{IpAddr, SocketAddr};

#[test]
fn a_path_has_one_form() {
    for (raw, form) in [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("/%61%7e%2D", "/a~-"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%20b%3f", "/a%20b%3F"),
        ("/x;a=b", "/x;a=b"),
        ("/a.b/..c/...", "/a.b/..c/..."),
        ("/100%25", "/100%25"),
        ("/|[]^{}", "/|[]^{}"),
    ] {
        assert_eq!(path(raw.as_bytes()).as_deref(), Ok(form), "{raw}");
        assert_eq!(path(form.as_bytes()).as_deref(), Ok(form), "twice is the same: {raw}");
    }
}

/// The canonical form of a path that goes on as it came.
fn form(raw: &str) -> Result<(String, Option<Odd>), BadPath> {
    let mut out = String::new();
    form_into(raw, &mut out).map(|odd| (out, odd))
}

/// R01.
#[test]
fn a_path_that_readers_could_understand_differently_is_known_as_such() {
    for (raw, why) in [
        ("/pub/..;/adm", Odd::DotSegment),
        ("/pub/../adm", Odd::DotSegment),
        ("/pub/%2e%2e/adm", Odd::DotSegment),
        ("/pub/.%2E/adm", Odd::DotSegment),
        ("/.", Odd::DotSegment),
        ("/.;x/", Odd::DotSegment),
        ("/%252e", Odd::DoubleEncoding),
        ("/%252F", Odd::DoubleEncoding),
        // The second encoding in disguise: its digits are themselves encoded.
        ("/%25%32%66", Odd::DoubleEncoding),
        ("/%25%32e", Odd::DoubleEncoding),
        ("/pub/..%3b/adm", Odd::DotSegment),
        ("/pub/%2e.%3fx", Odd::DotSegment),
        ("/pub/.%23", Odd::DotSegment),
        ("/pub/..%253f", Odd::DotSegment),
        ("//adm", Odd::EmptySegment),
        ("/a//b", Odd::EmptySegment),
        ("/a%5cb", Odd::EncodedSeparator),
        ("/a%2Fb", Odd::EncodedSeparator),
        ("/%c0%af", Odd::Overlong),
        ("/%C1%B6", Odd::Overlong),
        ("/%e0%80%af", Odd::Overlong),
        ("/%f0%80%80%af", Odd::Overlong),
        ("/M%FCnchen", Odd::Overlong),
    ] {
        assert_eq!(form(raw).map(|(_, odd)| odd), Ok(Some(why)), "{raw}");
        assert_eq!(path(raw.as_bytes()), Err(NotStrict::Odd(why)), "{raw}");
    }
}

/// R01: what no route takes, whatever its host has.
#[test]
fn a_target_that_is_none_is_refused_whoever_reads_it() {
    for (raw, why) in [
        ("/a\\b", BadPath::Byte),
        ("/a%00", BadPath::Control),
        ("/a%0d%0a", BadPath::Control),
        ("/a%7f", BadPath::Control),
        ("/%", BadPath::Percent),
        ("/%4", BadPath::Percent),
        ("/%zz", BadPath::Percent),
        ("/%u002e", BadPath::Percent),
        ("/a#b", BadPath::Byte),
        ("/a b", BadPath::Byte),
        ("a", BadPath::Form),
        ("", BadPath::Form),
        ("/..", BadPath::LeavesRoot),
        ("/../a", BadPath::LeavesRoot),
        ("/a/../../b", BadPath::LeavesRoot),
        ("/%2e%2e/a", BadPath::LeavesRoot),
        ("/%252e%252e/a", BadPath::LeavesRoot),
        ("/..;x=y/a", BadPath::LeavesRoot),
        ("/a/..%2f..%2fb", BadPath::LeavesRoot),
        ("/..%5ca", BadPath::LeavesRoot),
        // With its slash decoded it stays; as it was sent it does not.
        ("/a%2Fb/../../c", BadPath::LeavesRoot),
        // With its slashes merged it leaves; as it was sent it does not.
        ("/a//../../b", BadPath::LeavesRoot),
        ("/%c0%ae%c0%ae/a", BadPath::LeavesRoot),
        ("/%e0%80%ae%f0%80%80%ae/a", BadPath::LeavesRoot),
        ("/a%250d%250a", BadPath::Control),
        ("/a%2500", BadPath::Control),
        ("/a%25%30%30", BadPath::Control),
    ] {
        assert_eq!(form(raw), Err(why), "{raw}");
    }
    assert_eq!(target(b"/\xe9?q").map(|t| t.path), Err(BadPath::Byte), "no UTF-8");
    assert_eq!(target(b"/?\xe9").map(|t| t.path), Err(BadPath::Byte), "no UTF-8");
}

#[test]
fn characters_beyond_ascii_are_judged_as_their_encoding() {
    assert_eq!(form("/\u{fc}/x"), Ok(("/%C3%BC/x".to_owned(), None)));
    assert_eq!(form("/%c3%bc/x"), Ok(("/%C3%BC/x".to_owned(), None)));
    let it = target("/\u{fc}?q=\u{fc}".as_bytes()).expect("a target");
    assert_eq!((it.path, it.query), ("/\u{fc}", Some("q=\u{fc}")));
}

#[test]
fn a_path_that_everybody_reads_alike_is_plain() {
    for plain in ["/", "/adm", "/a/b.c/d-e_f~g", "/a.b/.c/", "/a=b,c:d@e!f$g&h'i(j)k*l+m"] {
        assert!(reads_one_way(plain), "{plain}");
    }
    for odd in ["/A", "/a%20b", "/a;b", "/a./b", "/a.", "/a//b", "//", "/a/../b", "/a/."] {
        assert!(!reads_one_way(odd), "{odd}");
    }
}

#[test]
fn a_target_splits_into_authority_path_and_query() {
    let it = target(b"/a?b=/../%2f?c").expect("origin-form");
    assert_eq!((it.authority, it.path, it.query), (None, "/a", Some("b=/../%2f?c")));
    let it = target(b"HTTP://h.x:8080?q").expect("absolute-form");
    assert_eq!((it.authority, it.path, it.query), (Some(&b"h.x:8080"[..]), "/", Some("q")));
    for bad in [&b"h.x:443"[..], b"", b"*x", b"http://", b"https://u@h/", b"ftp://h/", b"/a?b#c", b"/a?b c", b"/a?\xff"]
    {
        assert!(target(bad).is_err(), "{bad:?}");
    }
}

/// R02.
#[test]
fn a_prefix_ends_at_a_segment() {
    for (p, prefix, fits) in [
        ("/v2", "/v2", true),
        ("/v2/x", "/v2", true),
        ("/v2x", "/v2", false),
        ("/v2/x", "/v2/", true),
        ("/a", "/", true),
    ] {
        assert_eq!(has_prefix(p, prefix), fits, "{p} {prefix}");
    }
}

/// T04.
#[test]
fn a_host_has_one_form_and_a_port_apart() {
    let mut out = String::new();
    for (raw, form, port) in [
        ("Shop.Example.COM", "shop.example.com", None),
        ("shop.example.com.:8443", "shop.example.com", Some(8443)),
        ("a_b-c.d", "a_b-c.d", None),
        ("127.0.0.1:1", "127.0.0.1", Some(1)),
        ("shop.example.com:", "shop.example.com", None),
        ("[::FFFF:1.2.3.4]:443", "1.2.3.4", Some(443)),
        ("[2001:DB8::0:1]", "[2001:db8::1]", None),
    ] {
        assert_eq!(host::host_into(raw.as_bytes(), &mut out), Ok(port), "{raw}");
        assert_eq!(out, form);
    }
    let long = "a.".repeat(127) + "a";
    for bad in [
        "", ".", "a..b", "-a.b", "a-.b", "a b", "u@h", "a/b", "a%41", ":", "h:99999", "h:+1", "h:1:2", "1.2.3", "a.1",
        "[::1", "[x]", "[::1]x", "\u{e9}", "a\0", &long,
    ] {
        assert!(host::host(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_network_contains_its_addresses_however_they_are_written() {
    let net: Cidr = "10.0.0.0/8".parse().expect("a network");
    for (ip, inside) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::1", false)] {
        assert_eq!(net.contains(ip.parse().expect("an address")), inside, "{ip}");
    }
    let mapped: Cidr = "::ffff:10.0.0.0/104".parse().expect("a network");
    assert_eq!(mapped, net, "a mapped network is the IPv4 network");
    let all: Cidr = "::/0".parse().expect("a network");
    assert!(all.contains("2001:db8::1".parse().expect("an address")));
    for bad in ["10.0.0.0/33", "x", "10.0.0.0/-1", "10.0.0.0/+1", "10.0.0.0/", "::/129", "::ffff:0.0.0.0/90"] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}

/// X01.
#[test]
fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    let trusted: Vec<Cidr> = vec!["10.0.0.0/8".parse().expect("a network")];
    let mut chain = Vec::new();
    assert!(addresses(b"6.6.6.6, 1.2.3.4:55 ,[2001:db8::1]:9", &mut chain));
    assert!(addresses(b"::ffff:10.0.0.7", &mut chain));
    assert_eq!(
        client_in(&chain, &trusted).map(|i| chain[i]),
        Some("2001:db8::1".parse::<IpAddr>().expect("an address"))
    );
    for bad in [&b"unknown"[..], b"1.2.3.4,", b"", b"for=1.2.3.4", b"1.2.3.4 5", b"\xff"] {
        assert!(!addresses(bad, &mut Vec::new()), "{bad:?}");
    }
}

fn headers() -> Vec<(Vec<u8>, Option<SocketAddr>)> {
    let src: SocketAddr = "1.2.3.4:5678".parse().expect("an address");
    let six: SocketAddr = "[2001:db8::1]:5678".parse().expect("an address");
    let mut v2 = Vec::new();
    proxy::write_v2(
        &mut v2,
        src,
        "10.0.0.1:443".parse().expect("an address"),
        &[(proxy::ALPN, b"h2"), (proxy::UNIQUE_ID, b"12345678")],
    );
    let mut v6 = Vec::new();
    proxy::write_v2(&mut v6, six, "10.0.0.1:443".parse().expect("an address"), &[(proxy::AUTHORITY, b"a.b")]);
    let mut local = v2.clone();
    local[12] = 0x20;
    vec![
        (v2, Some(src)),
        (v6, Some(six)),
        (local, None),
        (b"PROXY TCP4 1.2.3.4 10.0.0.1 5678 443\r\n".to_vec(), Some(src)),
        (b"PROXY TCP6 2001:db8::1 ::1 5678 443\r\n".to_vec(), Some(six)),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
    ]
}

/// X03.
#[test]
fn a_proxy_header_is_read_whole_at_whichever_byte_it_is_split() {
    for (bytes, source) in headers() {
        for cut in 0..bytes.len() {
            assert_eq!(proxy::read(&bytes[..cut]), ProxyRead::NeedMore, "{bytes:?} cut at {cut}");
        }
        let more = [&bytes[..], b"\x16\x03"].concat();
        let ProxyRead::Header(it) = proxy::read(&more) else { panic!("{bytes:?}") };
        assert_eq!((it.consumed, it.source()), (bytes.len(), source));
    }
}

/// X03.
#[test]
fn a_proxy_header_that_lies_is_refused() {
    let good = headers().swap_remove(0).0;
    let mut lying = good.clone();
    let tlv = 16 + 12 + 2;
    lying[tlv] = 200;
    let mut family = good.clone();
    family[13] = 0x31;
    let mut version = good;
    version[12] = 0x11;
    for bad in [
        lying,
        family,
        version,
        b"\x16\x03\x01".to_vec(),
        b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n".to_vec(),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n".to_vec(),
        [b"PROXY ".to_vec(), vec![b'x'; 120]].concat(),
    ] {
        assert!(matches!(proxy::read(&bad), ProxyRead::Malformed(_)), "{bad:?}");
    }
}

#[test]
fn no_bytes_make_the_readers_panic() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap_or(0)
    };
    let alphabet = b"/.%2eE5cf;?#:[]@aA0 \\\x00\xff,\"=";
    for _ in 0..50_000 {
        let bytes: Vec<u8> = (0..random() % 24).map(|_| alphabet[random() % alphabet.len()]).collect();
        if let Ok(once) = path(&bytes) {
            assert_eq!(path(once.as_bytes()).as_deref(), Ok(once.as_str()), "the form is stable: {bytes:?}");
        }
        if let Ok(once) = host::host(&bytes) {
            assert_eq!(host::host(once.as_bytes()).as_deref(), Ok(once.as_str()));
        }
        let _ = (target(&bytes), addresses(&bytes, &mut Vec::new()), proxy::read(&bytes));
    }
}
