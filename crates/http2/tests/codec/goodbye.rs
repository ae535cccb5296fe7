//! The end of a connection: ours in two steps, theirs, an abrupt one, and that nothing more comes.

use crate::kit::*;
use everyhop_http2::{Code, Config, Connection, Fault, NoStream, NotSent, Request};

fn asks(stream: u32) -> Vec<u8> {
    frame(HEADERS, ALL, stream, &get(&[]))
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

#[test]
fn a_server_goes_away_in_two_steps_and_loses_no_request_on_its_way() {
    let mut it = Peer::server();
    it.hear(&asks(1));
    it.conn.leave();
    it.conn.leave();
    let said = it.says();
    assert_eq!(said[0], frames(&goaway((1 << 31) - 1, 0))[0]);
    assert_eq!((said.len(), said[1].kind), (2, PING));
    assert_eq!(it.hear(&asks(3)).len(), 1, "it was on its way");
    assert_eq!(it.hear(&frame(PING, ACK, 0, &said[1].payload)), [Said::Left]);
    assert_eq!(it.says(), frames(&goaway(3, 0)));
    // What the client opens now it opens in vain, and the table stays in step.
    let late = [frame(HEADERS, OPEN, 5, &post(&[])), frame(DATA, 0, 5, b"x"), update(5, 1), reset(5, 8)].concat();
    assert_eq!(it.hear(&late), []);
    assert_eq!(it.hear(&frame(PING, ACK, 0, &said[1].payload)), []);
    for stream in [1, 3] {
        assert!(!it.conn.is_over());
        it.conn.answer(stream, 200, true, |_| ()).expect("open");
        it.conn.done(stream);
    }
    assert!(it.conn.is_over());
}

#[test]
fn a_client_that_leaves_asks_nothing_new_and_hears_its_answers() {
    let mut it = Peer::asking(1);
    it.conn.leave();
    assert_eq!(it.says(), frames(&goaway(0, 0)));
    let get = Request { method: b"GET", scheme: b"https", authority: b"a", path: b"/", protocol: b"" };
    assert_eq!((it.conn.request(&get, true, |_| ()), it.conn.has_room()), (Err(NoStream::Away), false));
    assert!(!it.conn.is_over());
    it.hear(&frame(HEADERS, ALL, 1, &ok(&[])));
    assert!(it.conn.is_over());
}

#[test]
fn a_server_that_goes_away_leaves_what_it_did_not_look_at_to_others() {
    let mut it = Peer::asking(4);
    let told = it.hear(&goaway(3, 0));
    let unprocessed = |stream| Said::Unprocessed { stream };
    assert_eq!(told, [Said::GoAway { last: 3, code: Code::NO_ERROR }, unprocessed(5), unprocessed(7)]);
    assert_eq!(it.hear(&[frame(HEADERS, ALL, 1, &ok(&[])), frame(HEADERS, ALL, 3, &ok(&[]))].concat()).len(), 2);
    let get = Request { method: b"GET", scheme: b"https", authority: b"a", path: b"/", protocol: b"" };
    assert_eq!(it.conn.request(&get, true, |_| ()), Err(NoStream::Away));
    // First the warning, then fewer, and never more.
    let mut it = Peer::asking(2);
    assert_eq!(it.hear(&goaway((1 << 31) - 1, 0)).len(), 1);
    assert_eq!(it.hear(&goaway(1, 0))[1..], [unprocessed(3)]);
    assert_eq!(it.fails(&goaway(3, 0)), Fault::GoAway);
}

#[test]
fn an_abrupt_end_says_why_and_ends_all() {
    let mut it = Peer::server();
    it.hear(&asks(1));
    it.hear(&[frame(HEADERS, OPEN, 3, &post(&[])), frame(DATA, 0, 3, &[0; 16_384]).repeat(4)].concat());
    it.conn.abort(Code::ENHANCE_YOUR_CALM);
    it.conn.abort(Code::NO_ERROR);
    assert_eq!(it.says(), frames(&goaway(3, 11)));
    assert!(it.conn.is_over());
    assert_eq!(it.hears(&asks(5)), Err(Fault::Aborted));
    assert_eq!(it.conn.answer(1, 200, true, |_| ()), Err(NotSent::Gone));
    assert_eq!((it.conn.reset(1, Code::CANCEL), it.conn.ping()), (Err(NotSent::Gone), false));
    it.conn.release(3, 65_536);
    it.conn.done(1);
    it.conn.done(3);
    assert_eq!(it.says(), []);
}

#[test]
fn a_fault_names_the_last_stream_that_was_looked_at() {
    let mut it = Peer::server();
    it.hear(&asks(7));
    assert_eq!(it.hears(&frame(PING, 0, 1, &[0; 8])), Err(Fault::Place));
    assert_eq!(it.says(), frames(&goaway(7, 1)));
}

#[test]
fn where_nothing_more_comes_a_stream_without_its_end_is_broken_off_and_the_others_are_answered() {
    let mut it = Peer::server();
    it.hear(&[frame(HEADERS, OPEN, 1, &post(&[])), asks(3), frame(HEADERS, OPEN, 5, &post(&[]))].concat());
    assert_eq!(it.conn.end_of_input(), Ok(()));
    let broken = |stream| Said::Reset { stream, code: Code::CANCEL };
    assert_eq!(it.hear(b""), [broken(1), broken(5)]);
    it.conn.done(1);
    it.conn.done(5);
    assert!(!it.conn.is_over());
    it.conn.answer(3, 200, true, |_| ()).expect("open");
    assert!(it.conn.is_over());
    assert_eq!(it.says().len(), 1);
}

#[test]
fn an_end_within_a_frame_a_head_or_the_preface_is_a_fault() {
    let open = frame(HEADERS, OPEN, 1, &post(&[]));
    for cut in [
        [&open[..], &frame(DATA, 0, 1, b"body")[..11]].concat(),
        frame(HEADERS, 0, 1, &get(&[])),
        [&open[..], &frame(DATA, PADDED, 1, b"\x05x\0\0\0\0\0")[..12]].concat(),
    ] {
        let mut it = Peer::server();
        it.hear(&cut);
        assert_eq!(it.conn.end_of_input(), Err(Fault::Truncated));
        assert_eq!(it.hears(b""), Err(Fault::Truncated));
    }
    let mut it = Peer::new(Connection::server(Config::server()));
    it.hear(b"PRI * HT");
    assert_eq!(it.conn.end_of_input(), Err(Fault::Truncated));
}

/// A server that went away, whose client knows, with a request that it still answers.
fn gone() -> Peer {
    let mut it = Peer::server();
    assert!(!it.conn.is_over());
    it.hear(&asks(1));
    it.conn.leave();
    let said = it.says();
    assert_eq!(it.hear(&frame(PING, ACK, 0, &said[1].payload)), [Said::Left]);
    assert_eq!(it.says(), frames(&goaway(1, 0)));
    it
}

#[test]
fn whoever_went_away_names_no_higher_stream_when_it_ends() {
    let mut it = gone();
    assert_eq!(it.hear(&asks(5)), []);
    assert_eq!(it.hears(&update(0, 0)), Err(Fault::NoIncrement));
    assert_eq!(it.says(), frames(&goaway(1, 1)), "or the client would not ask elsewhere (RFC 9113 §6.8)");
}

#[test]
fn the_last_stream_before_a_goodbye_is_closed_as_any_other() {
    let mut it = gone();
    assert_eq!(it.hear(&[asks(3), frame(DATA, 0, 3, b"x")].concat()), [], "of this nothing is known");
    it.conn.answer(1, 200, true, |_| ()).expect("open");
    it.says();
    assert_eq!(it.fails(&frame(DATA, 0, 1, b"x")), Fault::Closed);
}

#[test]
fn a_server_that_only_began_to_go_away_is_not_over_and_one_that_ended_says_nothing_more() {
    let mut it = Peer::server();
    it.conn.leave();
    assert!(!it.conn.is_over());
    let mut it = Peer::server();
    it.fails(&update(0, 0));
    it.conn.leave();
    assert_eq!(it.says(), []);
}
