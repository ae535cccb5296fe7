//! What a head says of its connection, which fields are for it alone, and how what we say ourselves is written.

use everyhop_http1::{
    FieldId, Limits, Parsed, Refused, RequestHead, ResponseHead, binds_the_connection, field_id, is_twin, write,
};

const LIMITS: Limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 200 };

fn request(version: &str, fields: &str) -> RequestHead {
    let mut head = RequestHead::default();
    let bytes = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
    assert_eq!(head.parse(bytes.as_bytes(), &LIMITS), Parsed::Head { len: bytes.len() }, "{bytes:?}");
    head
}

fn response(version: &str, fields: &str) -> ResponseHead {
    let mut head = ResponseHead::default();
    let bytes = format!("HTTP/{version} 200 OK\r\n{fields}\r\n");
    assert_eq!(head.parse(bytes.as_bytes(), &LIMITS, false), Parsed::Head { len: bytes.len() }, "{bytes:?}");
    head
}

#[test]
fn a_connection_stays_by_default_in_1_1_and_only_if_asked_for_in_1_0_and_never_where_close_is_said() {
    for (version, said, stays) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        assert_eq!(request(version, said).keeps_alive(), stays, "{version} {said:?}");
        let length = format!("{said}Content-Length: 0\r\n");
        assert_eq!(response(version, &length).keeps_alive(), stays, "{version} {said:?}");
    }
    assert!(!response("1.1", "").keeps_alive(), "its body ends with the connection");
}

#[test]
fn each_word_of_connection_is_heard_in_any_case_and_what_is_none_of_its_own_names_a_field() {
    for (value, close, keep_alive, upgrade, nominates) in [
        ("close", true, false, false, false),
        ("KEEP-ALIVE", false, true, false, false),
        ("upgrade", false, false, true, false),
        (" , Upgrade ,\t, close,", true, false, true, false),
        ("X-A", false, false, false, true),
        ("clos1", false, false, false, true),
        ("upgrad1", false, false, false, true),
        ("keep-aliv1", false, false, false, true),
        ("", false, false, false, false),
    ] {
        for it in [
            request("1.1", &format!("Connection: {value}\r\n")).connection,
            response("1.1", &format!("Connection: {value}\r\n")).connection,
        ] {
            let heard = (it.close, it.keep_alive, it.upgrade, it.nominates);
            assert_eq!(heard, (close, keep_alive, upgrade, nominates), "{value:?}");
        }
    }
}

#[test]
fn a_field_that_connection_names_goes_no_farther_than_this_connection() {
    let fields = "X-A: 1\r\nX-B: 2\r\nConnection: x-b , close\r\nTE: t\r\n";
    let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
    let mut head = RequestHead::default();
    assert!(matches!(head.parse(&bytes, &LIMITS), Parsed::Head { .. }));
    let hop: Vec<bool> = head.fields.iter().map(|f| head.is_hop_by_hop(f, &bytes)).collect();
    assert_eq!(hop, [false, false, true, true, true]);
    let bytes = format!("HTTP/1.1 200\r\n{fields}\r\n").into_bytes();
    let mut head = ResponseHead::default();
    assert!(matches!(head.parse(&bytes, &LIMITS, false), Parsed::Head { .. }));
    let hop: Vec<bool> = head.fields.iter().map(|f| head.is_hop_by_hop(f, &bytes)).collect();
    assert_eq!(hop, [false, true, true, true]);
}

#[test]
fn a_host_is_needed_in_1_1_and_not_in_1_0() {
    for (bytes, expected) in [
        ("GET / HTTP/1.0\r\n\r\n", Parsed::Head { len: 18 }),
        ("GET / HTTP/1.0\r\nHost: h\r\n\r\n", Parsed::Head { len: 27 }),
        ("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", Parsed::Refused(Refused::TwoHosts)),
        ("GET / HTTP/1.1\r\n\r\n", Parsed::Refused(Refused::NoHost)),
    ] {
        assert_eq!(RequestHead::default().parse(bytes.as_bytes(), &LIMITS), expected, "{bytes:?}");
    }
}

#[test]
fn a_client_that_waits_for_100_is_known_in_1_1_and_ignored_in_1_0_and_of_a_backend_it_says_nothing() {
    assert!(request("1.1", "Expect: 100-Continue\r\n").expects_continue);
    assert!(!request("1.0", "Expect: 100-continue\r\n").expects_continue);
    assert!(!request("1.1", "").expects_continue);
    let twice = "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n";
    let parsed = RequestHead::default().parse(twice.as_bytes(), &LIMITS);
    assert_eq!(parsed, Parsed::Refused(Refused::Expectation));
    response("1.1", "Expect: anything\r\n");
}

#[test]
fn the_value_of_a_field_that_is_not_there_is_none() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: \r\n\r\n";
    let mut head = RequestHead::default();
    assert!(matches!(head.parse(bytes, &LIMITS), Parsed::Head { .. }));
    assert_eq!(head.value(FieldId::Host, bytes), Some(&b"h"[..]));
    assert_eq!(head.value(FieldId::Authorization, bytes), Some(&b""[..]));
    assert_eq!(head.value(FieldId::Date, bytes), None);
}

#[test]
fn schemes_that_prove_who_a_connection_is_are_known_wherever_they_stand_in_a_list() {
    for value in ["NTLM", "Negotiate abc=", "ntlm\tabc", "Basic realm=\"x\", Negotiate", "Basic a ,  nTLM"] {
        assert!(binds_the_connection(value.as_bytes()), "{value}");
    }
    for value in ["", "Basic abc", "Bearer negotiate", "NTLMv2 x", "Digest a=\"ntlm\"", "Negotiated x"] {
        assert!(!binds_the_connection(value.as_bytes()), "{value}");
    }
}

