//! What proxies tell of a request, read whole and in one way or not at all (X01).

use everyhop_canon::cidr::Cidr;
use everyhop_canon::told::{self, Hop, Named, Said, Scheme, hops, list, of_client};

fn read(value: &str) -> Option<Vec<Hop>> {
    let mut out = Vec::new();
    hops(value.as_bytes(), &mut out).then_some(out)
}

fn hop(from: &str, scheme: Said<Scheme>, host: Said<&str>) -> Hop {
    let host = match host {
        Said::This(it) => Said::This(told::named(it.as_bytes()).expect("a host")),
        Said::Apart => Said::Apart,
        Said::Nothing => Said::Nothing,
    };
    Hop { from: from.parse().ok(), scheme, host }
}

#[test]
fn a_prefix_is_a_path_in_its_one_form_that_leads_to_no_other_server() {
    for text in ["/app", "/app/v2", "/a%20b"] {
        assert_eq!(told::prefix(text.as_bytes()), Some(text));
    }
    let long = format!("/{}", "a".repeat(512));
    for text in [
        "",
        "/",
        "app",
        "//evil.test",
        "/a//b",
        "/a/../b",
        "/./a",
        "/a b",
        "/a\"b",
        "/a?b",
        "/a#b",
        "/%61",
        "/a, /b",
        &long,
    ] {
        assert_eq!(told::prefix(text.as_bytes()), None, "{text}");
    }
    assert_eq!(told::prefix(b"/\xff"), None);
}

