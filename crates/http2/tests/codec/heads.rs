//! What a message may be (RFC 9113 §8): each rule from a head that is good, with one thing changed.

use crate::kit::*;
use everyhop_http2::{Config, Fault, Request};

const TUNNEL: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":authority", "a.test"),
    (":path", "/"),
];

fn asks(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, ALL, 1, &block(fields))
}

#[test]
fn a_request_comes_as_it_was_said() {
    let mut it = Peer::server();
    let fields = [&GET[..], &[("a", "b"), ("cookie", "x"), ("a", "c"), ("cookie", "y"), ("te", "trailers")]].concat();
    assert_eq!(it.hear(&asks(&fields)), [Said::Head { stream: 1, last: true, fields: pairs(&fields) }]);
}

#[test]
fn a_request_that_breaks_a_rule_of_fields_ends_its_stream() {
    use Fault::*;
    for (name, value, fault) in [
        ("Upper", "x", FieldName),
        ("", "x", FieldName),
        ("a b", "x", FieldName),
        ("a:b", "x", FieldName),
        ("a\r", "x", FieldName),
        ("a\u{e9}", "x", FieldName),
        ("a", "x\ny", FieldValue),
        ("a", "x\ry", FieldValue),
        ("a", "x\0", FieldValue),
        ("a", "\u{1f}", FieldValue),
        ("a", "\u{7f}", FieldValue),
        ("a", " x", FieldValue),
        ("a", "x ", FieldValue),
        ("a", "\tx", FieldValue),
        ("cookie", "x\t", FieldValue),
        ("connection", "close", ConnectionField),
        ("keep-alive", "x", ConnectionField),
        ("proxy-connection", "x", ConnectionField),
        ("transfer-encoding", "chunked", ConnectionField),
        ("upgrade", "websocket", ConnectionField),
        ("te", "gzip", ConnectionField),
        ("te", "trailers, gzip", ConnectionField),
        ("content-length", "", ContentLength),
        ("content-length", "+0", ContentLength),
        ("content-length", "0,0", ContentLength),
        ("content-length", "1234567890123456789", ContentLength),
        ("content-length", "5", BodyLength),
        (":status", "200", PseudoField),
        (":path", "/", PseudoField),
        (":foo", "x", PseudoField),
    ] {
        let fields = [&GET[..], &[(name, value)]].concat();
        assert_eq!(Peer::server().breaks(&asks(&fields)), fault, "{name}: {value:?}");
    }
    let two = [&GET[..], &[("content-length", "0"), ("content-length", "1")]].concat();
    assert_eq!(Peer::server().breaks(&asks(&two)), ContentLength);
    for fine in [("content-length", "0"), ("a", ""), ("a", "x y\u{e9}"), ("te", "trailers"), ("!#$%&'*+-.^_`|~", "x")] {
        let fields = [&GET[..], &[fine, fine]].concat();
        assert!(Peer::server().takes(&asks(&fields)), "{fine:?}");
    }
}

#[test]
fn pseudo_fields_come_first_once_and_all_that_are_needed() {
    use Fault::*;
    let without = |name: &str| GET.into_iter().filter(|it| it.0 != name).collect::<Vec<_>>();
    for name in [":method", ":scheme", ":path"] {
        assert_eq!(Peer::server().breaks(&asks(&without(name))), Missing, "{name}");
    }
    // Who has no authority says it by Host.
    assert!(Peer::server().takes(&asks(&without(":authority"))));
    assert_eq!(Peer::server().breaks(&asks(&[])), Missing);
    for (name, _) in GET {
        let late = [&without(name)[..], &[("a", "b")], &[*GET.iter().find(|it| it.0 == name).expect("one")]].concat();
        assert_eq!(Peer::server().breaks(&asks(&late)), PseudoField, "{name} behind a field");
        let twice = [&GET[..], &[*GET.iter().find(|it| it.0 == name).expect("one")]].concat();
        assert_eq!(Peer::server().breaks(&asks(&twice)), PseudoField, "{name} twice");
    }
    assert_eq!(Peer::server().breaks(&asks(&[&GET[..], &[(":protocol", "websocket")]].concat())), PseudoField);
}

