//! Every limit at its last good value and one beyond, and a head that is read after another one.

use everyhop_http1::{Chunk, Chunked, Framing, Limits, Parsed, Refused, RequestHead, ResponseHead};

const LIMITS: Limits = Limits { head_bytes: 100, fields: 3, target_bytes: 8 };

fn request(bytes: &[u8]) -> Parsed {
    RequestHead::default().parse(bytes, &LIMITS)
}

fn response(bytes: &[u8]) -> Parsed {
    ResponseHead::default().parse(bytes, &LIMITS, false)
}

fn whole(bytes: &[u8]) -> Parsed {
    Parsed::Head { len: bytes.len() }
}

#[test]
fn a_head_may_be_as_long_as_its_limit_and_not_a_byte_longer() {
    for (start, read) in
        [("GET / HTTP/1.1\r\nHost: ", request as fn(&[u8]) -> Parsed), ("HTTP/1.1 200\r\nA: ", response)]
    {
        let fill = |len: usize| format!("{start}{}\r\n\r\n", "v".repeat(len - start.len() - 4)).into_bytes();
        assert_eq!(read(&fill(100)), whole(&fill(100)));
        assert_eq!(read(&fill(101)), Parsed::Refused(Refused::HeadTooLong));
        assert_eq!(read(&fill(101)[..99]), Parsed::NeedMore);
        assert_eq!(read(&fill(101)[..100]), Parsed::Refused(Refused::HeadTooLong));
    }
}

#[test]
fn a_head_has_as_many_fields_as_its_limit_and_not_one_more() {
    for (start, read) in
        [("GET / HTTP/1.1\r\nHost: h\r\n", request as fn(&[u8]) -> Parsed), ("HTTP/1.1 200\r\nA: b\r\n", response)]
    {
        let three = format!("{start}{}\r\n", "A: b\r\n".repeat(2)).into_bytes();
        assert_eq!(read(&three), whole(&three));
        let four = format!("{start}{}\r\n", "A: b\r\n".repeat(3)).into_bytes();
        assert_eq!(read(&four), Parsed::Refused(Refused::TooManyFields));
    }
}

#[test]
fn a_target_may_be_as_long_as_its_limit_and_not_a_byte_longer() {
    let fits = b"GET /2345678 HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(request(fits), whole(fits));
    assert_eq!(request(b"GET /23456789 HTTP/1.1\r\nHost: h\r\n\r\n"), Parsed::Refused(Refused::TargetTooLong));
    // Where the head's limit is reached first, it is said which of the two was too long.
    let endless = |line: &str| request(line.repeat(20).as_bytes());
    assert_eq!(request(format!("GET /2345678 {}", "x".repeat(100)).as_bytes()), Parsed::Refused(Refused::HeadTooLong));
    assert_eq!(endless("GET /234567890"), Parsed::Refused(Refused::TargetTooLong));
    let second = format!("\r\nGET /{}", "x".repeat(100));
    assert_eq!(request(second.as_bytes()), Parsed::Refused(Refused::TargetTooLong));
}

#[test]
fn what_is_wrong_first_is_what_is_told_where_a_head_is_too_long_or_a_line_ends_wrongly() {
    let fields = format!("GET / HTTP/1.1\r\nHost: h\r\nA {}", "x".repeat(100));
    assert_eq!(request(fields.as_bytes()), Parsed::Refused(Refused::HeadTooLong), "the target was short");
    assert_eq!(request(b"GET /23456789 HTTP/1.1\n"), Parsed::Refused(Refused::BareLf));
}

