//! What is written: heads whole and in frames that everybody takes, and nothing that a strict reader would refuse.

use crate::kit::*;
use everyhop_http2::{Config, NotSent, Request};

/// What `from` said, as a peer of the other side hears it.
fn passed(from: &mut Peer, to: &mut Peer) -> Vec<Said> {
    let bytes = from.conn.output().to_vec();
    from.conn.sent(bytes.len());
    to.hear(bytes.strip_prefix(&everyhop_http2::PREFACE[..]).unwrap_or(&bytes))
}

#[test]
fn fields_are_written_in_lower_case_and_what_http2_does_not_carry_is_left_out() {
    let (mut server, mut client) = (Peer::server(), Peer::asking(1));
    server.hear(&frame(HEADERS, ALL, 1, &get(&[])));
    let mut put = Vec::new();
    let fields = [
        ("Content-Type", "text/plain", true),
        ("Accept-Charset", "utf-8", true),
        ("X-\u{e9}", "x", false),
        ("Connection", "close", false),
        ("Transfer-Encoding", "chunked", false),
        ("TE", "gzip", false),
        (":path", "/", false),
        ("a", "x\r\nb: c", false),
        ("a", "\u{e9}", true),
        ("Content-Length", "3", true),
        ("content-length", "3", true),
        ("content-length", "4", false),
        ("content-length", "x", false),
        ("Set-Cookie", "a", true),
        ("set-cookie", "b", true),
    ];
    let answered = server.conn.answer(1, 418, false, |to| {
        put.extend(fields.iter().map(|(name, value, _)| to.put(name.as_bytes(), value.as_bytes())));
        assert!(to.put_secret(b"X-Secret", b"s"));
    });
    assert_eq!((answered, put), (Ok(()), fields.iter().map(|it| it.2).collect()));
    let heard = passed(&mut server, &mut client);
    let [Said::Head { fields, .. }] = &heard[..] else { panic!("{heard:?}") };
    let names: Vec<_> = fields.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(fields[0].1, "418");
    let wanted = [
        ":status",
        "content-type",
        "accept-charset",
        "a",
        "content-length",
        "content-length",
        "set-cookie",
        "set-cookie",
        "x-secret",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn a_head_that_is_too_long_for_a_frame_goes_on_in_others() {
    let roomy = Config { head_bytes: 1 << 20, ..Config::client() };
    let (mut server, mut client) = (Peer::server(), Peer::client_of(roomy));
    client.ask("GET", true);
    passed(&mut client, &mut server);
    let long = "\u{e9}".repeat(10_000);
    server.conn.answer(1, 200, true, |to| assert!(to.put(b"a", long.as_bytes()))).expect("open");
    let bytes = server.conn.output().to_vec();
    let kinds: Vec<_> = frames(&bytes).iter().map(|it| (it.kind, it.flags)).collect();
    assert_eq!((kinds[0], kinds.last()), ((HEADERS, END_STREAM), Some(&(CONTINUATION, END_HEADERS))));
    assert!(frames(&bytes).iter().all(|it| it.payload.len() <= 16_384));
    let heard = passed(&mut server, &mut client);
    let [Said::Head { fields, last: true, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(fields[1].1, text(long.as_bytes()));
}

#[test]
fn a_message_goes_in_its_order() {
    let mut it = Peer::server();
    it.hear(&frame(HEADERS, ALL, 1, &get(&[])));
    assert_eq!(it.conn.body(1, b"x", false), Err(NotSent::Order));
    assert_eq!(it.conn.trailers(1, |_| ()), Err(NotSent::Order));
    for status in [0, 99, 100, 101, 600, 999] {
        assert_eq!(it.conn.answer(1, status, true, |_| ()), Err(NotSent::Order), "{status}");
    }
    for status in [0, 99, 101, 200] {
        assert_eq!(it.conn.informational(1, status, |_| ()), Err(NotSent::Order), "{status}");
    }
    assert_eq!(it.conn.informational(1, 103, |to| assert!(to.put(b"link", b"x"))), Ok(()));
    assert_eq!(it.conn.answer(1, 200, false, |_| ()), Ok(()));
    assert_eq!(it.conn.answer(1, 200, false, |_| ()), Err(NotSent::Order));
    assert_eq!(it.conn.informational(1, 103, |_| ()), Err(NotSent::Order));
    assert_eq!(it.conn.trailers(1, |to| assert!(to.put(b"a", b"b"))), Ok(()));
    assert_eq!(it.conn.body(1, b"x", true), Err(NotSent::Gone));
    assert_eq!(it.conn.answer(99, 200, true, |_| ()), Err(NotSent::Gone));
    let flags: Vec<_> = it.says().iter().map(|it| it.flags).collect();
    assert_eq!(flags, [OPEN, OPEN, ALL]);
}

#[test]
fn both_sides_of_ours_understand_each_other() {
    let (mut client, mut server) = (Peer::client(), Peer::server());
    let tunnel = Request { method: b"CONNECT", scheme: b"https", authority: b"a", path: b"/", protocol: b"websocket" };
    client.conn.request(&tunnel, false, |_| ()).expect("room");
    let post = Request { method: b"POST", scheme: b"https", authority: b"a", path: b"/x?y", protocol: b"" };
    client.conn.request(&post, false, |to| assert!(to.put(b"TE", b"trailers"))).expect("room");
    assert_eq!(client.conn.body(3, b"hello", false), Ok(5));
    client.conn.trailers(3, |to| assert!(to.put(b"a", b"b"))).expect("open");
    let heard = passed(&mut client, &mut server);
    assert!(matches!(&heard[0], Said::Head { stream: 1, last: false, fields } if fields.len() == 5));
    assert!(matches!(&heard[1], Said::Head { stream: 3, last: false, fields } if fields.len() == 5));
    assert_eq!(heard[2], Said::Data { stream: 3, bytes: b"hello".to_vec(), last: false });
    assert_eq!(heard[3], Said::Trailers { stream: 3, fields: pairs(&[("a", "b")]) });
    server.conn.answer(1, 200, false, |_| ()).expect("open");
    server.conn.body(1, b"in the tunnel", false).expect("open");
    server.conn.answer(3, 204, true, |_| ()).expect("open");
    let heard = passed(&mut server, &mut client);
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[1], Said::Data { stream: 1, bytes: b"in the tunnel".to_vec(), last: false });
}

#[test]
fn whether_tunnels_are_taken_is_known_once_settings_came() {
    let mut it = Peer::new(everyhop_http2::Connection::client(Config::client()));
    assert_eq!(it.conn.takes_extended_connect(), None);
    it.hear(&settings(&[]));
    assert_eq!(it.conn.takes_extended_connect(), Some(false));
    it.hear(&settings(&[(8, 1)]));
    assert_eq!(it.conn.takes_extended_connect(), Some(true));
    // What a server of ours says first.
    let server = everyhop_http2::Connection::server(Config::server());
    let mut client = Peer::new(everyhop_http2::Connection::client(Config::client()));
    client.hear(server.output());
    assert_eq!(client.conn.takes_extended_connect(), Some(true));
}

#[test]
fn a_peer_whose_table_is_smaller_is_written_to_by_that() {
    let (mut server, mut client) = (Peer::server(), Peer::asking(40));
    for i in 0..40u32 {
        let stream = 2 * i + 1;
        // Its own table it has told before each.
        let size = [0, 100, 4096, 50, 65_536][i as usize % 5];
        server.hear(&settings(&[(1, size), (1, size / 2)]));
        server.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        server.says();
        let value = format!("value {}", i % 3);
        server.conn.answer(stream, 200, true, |to| assert!(to.put(b"x-own", value.as_bytes()))).expect("open");
        let heard = passed(&mut server, &mut client);
        let fields = pairs(&[(":status", "200"), ("x-own", &value)]);
        assert_eq!(heard, [Said::Head { stream, last: true, fields }]);
    }
}