#[test]
fn a_target_is_one() {
    let with = |name: &str, value: &str| {
        let fields: Vec<_> = GET.into_iter().map(|it| if it.0 == name { (it.0, value) } else { it }).collect();
        asks(&fields)
    };
    for (name, value) in [
        (":method", ""),
        (":method", "G T"),
        (":method", "G\u{e9}T"),
        (":scheme", ""),
        (":scheme", "1http"),
        (":scheme", "ht/tp"),
        (":authority", ""),
        (":authority", "a@b"),
        (":authority", "a b"),
        (":authority", "a/b"),
        (":authority", "a\\b"),
        (":authority", ":80"),
        (":authority", "a:8x"),
        (":authority", "[::1"),
        (":authority", "[::1]8"),
        (":authority", "[::1]:8x"),
        (":authority", "[::g]"),
        (":authority", "[]:80"),
        (":authority", "a[::1]"),
        (":path", ""),
        (":path", "a"),
        (":path", "**"),
        (":path", "http://a.test/"),
        (":path", "/a b"),
        (":path", "/a#b"),
        (":path", "/a?b#c"),
        (":path", "/a\u{7f}"),
        (":path", "/<"),
        (":path", "/?<"),
        (":path", "/a\tb"),
    ] {
        assert_eq!(Peer::server().breaks(&with(name, value)), Fault::Target, "{name}: {value}");
    }
    for (name, value) in [
        (":method", "M-SEARCH"),
        (":scheme", "coap+tcp"),
        (":authority", "[::1]:443"),
        (":authority", "[::ffff:1.2.3.4]"),
        (":authority", "a.test:8443"),
        (":path", "*"),
        (":path", "//"),
        (":path", "/%2F/\u{e9}/{}?a=\u{4e2d}&b[]=?/\\"),
    ] {
        assert!(Peer::server().takes(&with(name, value)), "{name}: {value}");
    }
    // Bytes that are no characters.
    let wrong = [block(&GET[..3]), literal(":path", b"/\xc3")].concat();
    assert_eq!(Peer::server().breaks(&frame(HEADERS, ALL, 1, &wrong)), Fault::Target);
}

#[test]
fn a_field_that_is_wrong_is_wrong_again_where_the_table_says_it() {
    let mut it = Peer::server();
    for (i, wrong) in [("Upper", "x"), ("a", "x\n"), ("connection", "x"), (":foo", "x")].into_iter().enumerate() {
        let mut kept = literal(wrong.0, wrong.1);
        kept[0] = 0x40;
        let stream = 4 * i as u32 + 1;
        let fault = it.breaks(&frame(HEADERS, ALL, stream, &[get(&[]), kept].concat()));
        let again = [get(&[]), vec![0xbe]].concat();
        assert_eq!(it.breaks(&frame(HEADERS, ALL, stream + 2, &again)), fault);
    }
    // What the static table has of them without a value.
    assert_eq!(it.breaks(&frame(HEADERS, ALL, 21, &[get(&[]), vec![0x80 | 57]].concat())), Fault::ConnectionField);
    assert_eq!(it.breaks(&frame(HEADERS, ALL, 23, &[0x82, 0x87, 0x84, 0x81])), Fault::Target);
}

#[test]
fn a_name_that_a_table_has_is_judged_with_each_value_anew() {
    use Fault::*;
    for (name, value, first, again) in [
        ("Upper", "x", FieldName, Some(FieldName)),
        (":foo", "x", PseudoField, Some(PseudoField)),
        ("a", "x\n", FieldValue, None),
        ("te", "gzip", ConnectionField, None),
        ("connection", "close", ConnectionField, Some(ConnectionField)),
    ] {
        let mut it = Peer::server();
        let mut kept = literal(name, value);
        kept[0] = 0x40;
        assert_eq!(it.breaks(&frame(HEADERS, ALL, 1, &[get(&[]), kept].concat())), first, "{name}");
        // A literal that nobody keeps, by the name of the newest entry (RFC 7541 §6.2.2).
        let other = frame(HEADERS, ALL, 3, &[&get(&[])[..], b"\x0f\x2f\x08trailers"].concat());
        match again {
            Some(fault) => assert_eq!(it.breaks(&other), fault, "{name}"),
            None => assert!(it.takes(&other), "{name}"),
        }
    }
}

