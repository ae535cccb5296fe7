//! Hellos at each bound of their parts, and the names by which evidence tells what was agreed on.

use everyhop_hello::{
    Peeked, ServerFirst, Sni, Unreadable, first_server_record, group_name, host_name, read, suite_name, version_name,
};

const LIMIT: usize = 64 * 1024;

fn vector(len: usize, content: &[u8]) -> Vec<u8> {
    let n = content.len().to_be_bytes();
    n[8 - len..].iter().chain(content).copied().collect()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn record(kind: u8, minor: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, minor][..], &vector(2, content)].concat()
}

/// The parts of a hello, each of which a test makes too long, too short or odd.
struct Parts {
    session: Vec<u8>,
    suites: Vec<u8>,
    compressions: Vec<u8>,
    extensions: Option<Vec<u8>>,
    after: Vec<u8>,
}

fn parts() -> Parts {
    Parts {
        session: vec![9; 32],
        suites: vec![0x13, 1],
        compressions: vec![0],
        extensions: Some(Vec::new()),
        after: Vec::new(),
    }
}

fn message(it: &Parts) -> Vec<u8> {
    let mut body =
        [vec![3, 3], vec![7; 32], vector(1, &it.session), vector(2, &it.suites), vector(1, &it.compressions)].concat();
    body.extend(it.extensions.iter().flat_map(|e| vector(2, e)));
    body.extend(&it.after);
    [&[1][..], &vector(3, &body)].concat()
}

fn peeked(it: &Parts) -> Peeked {
    read(&record(22, 1, &message(it)), LIMIT)
}

fn with(extensions: &[Vec<u8>]) -> Peeked {
    peeked(&Parts { extensions: Some(extensions.concat()), ..parts() })
}

const MALFORMED: Peeked = Peeked::Unreadable(Unreadable::Malformed);

#[test]
fn each_part_of_a_hello_is_as_long_as_it_may_be_and_no_longer_or_shorter() {
    assert!(matches!(peeked(&parts()), Peeked::Hello(_)));
    assert!(matches!(peeked(&Parts { session: Vec::new(), ..parts() }), Peeked::Hello(_)));
    assert!(matches!(peeked(&Parts { extensions: None, ..parts() }), Peeked::Hello(_)));
    for bad in [
        Parts { session: vec![9; 33], ..parts() },
        Parts { suites: Vec::new(), ..parts() },
        Parts { suites: vec![0x13, 1, 0], ..parts() },
        Parts { compressions: Vec::new(), ..parts() },
        Parts { after: vec![0], ..parts() },
        Parts { extensions: Some(vec![0, 1, 0]), ..parts() },
        Parts { extensions: None, after: vec![0], ..parts() },
    ] {
        assert_eq!(peeked(&bad), MALFORMED, "{:?}", message(&bad));
    }
}

#[test]
fn protocols_are_a_list_of_names_that_are_there() {
    let list = |names: &[&[u8]]| vector(2, &names.iter().flat_map(|n| vector(1, n)).collect::<Vec<_>>());
    let Peeked::Hello(it) = with(&[extension(16, &list(&[b"h2", b"x"]))]) else { panic!() };
    assert_eq!(it.alpn, [b"h2".to_vec(), b"x".to_vec()]);
    for bad in [list(&[b"h2", b""]), [list(&[b"h2"]), vec![0]].concat(), vec![0, 3, 2, b'h'], vec![0]] {
        assert_eq!(with(&[extension(16, &bad)]), MALFORMED, "{bad:?}");
    }
    let twice = [extension(16, &list(&[b"h2"])), extension(16, &list(&[b"h2"]))];
    assert_eq!(with(&twice), Peeked::Unreadable(Unreadable::Twice));
    let Peeked::Hello(it) = with(&[]) else { panic!() };
    assert!(it.alpn.is_empty() && !it.ech && it.sni == Sni::Absent);
}

