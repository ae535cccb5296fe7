//! Turns to send that are given back, come too early or are for somebody else, and that a connection at rest holds little.

use crate::kit::*;
use everyhop_http2::{Config, Ready};

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
    it.hear(&update(0, 10_000));
    it.conn.shrink();
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