#[test]
fn connect_names_an_authority_alone_and_extended_connect_what_a_request_has() {
    let plain = [(":method", "CONNECT"), (":authority", "a.test:443")];
    assert_eq!(Peer::server().hear(&asks(&plain)), [Said::Head { stream: 1, last: true, fields: pairs(&plain) }]);
    assert_eq!(Peer::server().breaks(&asks(&plain[..1])), Fault::Missing);
    for more in [(":scheme", "https"), (":path", "/")] {
        assert_eq!(Peer::server().breaks(&asks(&[&plain[..], &[more]].concat())), Fault::PseudoField);
    }
    let heard = Peer::server().hear(&frame(HEADERS, OPEN, 1, &block(&TUNNEL)));
    assert!(matches!(&heard[..], [Said::Head { fields, .. }] if fields.contains(&pairs(&TUNNEL)[1])));
    for i in 2..5 {
        let some: Vec<_> = TUNNEL.iter().enumerate().filter(|it| it.0 != i).map(|it| *it.1).collect();
        assert_eq!(Peer::server().breaks(&asks(&some)), Fault::Missing);
    }
    let mut closed = Peer::server_of(Config { extended_connect: false, ..Config::server() });
    assert_eq!(closed.breaks(&asks(&TUNNEL)), Fault::PseudoField);
    assert!(Peer::server_of(Config { extended_connect: false, ..Config::server() }).takes(&asks(&plain)));
}

#[test]
fn a_tunnel_has_no_length_whatever_is_declared() {
    let mut it = Peer::client();
    let connect = Request { method: b"CONNECT", authority: b"a.test:443", ..Request::default() };
    it.conn.request(&connect, false, |_| ()).expect("a stream");
    assert!(it.takes(&frame(HEADERS, OPEN, 1, &ok(&[("content-length", "5")]))));
    let more = [frame(DATA, 0, 1, b"more than five"), frame(DATA, END_STREAM, 1, b"")].concat();
    assert_eq!(it.hear(&more), [Said::Data { stream: 1, bytes: b"more than five".to_vec(), last: true }]);
}

#[test]
fn a_protocol_is_a_name_with_a_version_or_without() {
    let with = |protocol| asks(&[TUNNEL[0], (":protocol", protocol), TUNNEL[2], TUNNEL[3], TUNNEL[4]]);
    for fine in ["connect-udp", "a/1.1"] {
        assert!(Peer::server().takes(&with(fine)), "{fine}");
    }
    for wrong in ["", "a b", "/1", "a/", "a/1/2", "a\u{e9}"] {
        assert_eq!(Peer::server().breaks(&with(wrong)), Fault::Target, "{wrong}");
    }
}

#[test]
fn an_answer_has_a_status_and_nothing_else_before_its_fields() {
    use Fault::*;
    let answers = |fields: &[(&str, &str)]| frame(HEADERS, OPEN, 1, &block(fields));
    for (fields, fault) in [
        (&[][..], Missing),
        (&[("a", "b")], Missing),
        (&[(":status", "20")], Status),
        (&[(":status", "600")], Status),
        (&[(":status", "099")], Status),
        (&[(":status", "2x0")], Status),
        (&[(":status", "101")], Status),
        (&[(":status", "200"), (":status", "200")], PseudoField),
        (&[(":status", "200"), (":path", "/")], PseudoField),
        (&[("a", "b"), (":status", "200")], PseudoField),
        (&[(":status", "200"), ("connection", "close")], ConnectionField),
    ] {
        assert_eq!(Peer::asking(1).breaks(&answers(fields)), fault, "{fields:?}");
    }
    let teapot = Said::Head { stream: 1, last: false, fields: pairs(&[(":status", "418")]) };
    assert_eq!(Peer::asking(1).hear(&answers(&[(":status", "418")])), [teapot]);
    assert_eq!(Peer::asking(1).breaks(&frame(HEADERS, ALL, 1, &block(&[(":status", "100")]))), HeadAgain);
    assert_eq!(Peer::asking(1).breaks(&frame(HEADERS, ALL, 1, &ok(&[("content-length", "1")]))), BodyLength);
}

