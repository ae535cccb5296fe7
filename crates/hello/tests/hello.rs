//! Hellos by construction: each is fed split at every byte, in records of every size, and mutated.

use everyhop_hello::{Hello, Peeked, ServerFirst, Sni, Unreadable, first_server_record, host_name, read};

const LIMIT: usize = 16 * 1024;

fn vector(len: usize, content: &[u8]) -> Vec<u8> {
    let n = content.len().to_be_bytes();
    n[8 - len..].iter().chain(content).copied().collect()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector(2, &[&[0][..], &vector(2, name)].concat()))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(16, &vector(2, &names.iter().flat_map(|n| vector(1, n)).collect::<Vec<_>>()))
}

fn message(extensions: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector(1, &[9; 32]));
    body.extend(vector(2, &[0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2b]));
    body.extend(vector(1, &[0]));
    if let Some(all) = extensions {
        body.extend(vector(2, &all.concat()));
    }
    [&[1][..], &vector(3, &body)].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|c| [&[22, 3, 1][..], &vector(2, c)].concat()).collect()
}

fn post_quantum() -> Vec<u8> {
    let share = [&[0x11, 0xec][..], &vector(2, &[5; 1216])].concat();
    message(Some(&[
        extension(0x3a3a, &[]),
        sni(b"Shop.Example.com."),
        extension(43, &vector(1, &[0x2a, 0x2a, 3, 4, 3, 3])),
        alpn(&[b"h2", b"http/1.1"]),
        extension(51, &vector(2, &share)),
        extension(0xfe0d, &[0; 200]),
        extension(21, &[0; 50]),
    ]))
}

fn hello(bytes: &[u8]) -> Hello {
    match read(bytes, LIMIT) {
        Peeked::Hello(hello) => hello,
        other => panic!("{other:?}"),
    }
}

fn name_of(extension: Vec<u8>) -> Sni {
    hello(&records(&message(Some(&[extension])), 16384)).sni
}

