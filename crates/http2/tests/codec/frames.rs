//! Frames that must not be: what ends the connection, what its stream alone, and with which code (RFC 9113 §4 to §6).

use crate::kit::*;
use everyhop_http2::{Config, Connection, Fault, PREFACE};

fn head(flags: u8) -> Vec<u8> {
    frame(HEADERS, flags, 1, &get(&[]))
}

#[test]
fn a_client_begins_with_its_preface_and_settings() {
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"] {
        assert_eq!(Peer::new(Connection::server(Config::server())).fails(wrong), Fault::Preface);
    }
    for first in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, ACK, 0, &[]), head(ALL), frame(DATA, 0, 1, b"x")] {
        let wrong = [&PREFACE[..], &first].concat();
        assert_eq!(Peer::new(Connection::server(Config::server())).fails(&wrong), Fault::NoSettings);
        assert_eq!(Peer::new(Connection::client(Config::client())).fails(&first), Fault::NoSettings);
    }
}

#[test]
fn what_no_frame_may_be_ends_the_connection() {
    let on = |kind, stream: u32, n: usize| frame(kind, 0, stream, &vec![0; n]);
    let open = head(OPEN);
    for (what, bytes, fault) in [
        ("a frame that is too long", on(PING, 0, 16_385), Fault::FrameSize),
        ("DATA that is too long", [&open[..], &on(DATA, 1, 16_385)].concat(), Fault::FrameSize),
        ("an unknown frame that is too long", on(99, 0, 16_385), Fault::FrameSize),
        ("DATA on the connection", on(DATA, 0, 1), Fault::Place),
        ("HEADERS on the connection", frame(HEADERS, ALL, 0, &get(&[])), Fault::Place),
        ("PRIORITY on the connection", on(PRIORITY, 0, 5), Fault::Place),
        ("RST_STREAM on the connection", on(RESET, 0, 4), Fault::Place),
        ("SETTINGS on a stream", on(SETTINGS, 1, 0), Fault::Place),
        ("PING on a stream", on(PING, 1, 8), Fault::Place),
        ("GOAWAY on a stream", on(GOAWAY, 1, 8), Fault::Place),
        ("HEADERS on a stream of a server's", frame(HEADERS, ALL, 2, &get(&[])), Fault::Place),
        ("DATA on an idle stream", on(DATA, 1, 1), Fault::Idle),
        ("DATA on a server's stream", on(DATA, 2, 1), Fault::Idle),
        ("RST_STREAM on an idle stream", on(RESET, 1, 4), Fault::Idle),
        ("WINDOW_UPDATE on an idle stream", update(1, 1), Fault::Idle),
        ("RST_STREAM of five bytes", [&open[..], &on(RESET, 1, 5)].concat(), Fault::FrameSize),
        ("RST_STREAM of three bytes", [&open[..], &on(RESET, 1, 3)].concat(), Fault::FrameSize),
        ("WINDOW_UPDATE of three bytes", on(UPDATE, 0, 3), Fault::FrameSize),
        ("WINDOW_UPDATE of five bytes", [&open[..], &on(UPDATE, 1, 5)].concat(), Fault::FrameSize),
        ("PING of seven bytes", on(PING, 0, 7), Fault::FrameSize),
        ("PING of nine bytes", frame(PING, ACK, 0, &[0; 9]), Fault::FrameSize),
        ("GOAWAY of seven bytes", on(GOAWAY, 0, 7), Fault::FrameSize),
        ("SETTINGS of seven bytes", on(SETTINGS, 0, 7), Fault::FrameSize),
        ("an acknowledgement that says something", frame(SETTINGS, ACK, 0, &[0; 6]), Fault::FrameSize),
        ("an acknowledgement of nothing", frame(SETTINGS, ACK, 0, &[]), Fault::Acknowledged),
        ("PRIORITY of four bytes on an idle stream", on(PRIORITY, 1, 4), Fault::FrameSize),
        ("an idle stream that depends on itself", frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), Fault::Itself),
        ("a push", on(PUSH, 1, 8), Fault::Push),
        ("CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, &get(&[])), Fault::Interleaved),
        ("a window opened by nothing", update(0, 0), Fault::NoIncrement),
        ("a window opened too wide", update(0, (1 << 31) - 1), Fault::Window),
        ("HEADERS without the length of their padding", frame(HEADERS, ALL | PADDED, 1, &[]), Fault::FrameSize),
        ("HEADERS without their priority", frame(HEADERS, ALL | WITH_PRIORITY, 1, &[0; 4]), Fault::FrameSize),
        ("HEADERS with too much padding", frame(HEADERS, ALL | PADDED, 1, &[3, 0, 0]), Fault::Padding),
        (
            "DATA without the length of its padding",
            [&open[..], &frame(DATA, PADDED, 1, &[])].concat(),
            Fault::FrameSize,
        ),
        ("DATA with too much padding", [&open[..], &frame(DATA, PADDED, 1, &[3, 0, 0])].concat(), Fault::Padding),
        ("a block that cannot be read", frame(HEADERS, ALL, 1, &[0x80]), Fault::Compression),
    ] {
        assert_eq!(Peer::server().fails(&bytes), fault, "{what}");
    }
}