#[test]
fn interim_answers_come_before_the_final_one() {
    let mut it = Peer::asking(1);
    let early = |status| frame(HEADERS, OPEN, 1, &block(&[(":status", status), ("link", "x")]));
    let informational =
        |status| Said::Informational { stream: 1, fields: pairs(&[(":status", status), ("link", "x")]) };
    assert_eq!(it.hear(&[early("103"), early("100")].concat()), [informational("103"), informational("100")]);
    let last = frame(HEADERS, ALL, 1, &ok(&[]));
    assert_eq!(it.hear(&last), [Said::Head { stream: 1, last: true, fields: pairs(&OK) }]);
}

#[test]
fn a_body_is_as_long_as_it_was_declared() {
    let head = frame(HEADERS, OPEN, 1, &post(&[("content-length", "5")]));
    let data = |bytes: &[u8], flags| frame(DATA, flags, 1, bytes);
    for wrong in [
        data(b"hello!", 0),
        data(b"hell", END_STREAM),
        data(b"", END_STREAM),
        [data(b"hello", 0), data(b"!", 0)].concat(),
        [data(b"hel", 0), frame(HEADERS, ALL, 1, &block(&[("a", "b")]))].concat(),
    ] {
        assert_eq!(Peer::server().breaks(&[&head[..], &wrong].concat()), Fault::BodyLength);
    }
    for right in [
        data(b"hello", END_STREAM),
        [data(b"hel", 0), data(b"lo", 0), data(b"", END_STREAM)].concat(),
        frame(DATA, END_STREAM | PADDED, 1, b"\x03hello\0\0\0"),
    ] {
        let heard = Peer::server().hear(&[&head[..], &right].concat());
        assert_eq!(heard[1..], [Said::Data { stream: 1, bytes: b"hello".to_vec(), last: true }]);
    }
    // As many digits as there may be.
    let long = frame(HEADERS, OPEN, 1, &post(&[("content-length", "999999999999999999")]));
    assert!(Peer::server().takes(&long));
}

#[test]
fn an_answer_that_has_no_body_may_declare_one() {
    let answer =
        |status: &'static str, flags| frame(HEADERS, flags, 1, &block(&[(":status", status), ("content-length", "5")]));
    let mut to_head = Peer::client();
    to_head.ask("HEAD", true);
    assert!(to_head.takes(&answer("200", ALL)));
    assert!(Peer::asking(1).takes(&answer("304", ALL)));
    assert!(Peer::asking(1).takes(&answer("204", ALL)));
    // But has none all the same.
    let body = frame(DATA, END_STREAM, 1, b"hello");
    assert_eq!(Peer::asking(1).breaks(&[answer("304", OPEN), body.clone()].concat()), Fault::BodyLength);
    let mut to_head = Peer::client();
    to_head.ask("HEAD", true);
    assert_eq!(to_head.breaks(&[answer("200", OPEN), body].concat()), Fault::BodyLength);
}

#[test]
fn a_tunnel_has_no_trailers() {
    let trailers = frame(HEADERS, ALL, 1, &block(&[("a", "b")]));
    let open = frame(HEADERS, OPEN, 1, &block(&TUNNEL));
    assert_eq!(Peer::server().breaks(&[open, trailers.clone()].concat()), Fault::HeadAgain);
    for (status, is_tunnel) in [("200", true), ("404", false)] {
        let mut it = Peer::client();
        let connect = Request { method: b"CONNECT", authority: b"a.test:443", ..Request::default() };
        it.conn.request(&connect, false, |_| ()).expect("a stream");
        let answer = [frame(HEADERS, OPEN, 1, &block(&[(":status", status)])), trailers.clone()].concat();
        let heard = it.hear(&answer);
        let broken = Said::Broken { stream: 1, fault: Fault::HeadAgain };
        assert_eq!(heard.len() == 2 && heard[1] == broken, is_tunnel, "{heard:?}");
    }
}