#[test]
fn a_name_is_that_of_the_edge_by_its_whole_or_by_how_it_begins_in_every_spelling() {
    for name in [
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-request-id",
        "x-original-url",
        "x-rewrite-url",
        "x-remote-user",
        "x-forwarded",
        "x-forwarded-host",
        "x-client-cert",
        "x-client-cert-dn",
        "x-ssl-",
        "x-original-host",
        "x-tls-client",
        "forwarded",
        "client-cert",
        "client-cert-chain",
        "true-client-ip",
        "ssl-client-verify",
        "content_length",
        "transfer_encoding",
    ] {
        for shown in [name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replacen('-', ".", 1)] {
            let id = field_id(shown.as_bytes());
            assert!(id.is_identity() || matches!(id, FieldId::ContentLength | FieldId::TransferEncoding), "{shown}");
        }
    }
    for name in [
        "x-real-ip2",
        "x-request-i",
        "forwarde",
        "forwarded-for",
        "true-client-ips",
        "ssl-client",
        "x-ssl",
        "x_trace",
        "content-lengths",
    ] {
        assert_eq!(field_id(name.as_bytes()), FieldId::Other, "{name}");
    }
}

#[test]
fn what_is_ours_to_say_is_written_with_its_name_its_number_and_its_reason() {
    let mut out = Vec::new();
    write::status_line(&mut out, 404, b"");
    write::status_line(&mut out, 799, b"");
    write::field(&mut out, b"A", b"b c");
    for n in [0, 1, 10, 255, 256, 4096, usize::MAX] {
        write::chunk_size(&mut out, n);
    }
    let expected = "HTTP/1.1 404 Not Found\r\nHTTP/1.1 799 Unknown\r\nA: b c\r\n\
                    0\r\n1\r\na\r\nff\r\n100\r\n1000\r\nffffffffffffffff\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

/// RFC 9110 §15: those that have a name there, and 103 (RFC 8297), 425 (RFC 8470), 428, 429, 431 (RFC 6585) and 451
/// (RFC 7725).
#[test]
fn each_status_that_has_a_name_is_written_with_it_and_no_two_share_one() {
    let named: Vec<u16> = (0..1000).filter(|s| write::reason(*s) != "Unknown").collect();
    let expected = [
        100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308,
        400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424,
        425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511,
    ];
    assert_eq!(named, expected);
    let mut names: Vec<&str> = named.iter().map(|s| write::reason(*s)).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), expected.len());
    for (status, name) in [
        (200, "OK"),
        (403, "Forbidden"),
        (421, "Misdirected Request"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
    ] {
        assert_eq!(write::reason(status), name);
    }
}

#[test]
fn each_reason_to_refuse_has_a_sentence_and_a_status_that_blames_whoever_sent_it() {
    for it in Refused::ALL {
        assert!(it.slug().starts_with("http1/") && it.sentence().len() > 10, "{it:?}");
        assert!((400..=417).contains(&it.status()) || matches!(it.status(), 431 | 501 | 502 | 505), "{it:?}");
    }
}

/// RFC 2068 §19.7.1.1: an offer; what is none says nothing.
#[test]
fn how_long_a_backend_keeps_an_idle_connection_is_what_it_says_as_a_number() {
    for (said, kept) in [
        ("timeout=5", Some(5)),
        ("max=100, timeout=5", Some(5)),
        ("timeout=5,max=100", Some(5)),
        ("timeout=0", Some(0)),
        ("timeout=4294967295", Some(u32::MAX)),
        ("timeout=4294967296", None),
        ("timeout=", None),
        ("timeout=5s", None),
        ("timeout", None),
        ("max=5", None),
        ("xtimeout=5", None),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {said}\r\n\r\n");
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(bytes.as_bytes(), &LIMITS, false), Parsed::Head { len: bytes.len() }, "{said}");
        assert_eq!(head.keep_alive_s, kept, "{said}");
    }
}

#[test]
fn a_route_may_change_what_neither_frames_a_message_nor_says_who_the_client_is() {
    for (name, in_answer, in_request) in [
        ("X-Own", true, true),
        ("Server", true, true),
        ("Authorization", true, true),
        ("X-Forwarded-For", true, false),
        ("Forwarded", true, false),
        ("Host", true, false),
        ("Expect", true, false),
        ("Early-Data", true, false),
        ("Content-Length", false, false),
        ("Transfer-Encoding", false, false),
        ("Connection", false, false),
        ("Upgrade", false, false),
        ("TE", false, false),
    ] {
        let id = field_id(name.as_bytes());
        assert_eq!((id.is_editable(true), id.is_editable(false)), (in_answer, in_request), "{name}");
    }
}

#[test]
fn two_names_are_twins_where_a_backend_that_reads_underscores_and_dots_as_hyphens_takes_one_for_the_other() {
    for (name, other) in [("X-User", "x_user"), ("x.user", "X-USER"), ("x_user", "x.user"), ("a", "A"), ("", "")] {
        assert!(is_twin(name.as_bytes(), other.as_bytes()), "{name} {other}");
    }
    for (name, other) in
        [("x-user", "x-use"), ("x-user", "x-usex"), ("x-use", "x-user"), ("xuser", "x-user"), ("a", "b")]
    {
        assert!(!is_twin(name.as_bytes(), other.as_bytes()), "{name} {other}");
    }
}

#[test]
fn two_fields_say_which_trace_a_request_is_part_of() {
    for (name, says) in
        [("Traceparent", true), ("TraceState", true), ("Trace", false), ("Baggage", false), ("B3", false)]
    {
        assert_eq!(field_id(name.as_bytes()).is_of_trace(), says, "{name}");
    }
}
