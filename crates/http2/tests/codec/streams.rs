//! The states of a stream (RFC 9113 §5.1), how many there may be, and what counts until the caller has done with it.

use crate::kit::*;
use everyhop_http2::{Code, Config, Fault, NoStream, NotSent, Ready, Request};

const HELLO: [Said; 0] = [];

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, OPEN, stream, &post(&[]))
}

fn asks(stream: u32) -> Vec<u8> {
    frame(HEADERS, ALL, stream, &get(&[]))
}

#[test]
fn streams_begin_in_their_order_and_what_was_passed_over_is_closed() {
    let mut it = Peer::server();
    it.hear(&asks(5));
    assert_eq!(it.fails(&asks(3)), Fault::Closed);
    let mut it = Peer::server();
    it.hear(&asks(5));
    assert_eq!(it.hear(&update(3, 1)), HELLO, "it may have been sent before");
    assert_eq!(it.fails(&frame(DATA, 0, 3, b"x")), Fault::Closed);
}

#[test]
fn a_stream_that_both_ended_is_closed() {
    for late in [frame(DATA, 0, 1, b"x"), frame(HEADERS, ALL, 1, &block(&[("a", "b")]))] {
        let mut it = Peer::server();
        it.hear(&asks(1));
        it.conn.answer(1, 200, true, |_| ()).expect("open");
        assert_eq!(it.conn.body(1, b"x", true), Err(NotSent::Gone));
        assert_eq!(it.hear(&[update(1, 1), reset(1, 8)].concat()), HELLO, "these may be on their way");
        assert_eq!(it.fails(&late), Fault::Closed);
    }
}

#[test]
fn what_is_on_its_way_to_a_stream_that_we_reset_is_passed_over() {
    let mut it = Peer::server();
    it.hear(&open(1));
    it.conn.reset(1, Code::CANCEL).expect("open");
    it.conn.done(1);
    let late = [
        frame(DATA, 0, 1, &[0; 1000]),
        update(1, 5),
        frame(HEADERS, ALL, 1, &block(&[("a", "b")])),
        reset(1, 8),
        frame(PRIORITY, 0, 1, &[0; 5]),
    ];
    assert_eq!(it.hear(&late.concat()), HELLO);
    // And the table was kept in step by what was passed over.
    assert_eq!(it.hear(&asks(3)).len(), 1);
}

#[test]
fn so_many_resets_are_remembered_and_no_more() {
    let mut it = Peer::server_of(Config { remembered: 4, ..Config::server() });
    for stream in [1, 3, 5, 7, 9, 11] {
        it.hear(&open(stream));
        it.conn.reset(stream, Code::CANCEL).expect("open");
        it.conn.done(stream);
    }
    for stream in [5, 7, 9, 11] {
        assert_eq!(it.hear(&frame(DATA, 0, stream, b"x")), HELLO);
    }
    assert_eq!(it.fails(&frame(DATA, 0, 3, b"x")), Fault::Closed);
}

#[test]
fn a_client_that_took_back_more_than_it_remembers_keeps_its_connection() {
    let mut it = Peer::client_of(Config { remembered: 4, ..Config::client() });
    let all: Vec<u32> = (0..20).map(|_| it.ask("GET", true)).collect();
    for stream in &all {
        it.conn.done(*stream);
    }
    let other = it.ask("GET", true);
    for stream in &all {
        let answer = [frame(HEADERS, OPEN, *stream, &ok(&[])), frame(DATA, END_STREAM, *stream, b"x")].concat();
        assert_eq!(it.hear(&answer), HELLO, "{stream}");
    }
    // What ended in order is closed all the same.
    assert_eq!(it.hear(&frame(HEADERS, ALL, other, &ok(&[]))).len(), 1);
    assert_eq!(it.fails(&frame(DATA, 0, other, b"x")), Fault::Closed);
}