#[test]
fn trailers_end_a_stream_and_have_no_pseudo_fields() {
    let open = |rest: Vec<u8>| [frame(HEADERS, OPEN, 1, &post(&[])), rest].concat();
    let trailers = |fields: &[(&str, &str)], flags| frame(HEADERS, flags, 1, &block(fields));
    let heard = Peer::server().hear(&open(trailers(&[("a", "b")], ALL)));
    assert_eq!(heard[1..], [Said::Trailers { stream: 1, fields: pairs(&[("a", "b")]) }]);
    for (fields, fault) in [
        ((":path", "/x"), Fault::PseudoField),
        ((":status", "200"), Fault::PseudoField),
        ((":foo", "x"), Fault::PseudoField),
        (("Upper", "x"), Fault::FieldName),
        (("a", "x\n"), Fault::FieldValue),
        (("transfer-encoding", "chunked"), Fault::ConnectionField),
    ] {
        assert_eq!(Peer::server().breaks(&open(trailers(&[fields], ALL))), fault, "{fields:?}");
    }
    let mut answered = Peer::asking(1);
    let answer = [frame(HEADERS, OPEN, 1, &ok(&[])), trailers(&[("grpc-status", "0")], ALL)].concat();
    assert_eq!(answered.hear(&answer)[1..], [Said::Trailers { stream: 1, fields: pairs(&[("grpc-status", "0")]) }]);
}

#[test]
fn a_head_that_is_too_long_is_told_and_may_be_answered() {
    let limits = Config { head_bytes: 1000, head_fields: 4, ..Config::server() };
    let long = "v".repeat(1000);
    for more in [&[("a", long.as_str())][..], &[("a", "b"); 5]] {
        let mut it = Peer::server_of(limits.clone());
        assert_eq!(it.hear(&frame(HEADERS, OPEN, 1, &post(more))), [Said::TooLong { stream: 1, last: false }]);
        assert_eq!(it.conn.answer(1, 431, true, |_| ()), Ok(()));
        it.conn.done(1);
        assert_eq!(it.says().iter().map(|it| it.kind).collect::<Vec<_>>(), [HEADERS, RESET]);
        // The table is in step, and the connection goes on.
        assert!(it.takes(&frame(HEADERS, ALL, 3, &get(&[]))));
        let fine = [&GET[..], &[("a", "b"); 4]].concat();
        let sized = [block(&fine)].concat();
        assert_eq!(
            it.hear(&frame(HEADERS, ALL, 5, &sized)),
            [Said::Head { stream: 5, last: true, fields: pairs(&fine) }]
        );
        let trailers = [frame(HEADERS, OPEN, 7, &post(&[])), frame(HEADERS, ALL, 7, &block(more))].concat();
        assert_eq!(it.hear(&trailers)[1..], [Said::TrailersTooLong { stream: 7 }]);
    }
    let mut client = Peer::client_of(limits);
    client.ask("GET", true);
    assert_eq!(client.breaks(&frame(HEADERS, OPEN, 1, &ok(&[("a", &long)]))), Fault::HeadTooLong);
    client.ask("GET", true);
    let trailers = [frame(HEADERS, OPEN, 3, &ok(&[])), frame(HEADERS, ALL, 3, &block(&[("a", &long)]))].concat();
    client.says();
    assert_eq!(client.hear(&trailers)[1..], [Said::TrailersTooLong { stream: 3 }]);
}

#[test]
fn a_head_that_was_taken_out_stays_as_it_was_while_others_come() {
    let mut it = Peer::server();
    it.hear(&asks(&[&GET[..], &[("a", "first")]].concat()));
    let mut kept = everyhop_http2::Head::default();
    it.conn.swap_head(&mut kept);
    it.hear(&frame(HEADERS, ALL, 3, &get(&[("a", "second")])));
    assert_eq!((kept.get(b"a"), it.conn.head().get(b"a")), (Some(&b"first"[..]), Some(&b"second"[..])));
    assert_eq!((kept.method(), kept.path(), kept.status()), (&b"GET"[..], &b"/"[..], 0));
}