#[test]
fn a_target_may_have_characters_of_every_script_and_no_bytes_that_are_none() {
    let target = |bytes: &[u8]| request(&[b"GET /", bytes, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
    for good in ["\u{e9}", "\u{4e2d}", "a"] {
        assert!(matches!(target(good.as_bytes()), Parsed::Head { .. }), "{good}");
    }
    for bad in [&b"\xe9"[..], b"\xc3", b"\xff", b"\xff\xff", b"\xc3\xc3", b"\xc3\xa9\x7f", b"\x01"] {
        assert_eq!(target(bad), Parsed::Refused(Refused::Target), "{bad:?}");
    }
}

#[test]
fn a_version_that_is_none_is_told_apart_from_one_that_is_not_spoken() {
    for (version, why) in [
        ("HTTP/1.2", Refused::Version),
        ("HTTP/9.9", Refused::Version),
        ("HTTP/a.1", Refused::RequestLine),
        ("HTTP/1.b", Refused::RequestLine),
        ("HTTP/1/1", Refused::RequestLine),
        ("HTTP/1.10", Refused::RequestLine),
    ] {
        let head = format!("GET / {version}\r\nHost: h\r\n\r\n");
        assert_eq!(request(head.as_bytes()), Parsed::Refused(why), "{version}");
    }
}

#[test]
fn a_length_has_up_to_18_digits_and_nothing_else() {
    for (value, length) in [
        ("0", Some(0)),
        ("007", Some(7)),
        ("999999999999999999", Some(999_999_999_999_999_999)),
        ("1000000000000000000", None),
        ("/", None),
        (":", None),
    ] {
        let mut head = ResponseHead::default();
        let parsed = head.parse(format!("HTTP/1.1 200\r\nContent-Length: {value}\r\n\r\n").as_bytes(), &LIMITS, false);
        match length {
            Some(n) => {
                assert!(matches!(parsed, Parsed::Head { .. }), "{value}");
                assert_eq!((head.framing, head.length), (Framing::Length(n), Some(n)));
            }
            None => assert_eq!(parsed, Parsed::Refused(Refused::ContentLength), "{value}"),
        }
    }
}

#[test]
fn a_head_is_read_alike_after_another_one() {
    let first = b"\r\nPUT /x HTTP/1.0\r\nConnection: x, keep-alive\r\nContent-Length: 9\r\n\r\n";
    let second = b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(head.parse(first, &LIMITS), whole(first));
    head.reset();
    assert_eq!(head.parse(second, &LIMITS), whole(second));
    assert_eq!((head.fields.len(), head.framing, head.version_10), (1, Framing::None, false));
    assert_eq!(head.method.of(second), b"GET");
    assert!(!head.connection.nominates && !head.connection.keep_alive);
    let (one, two) = (b"HTTP/1.0 404 x\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200\r\nA: b\r\n\r\n");
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(one, &LIMITS, false), whole(one));
    assert_eq!((head.status, head.version_10), (404, true));
    head.reset();
    assert_eq!(head.parse(two, &LIMITS, false), whole(two));
    assert_eq!((head.status, head.version_10, head.length, head.fields.len()), (200, false, None, 1));
    assert_eq!(head.framing, Framing::UntilClose);
}

#[test]
fn every_status_from_100_to_599_is_read_and_no_other() {
    for status in 0..1000u16 {
        let mut head = ResponseHead::default();
        let parsed = head.parse(format!("HTTP/1.1 {status:03}\r\n\r\n").as_bytes(), &LIMITS, false);
        let good = (100..600).contains(&status);
        assert_eq!(matches!(parsed, Parsed::Head { .. }), good, "{status}");
        if good {
            assert_eq!(head.status, status);
            let bare = status < 200 || status == 204 || status == 304;
            assert_eq!(head.framing, if bare { Framing::None } else { Framing::UntilClose }, "{status}");
        }
    }
    for bad in [
        "HTTP/1.1 2a0\r\n\r\n",
        "HTTP/1.1 200a\r\n\r\n",
        "HTTP/1.1 200 \x01\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(response(bad.as_bytes()), Parsed::Refused(Refused::StatusLine), "{bad:?}");
    }
}

const TRAILERS: Limits = Limits { head_bytes: 8192, fields: 64, target_bytes: 256 };

fn decoded(bytes: &[u8]) -> Result<Chunked, Refused> {
    let (mut it, mut at) = (Chunked::within(&TRAILERS), 0);
    loop {
        match it.next(&bytes[at..]) {
            Chunk::Data { skip, len } => at += skip + len,
            Chunk::End { consumed } => {
                assert_eq!(at + consumed, bytes.len());
                return Ok(it);
            }
            Chunk::NeedMore { .. } => panic!("not whole: {}", String::from_utf8_lossy(bytes)),
            Chunk::Refused(why) => return Err(why),
        }
    }
}

#[test]
fn the_size_of_a_chunk_has_up_to_15_digits_and_each_chunk_counts_anew() {
    assert!(decoded(b"000000000000001\r\nx\r\n000000000000001\r\ny\r\n000000000000000\r\n\r\n").is_ok());
    for none in [&b"0000000000000001\r\nx\r\n0\r\n\r\n"[..], b";a\r\n", b"\r\n", b"1\r\nx\r\n;a\r\n", b"1\r\nx\r\n\r\n"]
    {
        assert_eq!(decoded(none).err(), Some(Refused::ChunkSize), "{}", String::from_utf8_lossy(none));
    }
}

#[test]
fn extensions_may_be_4096_bytes_in_all_chunks_together() {
    let body = |first: usize, second: usize| {
        format!("1;{}\r\nx\r\n0;{}\r\n\r\n", "a".repeat(first), "\t\u{e9}".repeat(second / 3)).into_bytes()
    };
    assert!(decoded(&body(4096, 0)).is_ok() && decoded(&body(4090, 6)).is_ok());
    assert_eq!(decoded(&body(4097, 0)).err(), Some(Refused::ChunkExtension));
    assert_eq!(decoded(&body(4091, 6)).err(), Some(Refused::ChunkExtension));
    assert_eq!(decoded(b"1;a\x7f\r\nx\r\n0\r\n\r\n").err(), Some(Refused::ChunkExtension));
}

#[test]
fn trailers_may_be_as_long_as_a_head_and_as_many_as_its_fields() {
    let body = |fields: usize, len: usize| {
        let lines = format!("{}B: ", "A: b\r\n".repeat(fields - 1));
        format!("0\r\n{lines}{}\r\n\r\n", "v".repeat(len - lines.len() - 4)).into_bytes()
    };
    assert_eq!(decoded(&body(1, 8192)).map(|it| it.trailers.len()), Ok(1));
    assert_eq!(decoded(&body(1, 8193)).err(), Some(Refused::TrailerTooLong));
    assert_eq!(decoded(&body(64, 1000)).map(|it| it.trailers.len()), Ok(64));
    assert_eq!(decoded(&body(65, 1000)).err(), Some(Refused::TrailerTooLong));
}

#[test]
fn a_body_is_read_alike_after_another_one() {
    let mut it = Chunked::within(&TRAILERS);
    let bytes =
        [b"0;".to_vec(), vec![b'a'; 4000], b"\r\nA: ".to_vec(), vec![b'v'; 8000], b"\r\n\r\n".to_vec()].concat();
    for _ in 0..3 {
        assert_eq!(it.next(&bytes), Chunk::End { consumed: bytes.len() });
        assert_eq!(it.trailers.len(), 1);
        it.reset(&TRAILERS);
        assert!(it.trailers.is_empty());
    }
}

#[test]
fn a_body_that_has_ended_takes_no_byte_of_what_follows() {
    let mut it = Chunked::within(&TRAILERS);
    assert_eq!(it.next(b"0\r\n\r\nGET"), Chunk::End { consumed: 5 });
    assert_eq!(it.next(b"GET"), Chunk::End { consumed: 0 });
}

#[test]
fn what_frames_a_message_is_left_out_of_its_trailers_and_the_rest_is_told_apart() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Transfer-Encoding",
        "Upgrade",
        "HTTP2-Settings",
        "Host",
        "Content-Length",
    ] {
        let body = format!("0\r\n{name}: v\r\nA: b\r\n\r\n");
        assert_eq!(decoded(body.as_bytes()).map(|it| it.trailers), Ok(vec![(b"A".to_vec(), b"b".to_vec())]), "{name}");
    }
    let of_requests =
        ["Expect", "Authorization", "Early-Data", "Date", "Proxy", "X-Forwarded-For", "X-Real-IP", "Forwarded"];
    for name in of_requests.iter().chain(&["WWW-Authenticate", "Server"]) {
        let body = format!("0\r\n{name}: v\r\n\r\n");
        assert_eq!(decoded(body.as_bytes()).map(|it| it.trailers.len()), Ok(1), "{name}");
        let id = everyhop_http1::field_id(name.as_bytes());
        assert_eq!((id.is_framing(), id.is_forbidden_in_trailers()), (false, of_requests.contains(name)), "{name}");
    }
}