#[test]
fn a_peer_that_reset_a_stream_says_nothing_more_on_it() {
    let mut it = Peer::server();
    it.hear(&open(1));
    assert_eq!(it.hear(&reset(1, 8)), [Said::Reset { stream: 1, code: Code::CANCEL }]);
    assert_eq!(it.conn.answer(1, 200, true, |_| ()), Err(NotSent::Gone));
    it.conn.done(1);
    assert_eq!(it.says(), []);
    assert_eq!(it.fails(&frame(DATA, 0, 1, b"x")), Fault::Closed);
}

#[test]
fn more_streams_than_may_be_open_are_refused_and_may_come_again() {
    let mut it = Peer::server_of(Config { streams: 2, ..Config::server() });
    assert_eq!(it.hear(&[open(1), open(3), open(5)].concat()).len(), 2);
    assert_eq!(it.says(), frames(&reset(5, 7)));
    assert_eq!(it.hear(&frame(DATA, 0, 5, b"x")), HELLO);
    it.conn.answer(1, 200, true, |_| ()).expect("open");
    assert_eq!(it.conn.open_streams(), 2, "its request has not ended");
    it.hear(&frame(DATA, END_STREAM, 1, b""));
    assert_eq!(it.conn.open_streams(), 1);
    assert_eq!(it.hear(&open(7)).len(), 1);
}

#[test]
fn a_stream_that_the_peer_reset_counts_until_the_work_for_it_is_over() {
    let mut it = Peer::server_of(Config { streams: 2, ..Config::server() });
    it.hear(&[open(1), open(3), reset(1, 8), reset(3, 8)].concat());
    assert_eq!((it.conn.open_streams(), it.hear(&open(5))), (2, vec![]));
    assert_eq!(it.says(), frames(&reset(5, 7)));
    it.conn.done(1);
    assert_eq!((it.conn.open_streams(), it.hear(&open(7)).len()), (1, 1));
}

#[test]
fn streams_that_are_over_and_not_done_with_are_no_more_than_may_be_open() {
    let mut it = Peer::server_of(Config { streams: 3, ..Config::server() });
    for stream in [1, 3, 5, 7, 9, 11] {
        assert_eq!(it.hear(&asks(stream)).len(), 1);
        it.conn.answer(stream, 200, true, |_| ()).expect("open");
    }
    assert_eq!((it.conn.open_streams(), it.hear(&asks(13))), (0, vec![]), "six are held");
    it.conn.done(3);
    assert_eq!(it.hear(&asks(15)).len(), 1);
}

#[test]
fn whoever_is_done_too_early_breaks_the_stream_off_and_says_how_much_of_it_was_right() {
    let told = |it: &mut Peer| it.says().last().map(|it| (it.kind, it.number()));
    let mut it = Peer::server();
    it.hear(&open(1));
    it.conn.answer(1, 200, true, |_| ()).expect("open");
    it.conn.done(1);
    assert_eq!(told(&mut it), Some((RESET, 0)), "the whole answer went");
    it.hear(&open(3));
    it.conn.answer(3, 200, false, |_| ()).expect("open");
    it.conn.done(3);
    assert_eq!(told(&mut it), Some((RESET, 8)));
    it.hear(&asks(5));
    it.conn.answer(5, 200, true, |_| ()).expect("open");
    it.says();
    it.conn.done(5);
    it.conn.done(5);
    assert_eq!(it.says(), []);
    let mut client = Peer::asking(1);
    client.conn.done(1);
    assert_eq!(told(&mut client), Some((RESET, 8)));
}

#[test]
fn a_client_opens_as_many_as_the_server_takes_and_is_told_once_when_it_takes_one_more() {
    let mut it = Peer::client();
    it.hear(&settings(&[(3, 2)]));
    let get = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };
    assert_eq!(it.conn.request(&get, true, |_| ()), Ok(1));
    assert_eq!(it.conn.request(&get, true, |_| ()), Ok(3));
    assert!(!it.conn.has_room());
    assert_eq!(it.ready(), []);
    for _ in 0..3 {
        assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Full));
    }
    it.hear(&frame(HEADERS, ALL, 1, &ok(&[])));
    assert_eq!(it.ready(), [Ready::Request]);
    it.hear(&frame(HEADERS, ALL, 3, &ok(&[])));
    assert_eq!((it.ready(), it.conn.has_room()), (vec![], true));
    it.hear(&settings(&[(3, 0)]));
    assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Full));
    it.hear(&settings(&[(3, 1)]));
    assert_eq!(it.ready(), [Ready::Request]);
}

