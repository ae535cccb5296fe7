//! Turns to send that are given back, come too early or are for somebody else, and that a connection at rest holds little.

use crate::kit::*;
use everyhop_http2::{Config, NotSent, Ready};

/// A server with so many requests whose ends have not come, each answered by a head; the connection's window is used up.
fn waiting(requests: u32, config: Config) -> Peer {
    let mut it = Peer::server_of(config);
    it.hear(&settings(&[(4, 1 << 20)]));
    for stream in (0..requests).map(|i| 2 * i + 1) {
        it.hear(&frame(HEADERS, OPEN, stream, &post(&[])));
        it.conn.answer(stream, 200, false, |_| ()).expect("open");
    }
    it.says();
    assert_eq!(it.conn.body(1, &[0; 65_535], false), Ok(65_535));
    it.says();
    it
}

fn wait(it: &mut Peer, streams: &[u32]) {
    streams.iter().for_each(|stream| assert_eq!(it.conn.body(*stream, &[0; 100], false), Ok(0)));
}

#[test]
fn a_peer_that_ends_its_side_is_still_sent_what_waits() {
    let mut it = waiting(1, Config::server());
    wait(&mut it, &[1]);
    it.hear(&frame(DATA, END_STREAM, 1, b""));
    it.hear(&update(0, 100));
    assert_eq!(it.ready(), [Ready::Body(1)]);
}

#[test]
fn a_stream_that_ends_its_own_side_leaves_its_turn_to_the_next() {
    let mut it = waiting(2, Config::server());
    wait(&mut it, &[1, 3]);
    it.hear(&update(0, 50));
    it.conn.trailers(1, |_| ()).expect("open");
    assert_eq!(it.ready(), [Ready::Body(3)]);
}

#[test]
fn a_stream_that_came_before_it_was_told_is_not_told() {
    let mut it = waiting(1, Config::server());
    wait(&mut it, &[1]);
    it.hear(&update(0, 100));
    assert_eq!(it.conn.body(1, &[0; 100], false), Ok(100));
    assert_eq!(it.ready(), []);
}

#[test]
fn a_stream_that_rests_and_waits_again_stands_behind_the_others_and_is_told_once() {
    let mut it = waiting(3, Config::server());
    wait(&mut it, &[1, 3, 5]);
    it.hear(&update(0, 150));
    it.conn.rest(1);
    wait(&mut it, &[1]);
    it.hear(&update(0, 1000));
    assert_eq!(it.ready(), [Ready::Body(3), Ready::Body(5), Ready::Body(1)]);
}

#[test]
fn what_is_set_aside_of_the_output_is_not_taken_by_others() {
    let mut it = Peer::server_of(Config { output_bytes: 40_000, ..Config::server() });
    it.hear(&[settings(&[(4, 1 << 20)]), update(0, 1 << 20)].concat());
    for stream in [1, 3, 5] {
        it.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        it.conn.answer(stream, 200, false, |_| ()).expect("open");
    }
    it.says();
    assert_eq!(it.conn.body(1, &[0; 40_000], false), Ok(40_000));
    assert_eq!(it.conn.body(3, &[0; 20_000], false), Ok(0));
    it.says();
    assert_eq!(it.conn.body(5, &[0; 50_000], false), Ok(40_000 - 16_384));
}

#[test]
fn a_connection_at_rest_gives_back_what_many_that_waited_took_and_loses_nobody() {
    let mut it = waiting(100, Config::server());
    it.conn.shrink();
    let before = it.conn.holds_bytes();
    let all: Vec<u32> = (0..100).map(|i| 2 * i + 1).collect();
    wait(&mut it, &all);
    assert!(it.conn.holds_bytes() >= before + 400);
    it.conn.shrink();
    it.hear(&update(0, 5_000));
    it.conn.shrink();
    // Half of them wait, half may go on.
    assert!(it.conn.holds_bytes() >= before + 600);
    it.hear(&update(0, 5_000));
    assert_eq!(it.ready(), all.iter().map(|stream| Ready::Body(*stream)).collect::<Vec<_>>());
    all.iter().for_each(|stream| it.conn.rest(*stream));
    it.conn.shrink();
    assert!(it.conn.holds_bytes() <= before);
}