#[test]
fn the_version_of_a_hello_is_the_highest_that_it_offers_and_no_invented_one() {
    for (offered, version) in [
        (vec![3, 3, 3, 4], 0x0304),
        (vec![3, 4, 3, 3], 0x0304),
        (vec![3, 1], 0x0301),
        (vec![0x5a, 0x5a, 3, 2], 0x0302),
        (vec![0x5a, 0x5a], 0x0303),
        (vec![2, 9, 4, 0], 0x0303),
        (vec![], 0x0303),
    ] {
        let Peeked::Hello(it) = with(&[extension(43, &vector(1, &offered))]) else { panic!("{offered:?}") };
        assert_eq!(it.version, version, "{offered:?}");
    }
    assert_eq!(with(&[extension(43, &[3, 3, 4, 3])]), MALFORMED);
}

#[test]
fn a_hello_may_stand_in_records_of_every_minor_version_and_of_full_length_and_in_no_others() {
    let whole = message(&parts());
    for (minor, good) in [(0, true), (1, true), (4, true), (5, false), (255, false)] {
        let got = read(&record(22, minor, &whole), LIMIT);
        assert_eq!(matches!(got, Peeked::Hello(_)), good, "{minor}");
        assert!(good || got == Peeked::Unreadable(Unreadable::Record));
    }
    let padded = |n: usize| message(&Parts { extensions: Some(extension(21, &vec![0; n - 4])), ..parts() });
    let full = padded(16 * 1024 - message(&parts()).len());
    assert_eq!(full.len(), 16 * 1024);
    assert!(matches!(read(&record(22, 1, &full), LIMIT), Peeked::Hello(_)));
    let over = padded(16 * 1024 + 1 - message(&parts()).len());
    assert_eq!(read(&record(22, 1, &over), LIMIT), Peeked::Unreadable(Unreadable::Record));
    // The same in two records is one hello.
    let two = [record(22, 1, &over[..16 * 1024]), record(22, 1, &over[16 * 1024..])].concat();
    let Peeked::Hello(it) = read(&two, LIMIT) else { panic!() };
    assert_eq!(it.len, two.len());
}

#[test]
fn a_second_record_that_holds_more_than_the_rest_of_the_hello_is_refused() {
    let whole = message(&parts());
    let (first, rest) = whole.split_at(20);
    let fits = [record(22, 1, first), record(22, 1, rest)].concat();
    assert!(matches!(read(&fits, LIMIT), Peeked::Hello(_)));
    let more = [record(22, 1, first), record(22, 1, &[rest, b"x"].concat())].concat();
    assert_eq!(read(&more, LIMIT), MALFORMED);
    // Also where what is beyond its end could be read as its extensions.
    let bare = message(&Parts { extensions: None, ..parts() });
    let beyond = vector(2, &extension(0, &vector(2, &[&[0][..], &vector(2, b"a.b")].concat())));
    let (first, rest) = bare.split_at(20);
    let named = [record(22, 1, first), record(22, 1, &[rest, &beyond[..]].concat())].concat();
    assert_eq!(read(&named, LIMIT), MALFORMED);
    assert_eq!(read(&record(22, 1, &[&bare[..], &beyond].concat()), LIMIT), MALFORMED);
    let (first, rest) = whole.split_at(20);
    for cut in 0..fits.len() {
        assert_eq!(read(&fits[..cut], LIMIT), Peeked::NeedMore, "{cut}");
    }
    let other = [record(22, 1, first), record(23, 1, rest)].concat();
    assert_eq!(read(&other, LIMIT), Peeked::Unreadable(Unreadable::Record));
    assert_eq!(read(&[record(22, 1, first), vec![23]].concat(), LIMIT), Peeked::Unreadable(Unreadable::Record));
    assert_eq!(read(&[record(22, 1, first), vec![22]].concat(), LIMIT), Peeked::NeedMore);
}

#[test]
fn what_a_hello_says_of_its_length_counts_to_the_byte_against_the_limit() {
    let said = |n: usize| [&[22, 3, 1, 0, 4, 1][..], &n.to_be_bytes()[5..]].concat();
    assert_eq!(read(&said(996), 1000), Peeked::NeedMore);
    assert_eq!(read(&said(997), 1000), Peeked::Unreadable(Unreadable::TooLong));
    assert_eq!(read(&said(0x01_0000), 0xffff), Peeked::Unreadable(Unreadable::TooLong));
    assert_eq!(read(&said(0x01_0000), 0x01_0004), Peeked::NeedMore);
    assert_eq!(read(&said(0x01_0100), 0x01_0103), Peeked::Unreadable(Unreadable::TooLong));
}

