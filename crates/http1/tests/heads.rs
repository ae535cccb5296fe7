//! Heads by construction, with an oracle that is written from the grammar and knows nothing of the codec.

use everyhop_http1::{FieldId, Framing, Limits, Parsed, Refused, RequestHead, ResponseHead, field_id};

const LIMITS: Limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 200 };

fn request(bytes: &[u8]) -> (Parsed, RequestHead) {
    let mut head = RequestHead::default();
    (head.parse(bytes, &LIMITS), head)
}

fn refusal(bytes: &[u8]) -> Option<Refused> {
    match request(bytes).0 {
        Parsed::Refused(why) => Some(why),
        Parsed::Head { .. } => None,
        Parsed::NeedMore => panic!("not whole: {:?}", String::from_utf8_lossy(bytes)),
    }
}

fn with(fields: &str) -> Vec<u8> {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

#[test]
fn a_head_is_read_alike_at_whichever_byte_it_is_split() {
    let bytes = b"\r\nPUT /x?y=1 HTTP/1.1\r\nHost:\t a.b \r\nContent-Length: 5\r\nConnection: close, X-A\r\nX-a: 1\r\n\r\nhello";
    let (parsed, whole) = request(bytes);
    assert_eq!(parsed, Parsed::Head { len: bytes.len() - 5 });
    assert_eq!(whole.framing, Framing::Length(5));
    assert_eq!(whole.method.of(bytes), b"PUT");
    assert_eq!(whole.target.of(bytes), b"/x?y=1");
    assert_eq!(whole.value(FieldId::Host, bytes), Some(&b"a.b"[..]));
    assert!(whole.connection.close && whole.connection.nominates && !whole.keeps_alive());
    let hop: Vec<bool> = whole.fields.iter().map(|f| whole.is_hop_by_hop(f, bytes)).collect();
    assert_eq!(hop, [false, false, true, true]);
    let mut grown = RequestHead::default();
    for cut in 0..bytes.len() - 5 {
        assert_eq!(grown.parse(&bytes[..cut], &LIMITS), Parsed::NeedMore, "cut at {cut}");
        assert_eq!(request(&bytes[..cut]).0, Parsed::NeedMore, "cut at {cut}");
    }
    assert_eq!(grown.parse(bytes, &LIMITS), parsed);
    assert_eq!(grown.fields.len(), whole.fields.len());
}

/// H01, H02, H03: every framing field, in every spelling, alone and in pairs of both orders.
#[test]
fn framing_is_one_plain_length_or_one_chunked_or_refused() {
    let good_length = ["Content-Length: 5", "content-length:5", "CONTENT-LENGTH:\t5 "];
    let bad_length =
        ["+5", "-5", "0x5", "5_0", "5,5", "5, 5", "\"5\"", "", "5 5", "18446744073709551616", "٥", "5a", "1e1"];
    let good_chunked = ["Transfer-Encoding: chunked", "transfer-encoding:CHUNKED "];
    let bad_chunked = [
        "chunked, chunked",
        "chunked, cow",
        "identity",
        "gzip, chunked",
        "",
        "xchunked",
        "chunked;q=1",
        "\"chunked\"",
        ",chunked",
        "\u{b}chunked",
        "chunked\u{c}",
    ];
    for it in good_length {
        assert_eq!(request(&with(&format!("{it}\r\n"))).1.framing, Framing::Length(5), "{it}");
    }
    for it in good_chunked {
        assert_eq!(request(&with(&format!("{it}\r\n"))).1.framing, Framing::Chunked, "{it}");
    }
    for value in bad_length {
        assert!(refusal(&with(&format!("Content-Length: {value}\r\n"))).is_some(), "{value}");
    }
    for value in bad_chunked {
        assert!(refusal(&with(&format!("Transfer-Encoding: {value}\r\n"))).is_some(), "{value:?}");
    }
    let all: Vec<&str> = good_length.into_iter().chain(good_chunked).collect();
    for one in &all {
        for other in &all {
            let why = refusal(&with(&format!("{one}\r\nX-Between: 1\r\n{other}\r\n")));
            assert!(why.is_some(), "{one} with {other}");
        }
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refusal(old), Some(Refused::TransferEncodingIn10));
}

/// H05, H06.
#[test]
fn what_is_not_exactly_a_request_is_refused() {
    for (bytes, why) in [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", Refused::BareLf),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", Refused::BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", Refused::BareLf),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", Refused::BareCr),
        ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", Refused::Fold),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", Refused::Fold),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", Refused::FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", Refused::FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", Refused::FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\u{e9}: x\r\n\r\n", Refused::FieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", Refused::FieldValue),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \u{7f}\r\n\r\n", Refused::FieldValue),
        ("GET / HTTP/1.1\r\n\r\n", Refused::NoHost),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", Refused::TwoHosts),
        ("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nauthorization: b\r\n\r\n", Refused::TwoAuthorizations),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET /\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET / HTTP/01.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", Refused::Version),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", Refused::Version),
        ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", Refused::Method),
        (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET /\u{7f} HTTP/1.1\r\nHost: h\r\n\r\n", Refused::Target),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Refused::RequestLine),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue, x\r\n\r\n", Refused::Expectation),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: a b\r\n\r\n", Refused::ConnectionField),
    ] {
        assert_eq!(refusal(bytes.as_bytes()), Some(why), "{bytes:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(200));
    assert_eq!(refusal(long.as_bytes()), Some(Refused::TargetTooLong));
    // Also where no line ends within the limit of the whole head.
    assert_eq!(refusal(format!("GET /{}", "a".repeat(8000)).as_bytes()), Some(Refused::TargetTooLong));
    assert_eq!(refusal(format!("G(T /{}", "a".repeat(8000)).as_bytes()), Some(Refused::HeadTooLong));
    assert_eq!(refusal(&with(&format!("A: {}", "b ".repeat(4000)))), Some(Refused::HeadTooLong));
    assert_eq!(refusal(&with(&"A: b\r\n".repeat(20))), Some(Refused::TooManyFields));
    assert_eq!(refusal(&vec![b'a'; 4096]), Some(Refused::HeadTooLong));
}

/// H05: every byte at every place of a small head, against the grammar.
#[test]
fn every_byte_everywhere_is_judged_by_the_grammar() {
    let head = b"GET /p HTTP/1.1\r\nHost: h\r\nName: value\r\n\r\n";
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let places: [(usize, &dyn Fn(u8) -> bool); 4] = [
        (1, &token),
        (5, &|b| matches!(b, 0x21..=0x7e)),
        (27, &token),
        (33, &|b| b == b'\t' || (b >= 0x20 && b != 0x7f)),
    ];
    for (at, allowed) in places {
        for b in 0..=255u8 {
            let mut bytes = head.to_vec();
            bytes[at] = b;
            // A colon within the name ends it: then the rest is value, which is fine.
            let expected = allowed(b) || (at == 27 && b == b':');
            let accepted = matches!(request(&bytes).0, Parsed::Head { .. });
            assert_eq!(accepted, expected, "byte {b:#x} at {at}");
        }
    }
}

/// X02.
#[test]
fn fields_that_say_who_the_client_is_are_known_with_their_twins() {
    for name in [
        "X-Forwarded-For",
        "x_forwarded_for",
        "X.Real.IP",
        "Client_Cert",
        "client-cert-chain",
        "Forwarded",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-Verify",
        "x_forwarded-Proto",
        "X-Request-ID",
        "True-Client-IP",
    ] {
        assert!(field_id(name.as_bytes()).is_identity(), "{name}");
    }
    for name in ["X-Forward", "Client", "Content-Type", "X-Trace", "Forwarded-By-Me", "Cookie", "TE"] {
        assert!(!field_id(name.as_bytes()).is_identity(), "{name}");
    }
    assert_eq!(field_id(b"TRANSFER-encoding"), FieldId::TransferEncoding);
}

/// U02.
#[test]
fn a_response_ends_where_its_head_says_or_is_refused() {
    for (bytes, to_head, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false, Framing::Length(7)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true, Framing::None),
        ("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false, Framing::Chunked),
        ("HTTP/1.1 200 \r\n\r\n", false, Framing::UntilClose),
        ("HTTP/1.0 200 OK\r\n\r\n", false, Framing::UntilClose),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", false, Framing::None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, Framing::None),
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false, Framing::None),
    ] {
        let mut head = ResponseHead::default();
        for cut in 0..bytes.len() {
            assert_eq!(head.parse(&bytes.as_bytes()[..cut], &LIMITS, to_head), Parsed::NeedMore);
        }
        assert_eq!(head.parse(bytes.as_bytes(), &LIMITS, to_head), Parsed::Head { len: bytes.len() });
        assert_eq!(head.framing, framing, "{bytes:?}");
    }
    for bad in [
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 600 x\r\n\r\n",
        "HTTP/1.1 2000 x\r\n\r\n",
        "HTTP/1.1  200 x\r\n\r\n",
        "HTTP/2 200 x\r\n\r\n",
        "HTTP/1.2 200 x\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    ] {
        let parsed = ResponseHead::default().parse(bad.as_bytes(), &LIMITS, false);
        assert!(matches!(parsed, Parsed::Refused(_)), "{bad:?}");
    }
}

#[test]
fn slugs_are_unique() {
    let mut all: Vec<_> = Refused::ALL.iter().map(|r| r.slug()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), Refused::ALL.len());
}