#[test]
fn a_setting_that_must_not_be_ends_the_connection() {
    let wrong = [(2, 2, Fault::Setting), (4, 1 << 31, Fault::Window), (5, 16_383, Fault::Setting)];
    let more = [(5, 1 << 24, Fault::Setting), (8, 2, Fault::Setting)];
    for (name, value, fault) in wrong.into_iter().chain(more) {
        assert_eq!(Peer::server().fails(&settings(&[(name, value)])), fault, "{name}: {value}");
        assert_eq!(Peer::client().fails(&settings(&[(name, value)])), fault, "{name}: {value}");
    }
    // Said by a server (RFC 9113 §6.5.2), and taken back (RFC 8441 §3).
    assert_eq!(Peer::client().fails(&settings(&[(2, 1)])), Fault::Setting);
    assert_eq!(Peer::client().fails(&settings(&[(8, 1), (8, 0)])), Fault::Setting);
    let fine = settings(&[(1, 0), (2, 0), (3, 0), (4, 0), (5, 16_384), (5, 16_777_215), (6, 0), (8, 0), (99, 99)]);
    assert_eq!(Peer::server().hear(&fine), [Said::Settings]);
    assert_eq!(Peer::client().hear(&fine), [Said::Settings]);
    // A client may take pushes, of which there are none.
    assert_eq!(Peer::server().hear(&settings(&[(2, 1)])), [Said::Settings]);
}

#[test]
fn between_the_frames_of_a_head_nothing_stands() {
    let begun = frame(HEADERS, END_STREAM, 1, &get(&[])[..5]);
    for between in [
        frame(DATA, 0, 1, b"x"),
        frame(PING, 0, 0, &[0; 8]),
        frame(99, 0, 0, &[]),
        head(ALL),
        frame(CONTINUATION, END_HEADERS, 3, &[]),
        settings(&[]),
        reset(1, 8),
    ] {
        assert_eq!(Peer::server().fails(&[&begun[..], &between].concat()), Fault::Interleaved);
    }
    let rest = frame(CONTINUATION, END_HEADERS, 1, &get(&[])[5..]);
    let whole = Said::Head { stream: 1, last: true, fields: pairs(&GET) };
    assert_eq!(Peer::server().hear(&[begun, rest].concat()), [whole]);
}

#[test]
fn what_is_wrong_with_one_stream_ends_that_one_alone() {
    let after = |bytes: Vec<u8>| [head(OPEN), bytes].concat();
    for (what, bytes, fault) in [
        ("a window opened by nothing", after(update(1, 0)), Fault::NoIncrement),
        ("a window opened too wide", after(update(1, (1 << 31) - 1)), Fault::Window),
        ("PRIORITY of four bytes", after(frame(PRIORITY, 0, 1, &[0; 4])), Fault::FrameSize),
        ("a stream that comes to depend on itself", after(frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0])), Fault::Itself),
        (
            "a stream that begins by depending on itself",
            frame(HEADERS, ALL | WITH_PRIORITY, 1, &[&[0, 0, 0, 1, 0][..], &get(&[])].concat()),
            Fault::Itself,
        ),
        ("a second head that does not end it", after(frame(HEADERS, OPEN, 1, &block(&[("a", "b")]))), Fault::HeadAgain),
        ("DATA behind its end", [head(ALL), frame(DATA, 0, 1, b"x")].concat(), Fault::Closed),
        ("HEADERS behind its end", [head(ALL), frame(HEADERS, ALL, 1, &block(&[("a", "b")]))].concat(), Fault::Closed),
    ] {
        assert_eq!(Peer::server().breaks(&bytes), fault, "{what}");
    }
    assert_eq!(Peer::asking(1).breaks(&frame(DATA, 0, 1, b"x")), Fault::NoHead);
}

#[test]
fn what_is_not_known_is_passed_over_and_what_means_nothing_is_not_looked_at() {
    let mut it = Peer::server();
    let unknown = [frame(99, 0xff, 7, b"grease"), frame(0xbb, 0, 0, &[]), frame(PRIORITY, 0, 9, &[0; 5])].concat();
    assert_eq!(it.hear(&unknown), []);
    let mut flagged = head(ALL | 0x42);
    // The highest bit of a stream's number.
    flagged[5] |= 0x80;
    assert_eq!(it.hear(&flagged), [Said::Head { stream: 1, last: true, fields: pairs(&GET) }]);
    assert_eq!(it.says(), []);
}

#[test]
fn a_ping_is_answered_by_what_it_said_and_an_answer_is_not() {
    let mut it = Peer::server();
    assert_eq!(it.hear(&frame(PING, 0, 0, b"whatever")), []);
    assert_eq!(it.says(), frames(&frame(PING, ACK, 0, b"whatever")));
    assert_eq!(it.hear(&frame(PING, ACK, 0, b"whatever")), []);
    assert_eq!(it.says(), []);
}

#[test]
fn our_ping_is_answered_once_and_says_how_much_came_before_its_answer() {
    let mut it = Peer::server();
    assert!(it.conn.ping() && !it.conn.ping());
    let ping = it.says();
    let head = head(OPEN);
    it.hear(&[&head[..], &frame(DATA, 0, 1, &[0; 1000])].concat());
    assert_eq!(it.hear(&frame(PING, ACK, 0, b"not ours")), []);
    let pong = frame(PING, ACK, 0, &ping[0].payload);
    let came = (head.len() + 9 + 1000 + pong.len()) as u64;
    assert_eq!(it.hear(&pong), [Said::Pong { came }]);
    assert_eq!(it.hear(&pong), []);
    assert!(it.conn.ping());
}