#[test]
fn a_plain_request_is_known_as_one_by_its_method() {
    for method in ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "PRI * HTTP/2"] {
        let Peeked::Unreadable(why) = read(format!("{method}/ HTTP/1.1").as_bytes(), LIMIT) else { panic!() };
        assert!(why.is_http(), "{method}");
    }
    for other in ["get / HTTP/1.1", "GETS /", "PRI * HTTP/3", "\0"] {
        assert_eq!(read(other.as_bytes(), LIMIT), Peeked::Unreadable(Unreadable::NotTls { http: false }), "{other}");
    }
    assert!(!Unreadable::Malformed.is_http());
}

#[test]
fn a_host_name_has_labels_of_63_and_253_letters_in_all_and_ends_in_no_number() {
    let label = |n: usize| "a".repeat(n);
    let long = format!("{0}.{0}.{0}.{1}", label(63), label(61));
    for (name, good) in [
        (label(63), true),
        (label(64), false),
        (long.clone(), true),
        (format!("{long}."), true),
        (format!("{long}a"), false),
        ("a-b_c.d1".into(), true),
        ("1.a".into(), true),
        ("a.1".into(), false),
        ("1".into(), false),
        ("a1".into(), true),
        ("-a".into(), false),
        ("a-".into(), false),
        ("a.-b".into(), false),
        ("a..b".into(), false),
        ("a..".into(), false),
        ("".into(), false),
        (".".into(), false),
        ("a b".into(), false),
        ("*.a".into(), false),
    ] {
        let shown = host_name(name.to_uppercase().as_bytes());
        assert_eq!(shown.as_deref(), good.then_some(name.trim_end_matches('.')), "{name}");
    }
}

#[test]
fn a_server_name_is_one_name_of_the_one_kind_and_nothing_beside_it() {
    let entry = |kind: u8, name: &[u8]| [vec![kind], vector(2, name)].concat();
    let name = |content: Vec<u8>| match with(&[extension(0, &content)]) {
        Peeked::Hello(it) => it.sni,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(vector(2, &entry(0, b"A.b"))), Sni::Name("a.b".into()));
    for bad in [
        vector(2, &entry(1, b"a.b")),
        vector(2, &entry(0, b"")),
        vector(2, &[entry(0, b"a.b"), entry(0, b"a.b")].concat()),
        [vector(2, &entry(0, b"a.b")), vec![0]].concat(),
        vec![],
    ] {
        assert_eq!(name(bad.clone()), Sni::Invalid(everyhop_hello::Invalid::List), "{bad:?}");
    }
    for bad in [&b"\xff.b"[..], b"a.1", b"a..b"] {
        assert_eq!(name(vector(2, &entry(0, bad))), Sni::Invalid(everyhop_hello::Invalid::Name), "{bad:?}");
    }
}

fn server_hello(version: [u8; 2], extensions: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut body = [&version[..], &[7; 32], &vector(1, &[]), &[0xc0, 0x2f, 0]].concat();
    body.extend(extensions.iter().flat_map(|e| vector(2, &e.concat())));
    [&[2][..], &vector(3, &body)].concat()
}