#[test]
fn a_request_that_waits_for_room_is_told_when_there_will_be_none() {
    type Ends = fn(&mut Peer);
    let ends: [Ends; 5] = [
        |it| drop(it.hear(&frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]))),
        |it| drop(it.hears(&update(0, 0))),
        |it| it.conn.abort(Code::NO_ERROR),
        |it| it.conn.leave(),
        |it| it.conn.end_of_input().expect("at a frame's end"),
    ];
    let get = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };
    for end in ends {
        let mut it = Peer::client();
        it.hear(&settings(&[(3, 1)]));
        it.ask("GET", true);
        assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Full));
        end(&mut it);
        assert_eq!(it.ready(), [Ready::Request]);
        assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Away));
    }
}

#[test]
fn room_that_another_took_is_not_told_of() {
    let mut it = Peer::client();
    it.hear(&settings(&[(3, 1)]));
    it.ask("GET", true);
    let get = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };
    assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Full));
    it.hear(&frame(HEADERS, ALL, 1, &ok(&[])));
    it.ask("GET", true);
    assert_eq!(it.ready(), []);
    it.hear(&frame(HEADERS, ALL, 3, &ok(&[])));
    assert_eq!(it.ready(), [Ready::Request]);
}

#[test]
fn a_request_that_cannot_be_said_opens_nothing() {
    let mut it = Peer::client();
    let good = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };
    for wrong in [
        Request { method: b"", ..good },
        Request { method: b"G T", ..good },
        Request { scheme: b"", ..good },
        Request { path: b"", ..good },
        Request { path: b"/ ", ..good },
        Request { path: b"/<", ..good },
        Request { authority: b"a b", ..good },
        Request { protocol: b"websocket", ..good },
        Request { method: b"CONNECT", ..good },
        Request { method: b"CONNECT", scheme: b"", ..good },
        Request { method: b"CONNECT", path: b"", ..good },
        Request { method: b"CONNECT", scheme: b"", path: b"", authority: b"", protocol: b"" },
    ] {
        assert_eq!(it.conn.request(&wrong, true, |_| ()), Err(NoStream::Malformed), "{wrong:?}");
    }
    assert_eq!((it.says(), it.conn.open_streams()), (vec![], 0));
    for right in [
        Request { authority: b"", ..good },
        Request { method: b"CONNECT", protocol: b"websocket", ..good },
        Request { method: b"CONNECT", scheme: b"", path: b"", ..good },
    ] {
        assert!(it.conn.request(&right, false, |_| ()).is_ok());
    }
    // It declares what it does not send.
    let short = it.conn.request(&good, true, |fields| assert!(fields.put(b"content-length", b"5")));
    assert_eq!(short, Err(NoStream::Malformed));
    assert_eq!(it.conn.open_streams(), 3);
}

#[test]
fn a_client_takes_answers_on_its_own_streams_alone() {
    let answer = |stream| frame(HEADERS, ALL, stream, &ok(&[]));
    assert_eq!(Peer::client().fails(&answer(1)), Fault::Idle);
    assert_eq!(Peer::asking(1).fails(&answer(3)), Fault::Idle);
    assert_eq!(Peer::asking(1).fails(&answer(2)), Fault::Place);
    let mut it = Peer::asking(2);
    it.hear(&answer(3));
    it.conn.done(3);
    it.conn.done(1);
    assert_eq!(it.hear(&answer(1)), HELLO, "it may be on its way");
    assert_eq!(it.fails(&answer(3)), Fault::Closed);
}