#[test]
fn what_is_still_to_be_sent_is_not_given_back() {
    let mut it = waiting(1, Config::server());
    it.hear(&update(0, 5000));
    assert_eq!(it.conn.body(1, &[7; 5000], false), Ok(5000));
    it.conn.shrink();
    assert_eq!(it.says(), frames(&frame(DATA, 0, 1, &[7; 5000])));
}

#[test]
fn each_part_of_what_a_connection_holds_is_counted() {
    let mut it = Peer::server();
    let mut before = it.conn.holds_bytes();
    let mut grew = |it: &Peer, bytes: usize, what: &str| {
        let now = it.conn.holds_bytes();
        assert!((before + bytes..before + 3 * bytes + 2_000).contains(&now), "{what}: {before}, {now}");
        before = now;
    };
    it.hear(&frame(HEADERS, ALL, 1, &get(&[("a", &"v".repeat(10_000))])));
    grew(&it, 10_000, "a head");
    it.hear(&frame(HEADERS, ALL, 3, &get(&[])));
    it.conn.answer(1, 200, true, |to| assert!(to.put(b"x-own", b"kept"))).expect("open");
    grew(&it, 384 * 4, "what the encoder looks up by");
    it.conn.answer(3, 200, true, |to| assert!(!to.put(&b"A ".repeat(1_500), b""))).expect("open");
    grew(&it, 3_000, "a name in lower case");
    for stream in (0..20).map(|i| 2 * i + 5) {
        it.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        it.conn.done(stream);
    }
    grew(&it, 20 * 4, "streams that were reset");
    it.hear(&frame(HEADERS, 0, 99, &literal("a", "v".repeat(6_000))));
    grew(&it, 6_000, "a head that goes on");
    it.hear(&frame(CONTINUATION, END_HEADERS, 99, &literal("b", "c")));
    it.says();
    it.conn.shrink();
    assert!(it.conn.holds_bytes() < 8_000, "{}", it.conn.holds_bytes());
}

#[test]
fn a_turn_is_no_longer_than_what_is_left_of_a_body() {
    let mut it = waiting(2, Config::server());
    it.hear(&update(0, 1000));
    assert_eq!(it.conn.body(1, &[0; 1100], false), Ok(1000));
    wait(&mut it, &[3]);
    it.hear(&update(0, 150));
    assert_eq!(it.ready(), [Ready::Body(1), Ready::Body(3)]);
}

#[test]
fn a_body_that_ended_its_side_goes_on_no_more() {
    let mut it = Peer::server();
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    it.conn.answer(1, 200, false, |_| ()).expect("open");
    assert_eq!(it.conn.body(1, b"all", true), Ok(3));
    assert_eq!(it.conn.body(1, b"more", true), Err(NotSent::Gone));
    it.hear(&frame(DATA, END_STREAM, 1, b""));
    assert_eq!(it.conn.open_streams(), 0);
}

#[test]
fn a_tunnel_that_we_open_owes_no_length_and_a_refusal_does() {
    let connect = block(&[(":method", "CONNECT"), (":authority", "a.test:443")]);
    for (status, sent) in [(200, Ok(6)), (299, Ok(6)), (300, Err(NotSent::Length)), (404, Err(NotSent::Length))] {
        let mut it = Peer::server();
        it.hear(&frame(HEADERS, OPEN, 1, &connect));
        let put = |to: &mut everyhop_http2::Fields<'_>| assert!(to.put(b"content-length", b"5"));
        it.conn.answer(1, status, false, put).expect("open");
        assert_eq!(it.conn.body(1, b"longer", false), sent, "{status}");
    }
}