#[test]
fn a_certificate_is_a_byte_sequence_with_something_in_it() {
    for text in [":aGk=:", ":aGkx:", ":aA==:", ":ab+/:"] {
        assert_eq!(told::certificate(text.as_bytes()), Some(text.as_bytes()));
    }
    for text in [
        "",
        ":",
        "::",
        ":=:",
        ":==:",
        ":a:",
        ":aGk:",
        "aGk=",
        ":aGk=",
        "aGk=:",
        ":a=k=:",
        ":aGk=: ",
        ":aG k:",
        ":aGk=:, :aGk=:",
        "\"aGk=\"",
    ] {
        assert_eq!(told::certificate(text.as_bytes()), None, "{text}");
    }
    assert_eq!(told::certificates(b":aGk=:, :aGkx:"), Some(&b":aGk=:, :aGkx:"[..]));
    for text in ["", ",", ":aGk=:,", ":aGk=: :aGkx:", ":aGk=:;a=1"] {
        assert_eq!(told::certificates(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn forwarded_is_read_as_proxies_write_it() {
    let https = Said::This(Scheme::Https);
    for (value, expected) in [
        ("for=1.2.3.4", vec![hop("1.2.3.4", Said::Nothing, Said::Nothing)]),
        (
            "For=\"[2001:db8::1]:4711\"; Proto=HTTPS ;host=\"A.test:8443\"",
            vec![hop("2001:db8::1", https.clone(), Said::This("a.test:8443"))],
        ),
        (
            "for=1.2.3.4:80;proto=https;by=_x;secret=\"a,b;c\\\"d\",\tfor=10.0.0.1;host=b.test:1;",
            vec![hop("1.2.3.4", https, Said::Nothing), hop("10.0.0.1", Said::Nothing, Said::This("b.test:1"))],
        ),
        ("for=_hidden;proto=ftp", vec![hop("", Said::Apart, Said::Nothing)]),
        ("for=unknown;host=\"a b\"", vec![hop("", Said::Nothing, Said::Apart)]),
        ("host=\"a\\.test\"", vec![hop("", Said::Nothing, Said::Apart)]),
    ] {
        assert_eq!(read(value), Some(expected), "{value}");
    }
}

#[test]
fn what_is_no_forwarded_is_not_read_in_part() {
    for bad in [
        "",
        ",",
        ";",
        "for",
        "for=",
        "=x",
        "for =1.2.3.4",
        "for= 1.2.3.4",
        ";for=1.2.3.4",
        "for=1.2.3.4,;for=1.2.3.5",
        "for=1.2.3.4,",
        ",for=1.2.3.4",
        "for=\"1.2.3.4",
        "for=1.2.3.4, for=\"",
        "for=\"1.2.3.4\"x",
        "for=1.2.3.4 5",
        "for=1.2.3.4;for=1.2.3.4",
        "proto=http;PROTO=http",
        "host=a;host=b",
        "for=1.2.3.4\\",
        "for=\"a\\",
        "for=\u{e9}",
        "f\u{e9}r=1",
    ] {
        assert_eq!(read(bad), None, "{bad:?}");
    }
}

#[test]
fn forwarded_that_was_cut_off_is_never_taken_for_another_client() {
    let whole = "for=\"[2001:db8::1]:4711\";proto=https;host=\"a.test:8443\"";
    let Some(all) = read(whole) else { panic!("{whole}") };
    for cut in 0..whole.len() {
        for hop in read(&whole[..cut]).into_iter().flatten() {
            assert!(hop.from.is_none() || hop.from == all[0].from, "cut at {cut}");
            assert!(matches!(hop.host, Said::Nothing) || hop.host == Said::Apart, "cut at {cut}: {hop:?}");
        }
    }
}

#[test]
fn the_element_that_speaks_of_the_client_is_the_rightmost_that_nobody_trusted_sent() {
    let trusted: Vec<Cidr> = vec!["10.0.0.0/8".parse().expect("a network")];
    for (value, at) in [
        ("for=6.6.6.6, for=1.2.3.4, for=10.0.0.1", 1),
        ("for=6.6.6.6, for=unknown, for=10.0.0.1", 1),
        ("for=6.6.6.6, proto=https", 1),
        ("for=10.0.0.2, for=10.0.0.1", 0),
    ] {
        assert_eq!(of_client(&read(value).expect("Forwarded"), &trusted), Some(at), "{value}");
    }
    assert_eq!(of_client(&[], &trusted), None);
}

#[test]
fn what_is_told_twice_is_told_alike_or_not_at_all() {
    use Said::{Apart, This};
    let both = |value: &str| list(value.as_bytes(), told::scheme);
    for (value, said) in [
        ("https", This(Scheme::Https)),
        ("HTTP , http", This(Scheme::Http)),
        ("wss", This(Scheme::Https)),
        ("ws", This(Scheme::Http)),
        ("https,http", Apart),
        ("https,", Apart),
        ("", Apart),
        ("ftp", Apart),
        ("http\0", Apart),
    ] {
        assert_eq!(both(value), said, "{value:?}");
    }
    let mut said = This(1);
    said.also(Said::Nothing);
    assert_eq!(said, This(1));
    said.also(Apart);
    said.also(This(1));
    assert_eq!(said, Apart, "what was told apart stays so");
}

#[test]
fn hosts_ports_and_ids_have_a_form() {
    let named = |host: &str, port| Some(Named { host: host.to_owned(), port });
    for (text, expected) in [
        ("A.Test", named("a.test", None)),
        ("a.test:8443", named("a.test", Some(8443))),
        ("[2001:DB8::1]:1", named("[2001:db8::1]", Some(1))),
        ("a.test:0", None),
        ("a.test:65536", None),
        ("a/b", None),
        ("u@a.test", None),
        ("", None),
    ] {
        assert_eq!(told::named(text.as_bytes()), expected, "{text}");
    }
    for (text, expected) in [
        ("1", Some(1)),
        ("65535", Some(65535)),
        ("65536", None),
        ("0", None),
        ("+1", None),
        ("", None),
        ("000001", None),
    ] {
        assert_eq!(told::port(text.as_bytes()), expected, "{text}");
    }
    let long = "x".repeat(128);
    for good in ["a", "7f9c0b1e-8d6a-4f0e-9b3f-2f6f4f0d7a11", "Root=1-67891233-abc", "a.b_c~d:e/f+g=@", &long] {
        assert_eq!(told::request_id(good.as_bytes()).as_deref(), Some(good));
    }
    for bad in ["", "a b", "a,b", "a\"b", "a\\b", "a\tb", "\u{e9}", "<x>", &format!("{long}x")] {
        assert_eq!(told::request_id(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn a_scheme_has_its_name_and_its_port() {
    assert_eq!([Scheme::Http, Scheme::Https].map(|it| (it.name(), it.default_port())), [("http", 80), ("https", 443)]);
}

#[test]
fn only_what_was_said_in_one_way_is_taken() {
    assert_eq!(Said::This(1).this(), Some(1));
    assert_eq!(Said::<u8>::Apart.this(), None);
    assert_eq!(Said::<u8>::Nothing.this(), None);
}