#[test]
fn a_server_that_says_less_is_told_as_far_as_it_says() {
    for (bytes, version, group) in [
        (server_hello([3, 3], None), 0x0303, None),
        (server_hello([3, 1], Some(&[])), 0x0301, None),
        (server_hello([3, 3], Some(&[extension(23, &[]), extension(43, &[3, 4])])), 0x0304, None),
        (server_hello([3, 3], Some(&[extension(51, &[0, 29])])), 0x0303, Some(29)),
    ] {
        let ServerFirst::ServerHello(it) = first_server_record(&record(22, 3, &bytes)) else { panic!() };
        assert_eq!((it.version, it.suite, it.group), (version, 0xc02f, group));
    }
    let whole = server_hello([3, 3], Some(&[extension(43, &[3, 4])]));
    for minor in [0, 4] {
        assert!(matches!(first_server_record(&record(22, minor, &whole)), ServerFirst::ServerHello(_)));
    }
    assert_eq!(first_server_record(&record(22, 5, &whole)), ServerFirst::NotTls);
    // Cut short by its own record: it will never be whole.
    assert_eq!(first_server_record(&record(22, 3, &whole[..whole.len() - 1])), ServerFirst::NotTls);
    assert_eq!(first_server_record(&record(22, 3, &server_hello([3, 3], Some(&[vec![0]])))), ServerFirst::NotTls);
    let more = [record(22, 3, &whole), vec![1; 9]].concat();
    assert!(matches!(first_server_record(&more), ServerFirst::ServerHello(_)));
    let together = record(22, 3, &[whole, vec![11, 0, 0, 1, 0]].concat());
    assert!(matches!(first_server_record(&together), ServerFirst::ServerHello(_)), "more messages in one record");
}

#[test]
fn the_first_record_of_a_server_is_needed_as_far_as_it_can_still_be_one() {
    for part in [
        &[][..],
        &[22],
        &[21],
        &[22, 3],
        &[22, 3, 4],
        &[22, 3, 3, 0],
        &[22, 3, 3, 0, 9],
        &[21, 3, 3, 0, 2],
        &[21, 3, 3, 0, 2, 1],
        &[22, 3, 3, 0x48, 0],
    ] {
        assert_eq!(first_server_record(part), ServerFirst::NeedMore, "{part:?}");
    }
    for other in [
        &[20][..],
        &[22, 4],
        &[22, 3, 5],
        &[22, 3, 5, 0],
        &[22, 3, 3, 0, 0],
        &[22, 3, 3, 0x48, 1],
        &[21, 3, 3, 0, 0],
        &[21, 3, 3, 0, 3, 1],
        &[21, 3, 3, 0, 3, 2, 40],
        &[21, 3, 3, 0, 1, 2, 40],
        &[22, 3, 3, 0, 9, 1],
    ] {
        assert_eq!(first_server_record(other), ServerFirst::NotTls, "{other:?}");
    }
}

fn told(name: fn(u16) -> &'static str) -> Vec<(u16, &'static str)> {
    (0..=u16::MAX).map(|code| (code, name(code))).filter(|(_, name)| *name != "unknown").collect()
}

/// Of the registries of IANA, <https://www.iana.org/assignments/tls-parameters>, by their numbers.
#[test]
fn versions_suites_and_groups_are_told_by_their_names_and_what_has_none_here_as_unknown() {
    let versions = [(0x0300, "ssl3"), (0x0301, "1.0"), (0x0302, "1.1"), (0x0303, "1.2"), (0x0304, "1.3")];
    assert_eq!(told(version_name), versions);
    let suites = [
        (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
        (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
        (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
        (0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
        (0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"),
        (0x1301, "TLS_AES_128_GCM_SHA256"),
        (0x1302, "TLS_AES_256_GCM_SHA384"),
        (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
        (0x1304, "TLS_AES_128_CCM_SHA256"),
        (0x1305, "TLS_AES_128_CCM_8_SHA256"),
        (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
        (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
        (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
        (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
        (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
        (0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
        (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
        (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
        (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    ];
    assert_eq!(told(suite_name), suites);
    let groups = [
        (0x0017, "secp256r1"),
        (0x0018, "secp384r1"),
        (0x0019, "secp521r1"),
        (0x001d, "X25519"),
        (0x001e, "X448"),
        (0x0100, "ffdhe2048"),
        (0x0101, "ffdhe3072"),
        (0x0102, "ffdhe4096"),
        (0x0200, "MLKEM512"),
        (0x0201, "MLKEM768"),
        (0x0202, "MLKEM1024"),
        (0x11eb, "SecP256r1MLKEM768"),
        (0x11ec, "X25519MLKEM768"),
        (0x11ed, "SecP384r1MLKEM1024"),
        (0x6399, "X25519Kyber768Draft00"),
    ];
    assert_eq!(told(group_name), groups);
}