/// T01.
#[test]
fn a_hello_is_read_alike_however_it_is_split_over_segments_and_records() {
    let message = post_quantum();
    let expected = hello(&records(&message, 16384));
    assert_eq!(expected.sni, Sni::Name("shop.example.com".into()));
    assert_eq!(expected.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!(expected.version, 0x0304);
    assert!(expected.ech);
    for size in [1, 2, 3, 4, 5, 7, 64, 517, message.len() - 1] {
        let bytes = records(&message, size);
        let whole = hello(&bytes);
        assert_eq!((whole.sni, whole.alpn, whole.len), (expected.sni.clone(), expected.alpn.clone(), bytes.len()));
    }
    let bytes = records(&message, 700);
    for cut in 0..bytes.len() {
        assert_eq!(read(&bytes[..cut], LIMIT), Peeked::NeedMore, "cut at {cut}");
    }
}

#[test]
fn bytes_after_the_hello_are_not_of_the_hello() {
    let mut bytes = records(&post_quantum(), 16384);
    let len = bytes.len();
    bytes.extend([20, 3, 3, 0, 1, 1]);
    assert_eq!(hello(&bytes).len, len);
}

#[test]
fn old_hellos_without_extensions_are_readable() {
    let it = hello(&records(&message(None), 16384));
    assert_eq!((it.sni, it.version), (Sni::Absent, 0x0303));
}

/// T02: what is unreadable is never taken for "no SNI".
#[test]
fn what_is_no_hello_is_unreadable() {
    let good = records(&post_quantum(), 16384);
    let other_first = [&[20, 3, 3, 0, 1, 1][..], &good].concat();
    let empty_between = [&records(&post_quantum(), 10)[..15], &[22, 3, 1, 0, 0]].concat();
    let alert_between = [&records(&post_quantum(), 10)[..15], &[21, 3, 1, 0, 2, 1, 0]].concat();
    for (bytes, why) in [
        (other_first, Unreadable::NotTls { http: false }),
        (empty_between, Unreadable::Record),
        (alert_between, Unreadable::Record),
        (b"GET / HTTP/1.1\r\n".to_vec(), Unreadable::NotTls { http: true }),
        (b"SSH-2.0-x\r\n".to_vec(), Unreadable::NotTls { http: false }),
        (vec![0x80, 0x2e, 1, 0, 2], Unreadable::NotTls { http: false }),
        (vec![22, 2, 0, 0, 5], Unreadable::NotTls { http: false }),
        (records(&message(Some(&[sni(b"a.b"), sni(b"c.d")])), 999), Unreadable::Twice),
        (records(&[&message(None)[..], b"x"].concat(), 9999), Unreadable::Malformed),
        (vec![22, 3, 1, 0, 4, 1, 1, 0, 0], Unreadable::TooLong),
        (vec![22, 3, 1, 0, 4, 2, 0, 0, 1], Unreadable::Malformed),
    ] {
        assert_eq!(read(&bytes, LIMIT), Peeked::Unreadable(why), "{bytes:?}");
    }
}

#[test]
fn many_tiny_records_end_at_the_limit() {
    let endless = records(&[&[1, 0, 0x3f, 0][..], &[0; 9000]].concat(), 1);
    assert_eq!(read(&endless, LIMIT), Peeked::Unreadable(Unreadable::TooLong));
}

/// T01, T03: the limit counts the record's header, whether the record came at once or not.
#[test]
fn a_hello_is_too_long_by_its_declared_length_however_it_is_cut() {
    let bytes = records(&message(Some(&[sni(b"shop.example.com")])), 16384);
    let n = bytes.len();
    assert!(matches!(read(&bytes, n), Peeked::Hello(_)), "the limit itself is allowed");
    for cut in 5..=n {
        assert_eq!(read(&bytes[..cut], n - 1), Peeked::Unreadable(Unreadable::TooLong), "cut at {cut}");
    }
}

#[test]
fn a_server_name_that_is_none_is_invalid_and_an_address_names_nothing() {
    assert_eq!(name_of(sni(b"10.0.0.1")), Sni::IpLiteral("10.0.0.1".into()));
    assert_eq!(name_of(sni(b"::1")), Sni::IpLiteral("::1".into()));
    let long = [b"a.".repeat(127), b"a".to_vec()].concat();
    for bad in [&b""[..], b"a\0b", b"a b", b"\xc3\xa9.com", b".", b"a..b", b"-a.b", b"a-.b", b"1.2.3", b"a.1", &long] {
        assert!(matches!(name_of(sni(bad)), Sni::Invalid(_)), "{bad:?}");
    }
    let two = extension(0, &vector(2, &[&[0][..], &vector(2, b"a.b"), &[0], &vector(2, b"c.d")].concat()));
    assert!(matches!(name_of(two), Sni::Invalid(_)));
    assert!(matches!(name_of(extension(0, &[0, 0])), Sni::Invalid(_)));
    assert_eq!(host_name(b"A_b.C.").as_deref(), Some("a_b.c"));
}

fn server_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector(1, &[9; 32]));
    body.extend([0x13, 0x02, 0]);
    body.extend(vector(2, &extensions.concat()));
    let message = [&[2][..], &vector(3, &body)].concat();
    [&[22, 3, 3][..], &vector(2, &message)].concat()
}

#[test]
fn a_server_hello_tells_version_suite_and_group_at_whichever_byte_it_is_split() {
    let share = [&[0x11, 0xec][..], &vector(2, &[5; 1120])].concat();
    let bytes = server_hello(&[extension(43, &[3, 4]), extension(51, &share)]);
    for cut in 0..bytes.len() {
        assert_eq!(first_server_record(&bytes[..cut]), ServerFirst::NeedMore, "cut at {cut}");
    }
    let ServerFirst::ServerHello(it) = first_server_record(&bytes) else { panic!() };
    assert_eq!((it.version, it.suite, it.group), (0x0304, 0x1302, Some(0x11ec)));
}

#[test]
fn an_alert_is_tls_and_anything_else_is_not() {
    let alert = ServerFirst::Alert { level: 2, description: 40 };
    assert_eq!(first_server_record(&[21, 3, 3, 0, 2, 2, 40]), alert);
    for other in
        [&b"HTTP/1.1 200 OK\r\n"[..], b"\x16\x02", &[22, 3, 3, 0, 4, 11], &[23, 3, 3, 0, 1], &[21, 3, 3, 0, 9, 1]]
    {
        assert_eq!(first_server_record(other), ServerFirst::NotTls, "{other:?}");
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
    let good = [records(&post_quantum(), 600), server_hello(&[extension(43, &[3, 4])])];
    for round in 0..20_000 {
        let mut bytes = good[round % 2].clone();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            bytes[at] = u8::try_from(random() & 255).unwrap_or(0);
        }
        bytes.truncate(random() % (bytes.len() + 1));
        let _ = (read(&bytes, LIMIT), first_server_record(&bytes));
    }
}
