//! Flow control (RFC 9113 §5.2, §6.9): what we may send and in which order, what the peer may, and that nobody stands still.

use crate::kit::*;
use everyhop_http2::{Code, Config, Fault, NotSent, Ready};

/// A server with so many requests that it answered with a head.
fn answering(requests: u32, said: &[(u16, u32)], config: Config) -> Peer {
    let mut it = Peer::server_of(config);
    it.hear(&settings(said));
    for stream in (0..requests).map(|i| 2 * i + 1) {
        it.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        it.conn.answer(stream, 200, false, |_| ()).expect("open");
    }
    it.says();
    it
}

fn roomy() -> Config {
    Config { output_bytes: 1 << 20, ..Config::server() }
}

fn sent_on(it: &mut Peer, stream: u32) -> usize {
    it.says().iter().filter(|it| it.kind == DATA && it.stream == stream).map(|it| it.payload.len()).sum()
}

#[test]
fn a_body_goes_as_far_as_its_window_and_on_when_that_opens() {
    let mut it = answering(1, &[(4, 10)], roomy());
    assert_eq!(it.conn.body(1, &[0; 25], true), Ok(10));
    assert_eq!((it.says().last().map(|it| it.flags), it.ready()), (Some(0), vec![]));
    it.hear(&update(0, 100));
    assert_eq!(it.ready(), [], "it is its own window that stops it");
    it.hear(&update(1, 7));
    assert_eq!(it.ready(), [Ready::Body(1)]);
    assert_eq!(it.conn.body(1, &[0; 15], true), Ok(7));
    it.hear(&settings(&[(4, 20)]));
    assert_eq!(it.ready(), [Ready::Body(1)], "settings open windows too (RFC 9113 §6.9.2)");
    assert_eq!(it.conn.body(1, &[0; 8], true), Ok(8));
    assert_eq!(it.says().last().map(|it| it.flags), Some(END_STREAM));
}

#[test]
fn a_window_may_be_less_than_nothing() {
    let mut it = answering(1, &[(4, 10)], roomy());
    assert_eq!(it.conn.body(1, &[0; 25], true), Ok(10));
    it.hear(&settings(&[(4, 3)]));
    it.hear(&update(1, 7));
    assert_eq!((it.ready(), it.conn.body(1, &[0; 15], true)), (vec![], Ok(0)));
    it.hear(&update(1, 1));
    assert_eq!((it.ready(), it.conn.body(1, &[0; 15], true)), (vec![Ready::Body(1)], Ok(1)));
    // Nor wider than there is.
    assert_eq!(it.fails(&[update(1, 100), settings(&[(4, (1 << 31) - 1)])].concat()), Fault::Window);
}

#[test]
fn a_window_of_a_stream_that_is_closed_cannot_be_too_wide() {
    let mut it = answering(1, &[], roomy());
    it.hear(&update(1, (1 << 31) - 1 - 65_535));
    it.hear(&reset(1, 8));
    assert_eq!(it.hear(&settings(&[(4, 100_000)])), [Said::Settings]);
}

#[test]
fn the_end_of_a_body_needs_no_window() {
    let mut it = answering(3, &[(4, 0)], roomy());
    assert_eq!(it.conn.body(1, b"", true), Ok(0));
    assert_eq!(it.says(), frames(&frame(DATA, END_STREAM, 1, b"")));
    assert_eq!(it.conn.trailers(3, |fields| assert!(fields.put(b"a", b"b"))), Ok(()));
    assert_eq!(it.says()[0].flags, ALL);
    assert_eq!((it.conn.body(5, b"", false), it.says()), (Ok(0), vec![]));
}

#[test]
fn the_connections_window_is_shared_in_turns_and_nobody_is_told_in_vain() {
    let mut it = answering(3, &[(4, 1 << 20)], roomy());
    assert_eq!(it.conn.body(1, &[0; 100_000], true), Ok(65_535));
    for stream in [3, 5] {
        assert_eq!(it.conn.body(stream, &[0; 20_000], true), Ok(0));
    }
    it.says();
    // A frame for the first, the rest for the second.
    it.hear(&update(0, 20_000));
    assert_eq!(it.ready(), [Ready::Body(1), Ready::Body(3)]);
    // Nobody comes before whose turn it is.
    assert_eq!(it.conn.body(5, &[0; 20_000], true), Ok(0));
    assert_eq!(it.conn.body(3, &[0; 20_000], true), Ok(20_000 - 16_384));
    assert_eq!(it.conn.body(1, &[0; 34_465], true), Ok(16_384));
    assert_eq!(it.ready(), []);
    it.hear(&update(0, 1 << 20));
    assert_eq!(it.ready(), [Ready::Body(5), Ready::Body(3), Ready::Body(1)]);
}

#[test]
fn a_turn_that_is_not_used_goes_to_the_next() {
    let waiting = || {
        let mut it = answering(3, &[(4, 1 << 20)], roomy());
        it.conn.body(1, &[0; 65_535], false).expect("open");
        for stream in [1, 3, 5] {
            assert_eq!(it.conn.body(stream, &[0; 100], false), Ok(0));
        }
        it.hear(&update(0, 50));
        assert_eq!(it.ready(), [Ready::Body(1)]);
        it
    };
    let mut it = waiting();
    it.conn.rest(1);
    assert_eq!(it.ready(), [Ready::Body(3)]);
    let mut it = waiting();
    it.hear(&reset(1, 8));
    assert_eq!(it.ready(), [Ready::Body(3)]);
    let mut it = waiting();
    it.conn.done(1);
    assert_eq!(it.ready(), [Ready::Body(3)]);
    let mut it = waiting();
    it.conn.trailers(1, |_| ()).expect("open");
    assert_eq!(it.ready(), [Ready::Body(3)]);
    let mut it = waiting();
    assert_eq!(it.conn.body(1, &[0; 20], false), Ok(20));
    assert_eq!((it.ready(), it.conn.body(3, &[0; 100], false)), (vec![Ready::Body(3)], Ok(30)));
    // One that waits is not told any more when it is gone.
    let mut it = waiting();
    it.hear(&reset(3, 8));
    it.conn.rest(1);
    assert_eq!(it.ready(), [Ready::Body(5)]);
}

#[test]
fn a_socket_that_takes_nothing_stops_bodies_until_half_of_what_waits_went() {
    let mut it = answering(1, &[(4, 1 << 20)], Config::server());
    it.hear(&update(0, 1 << 20));
    assert_eq!(it.conn.body(1, &[0; 100_000], true), Ok(65_536));
    assert_eq!(it.conn.body(1, &[0; 34_464], true), Ok(0));
    it.conn.sent(30_000);
    assert_eq!(it.ready(), []);
    it.conn.sent(5_000);
    assert_eq!(it.ready(), [Ready::Body(1)]);
    assert!(it.conn.body(1, &[0; 34_464], true).expect("open") >= 16_384);
}

#[test]
fn a_body_that_is_not_as_long_as_its_head_said_is_never_taken_for_a_whole_one() {
    let declared = |length: &'static [u8], last| {
        let mut it = Peer::server();
        it.hear(&frame(HEADERS, ALL, 1, &get(&[])));
        let head = it.conn.answer(1, 200, last, |fields| assert!(fields.put(b"content-length", length)));
        (it, head)
    };
    let short = |it: &mut Peer| {
        let said = it.says();
        assert!(
            said.iter().all(|it| it.kind != DATA && it.flags & END_STREAM == 0 || it.payload.len() == 2),
            "{said:?}"
        );
        assert_eq!(said.last().map(|it| (it.kind, it.number())), Some((RESET, 2)));
    };
    for (bytes, last) in [(&b"hello!"[..], false), (b"hell", true), (b"", true)] {
        let (mut it, head) = declared(b"5", false);
        assert_eq!((head, it.conn.body(1, bytes, last)), (Ok(()), Err(NotSent::Length)));
        short(&mut it);
    }
    let (mut it, _) = declared(b"5", false);
    assert_eq!((it.conn.body(1, b"he", false), it.conn.trailers(1, |_| ())), (Ok(2), Err(NotSent::Length)));
    short(&mut it);
    let (mut it, head) = declared(b"5", true);
    assert_eq!(head, Err(NotSent::Length));
    short(&mut it);
    let (mut it, head) = declared(b"0", true);
    assert_eq!((head, it.says().len()), (Ok(()), 1));
    let (mut it, _) = declared(b"5", false);
    assert_eq!((it.conn.body(1, b"he", false), it.conn.body(1, b"llo", true)), (Ok(2), Ok(3)));
    assert_eq!(it.says().last().map(|it| it.flags), Some(END_STREAM));
}

#[test]
fn what_answers_a_head_declares_what_it_does_not_send() {
    let mut it = Peer::server();
    let head = [(":method", "HEAD"), GET[1], GET[2], GET[3]];
    it.hear(&frame(HEADERS, ALL, 1, &block(&head)));
    assert_eq!(it.conn.answer(1, 200, true, |fields| assert!(fields.put(b"content-length", b"5"))), Ok(()));
    it.hear(&frame(HEADERS, ALL, 3, &block(&head)));
    assert_eq!(it.conn.answer(3, 200, false, |fields| assert!(fields.put(b"content-length", b"5"))), Ok(()));
    assert_eq!(it.conn.body(3, b"hello", true), Err(NotSent::Length));
}

#[test]
fn a_peer_sends_no_more_than_our_windows_take() {
    let open = frame(HEADERS, OPEN, 1, &post(&[]));
    let full = frame(DATA, 0, 1, &[0; 16_384]).repeat(4);
    let mut it = Peer::server();
    it.hear(&[&open[..], &full].concat());
    assert_eq!(it.breaks(&frame(DATA, 0, 1, b"x")), Fault::Window);
    // What was thrown away makes room for others.
    assert_eq!(it.hear(&[frame(HEADERS, OPEN, 3, &post(&[])), frame(DATA, 0, 3, b"x")].concat()).len(), 2);
    let mut it = Peer::server_of(Config { connection_window_bytes: 65_535, ..Config::server() });
    it.hear(&open);
    assert_eq!(it.fails(&full), Fault::Window);
}

#[test]
fn padding_uses_windows_up_and_makes_room_by_itself() {
    let mut it = Peer::server_of(Config { connection_window_bytes: 65_535, ..Config::server() });
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    for _ in 0..2000 {
        let heard = it.hear(&frame(DATA, PADDED, 1, &[&[200u8][..], b"x", &[0; 200]].concat()));
        assert_eq!(heard, [Said::Data { stream: 1, bytes: b"x".to_vec(), last: false }]);
        it.conn.release(1, 1);
    }
    let said = it.says();
    for stream in [0, 1] {
        let updates = said.iter().filter(|it| it.kind == UPDATE && it.stream == stream);
        let opened: u32 = updates.map(|it| it.number()).sum();
        assert!(opened > 2000 * 202 - 65_536, "{opened}");
    }
}

#[test]
fn what_is_released_makes_room_and_what_is_not_makes_none() {
    let mut it = Peer::server();
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    let data = frame(DATA, 0, 1, &[0; 16_384]);
    it.hear(&data.repeat(3));
    assert_eq!(it.says(), []);
    it.conn.release(1, 16_384);
    let said = it.says();
    assert_eq!(said.iter().map(|it| (it.kind, it.stream, it.number())).collect::<Vec<_>>(), [(UPDATE, 1, 16_384)]);
    // More than came is not.
    it.conn.release(1, 1 << 30);
    let total: u32 = it.says().iter().filter(|it| it.stream == 1).map(|it| it.number()).sum();
    assert_eq!(total, 2 * 16_384);
}

#[test]
fn what_others_hold_does_not_stop_a_stream_whose_bytes_were_released() {
    let config = Config { window_bytes: 65_535, connection_window_bytes: 65_535, ..Config::server() };
    let mut it = Peer::server_of(config);
    it.hear(&[frame(HEADERS, OPEN, 1, &post(&[])), frame(HEADERS, OPEN, 3, &post(&[]))].concat());
    // Of the connection's window the first holds nearly all, and nobody reads it.
    it.hear(&frame(DATA, 0, 1, &[0; 16_000]).repeat(4));
    let mut left = 65_535 - 64_000;
    for _ in 0..50 {
        let n = left.min(500);
        it.hear(&frame(DATA, 0, 3, &vec![0; n]));
        left -= n;
        it.conn.release(3, n);
        left += it.says().iter().filter(|it| it.stream == 0).map(|it| it.number() as usize).sum::<usize>();
        assert!(left > 0, "the second stream stands still");
    }
}

#[test]
fn what_was_released_and_not_said_is_said_when_little_is_left_to_send() {
    let mut it = Peer::server_of(Config { connection_window_bytes: 65_535, ..Config::server() });
    it.hear(&[frame(HEADERS, OPEN, 1, &post(&[])), frame(HEADERS, OPEN, 3, &post(&[]))].concat());
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]));
    it.conn.release(1, 10_000);
    assert_eq!(it.says(), [], "it may still send five times as much");
    // Of the rest another takes all, and nobody reads it.
    it.hear(&frame(DATA, 0, 3, &[0; 13_883]).repeat(4));
    let opened: u32 = it.says().iter().filter(|it| it.stream == 0).map(|it| it.number()).sum();
    assert_eq!(opened, 10_000, "or the first would stand still");
}

#[test]
fn what_a_stream_held_is_released_when_it_is_done_with_however_it_ended() {
    let config = Config { connection_window_bytes: 65_535, ..Config::server() };
    let mut it = Peer::server_of(config);
    for (i, end) in [frame(DATA, END_STREAM, 1, b""), reset(3, 8), update(5, 0), Vec::new()].into_iter().enumerate() {
        let stream = 2 * i as u32 + 1;
        it.hear(&frame(HEADERS, OPEN, stream, &post(&[])));
        it.hear(&frame(DATA, 0, stream, &[0; 16_000]).repeat(4));
        it.hear(&end);
        assert_eq!(it.says().iter().filter(|it| it.kind == UPDATE).count(), 0, "it may still be read");
        it.conn.done(stream);
        let opened: u32 = it.says().iter().filter(|it| it.kind == UPDATE && it.stream == 0).map(|it| it.number()).sum();
        assert_eq!(opened, 64_000);
    }
}

#[test]
fn a_body_that_is_broken_off_within_a_frame_leaves_the_connections_window_whole() {
    let mut it = Peer::server_of(Config { connection_window_bytes: 65_535, ..Config::server() });
    for i in 0..40 {
        let stream = 2 * i + 1;
        let data = frame(DATA, 0, stream, &[0; 16_384]);
        it.hear(&[&frame(HEADERS, OPEN, stream, &post(&[]))[..], &data[..1000]].concat());
        it.conn.done(stream);
        assert_eq!(it.hear(&data[1000..]), []);
        it.says();
    }
}

#[test]
fn a_connection_is_held_up_where_what_is_held_of_one_leaves_others_too_little() {
    let mut it =
        Peer::server_of(Config { window_bytes: 100_000, connection_window_bytes: 100_000, ..Config::server() });
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]).repeat(9));
    assert!(!it.conn.is_held_up(20_000), "nobody else has anything to send");
    it.hear(&frame(HEADERS, OPEN | END_STREAM, 3, &post(&[])));
    assert!(!it.conn.is_held_up(20_000), "it has ended");
    it.hear(&frame(HEADERS, OPEN, 5, &post(&[])));
    assert!(it.conn.is_held_up(10_001) && !it.conn.is_held_up(10_000));
    it.hear(&frame(DATA, 0, 5, b"x"));
    assert!(!it.conn.is_held_up(20_000), "of all that send something is held");
    it.conn.release(5, 1);
    assert!(it.conn.is_held_up(20_000));
    // Said or not yet: what was released can be sent, or will be.
    it.conn.release(1, 10_000);
    assert!(it.conn.is_held_up(20_001) && !it.conn.is_held_up(20_000));
    it.conn.release(1, 80_000);
    assert!(!it.conn.is_held_up(100_000) && it.conn.is_held_up(100_001));
    it.hear(&frame(RESET, 0, 5, &8u32.to_be_bytes()));
    it.conn.reset(1, Code::CANCEL).expect("open");
    assert!(!it.conn.is_held_up(100_001), "nobody is left");
}

#[test]
fn the_connections_window_can_be_made_wider_and_narrower() {
    let mut it = Peer::server_of(Config { connection_window_bytes: 100_000, ..Config::server() });
    it.conn.set_connection_window(500_000);
    assert_eq!(it.says(), frames(&update(0, 400_000)));
    it.conn.set_connection_window(300_000);
    assert_eq!((it.says(), it.conn.connection_window()), (vec![], 300_000));
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    let mut opened = 0;
    for i in 1..=40 {
        it.hear(&frame(DATA, 0, 1, &[0; 10_000]));
        it.conn.release(1, 10_000);
        opened += it.says().iter().filter(|it| it.stream == 0).map(|it| u64::from(it.number())).sum::<u64>();
        let may_send = 500_000 + opened - 10_000 * i;
        assert!(may_send <= 500_000 - 10_000 * i.min(20), "what was offered too much is not offered again: {may_send}");
    }
    assert!(opened >= 400_000 - 300_000, "{opened}");
}

#[test]
fn our_window_for_streams_changes_when_it_is_acknowledged_and_not_twice_before() {
    let mut it = Peer::server();
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    assert!(it.conn.set_window(100_000));
    assert!(!it.conn.set_window(200_000));
    assert_eq!(it.says(), frames(&settings(&[(4, 100_000)])));
    // Whoever has read it sends more before it is known here.
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]).repeat(10));
    assert_eq!(it.hear(&frame(SETTINGS, ACK, 0, &[])), [Said::Settled]);
    assert_eq!(it.conn.window(), 100_000);
    // Narrower: whoever has not read it sends as much as before, and nobody more.
    it.conn.release(1, 100_000);
    it.says();
    assert!(it.conn.set_window(10_000));
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]).repeat(10));
    it.hear(&frame(SETTINGS, ACK, 0, &[]));
    it.says();
    it.conn.release(1, 100_000);
    let opened: u32 = it.says().iter().filter(|it| it.stream == 1).map(|it| it.number()).sum();
    assert_eq!(opened, 100_000);
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]));
    assert_eq!(it.breaks(&frame(DATA, 0, 1, b"x")), Fault::Window);
}

#[test]
fn a_body_ends_where_our_window_is_less_than_nothing() {
    let mut it = Peer::server();
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    it.hear(&frame(DATA, 0, 1, &[0; 10_000]));
    assert!(it.conn.set_window(1000));
    it.hear(&frame(SETTINGS, ACK, 0, &[]));
    let heard = it.hear(&frame(DATA, END_STREAM, 1, b""));
    assert_eq!(heard, [Said::Data { stream: 1, bytes: vec![], last: true }]);
}

#[test]
fn a_client_that_has_not_read_our_settings_sends_by_what_holds_without() {
    let config = Config { window_bytes: 1000, ..Config::server() };
    let mut it = Peer::new(everyhop_http2::Connection::server(config));
    let early = [&everyhop_http2::PREFACE[..], &settings(&[]), &frame(HEADERS, OPEN, 1, &post(&[]))].concat();
    it.hear(&[early, frame(DATA, 0, 1, &[0; 10_000]).repeat(6)].concat());
    it.hear(&frame(SETTINGS, ACK, 0, &[]));
    it.says();
    assert_eq!(it.breaks(&frame(DATA, 0, 1, &[0; 1])), Fault::Window);
    it.hear(&frame(HEADERS, OPEN, 3, &post(&[])));
    it.hear(&frame(DATA, 0, 3, &[0; 1000]));
    assert_eq!(it.breaks(&frame(DATA, 0, 3, b"x")), Fault::Window);
}

#[test]
fn a_long_body_goes_in_frames_that_everybody_takes() {
    let mut it = answering(1, &[(4, 1 << 20), (5, 1 << 20)], roomy());
    it.hear(&update(0, 1 << 20));
    assert_eq!(it.conn.body(1, &[7; 40_000], true), Ok(40_000));
    let lens: Vec<_> = it.says().iter().map(|it| (it.payload.len(), it.flags)).collect();
    assert_eq!(lens, [(16_384, 0), (16_384, 0), (40_000 - 2 * 16_384, END_STREAM)]);
    assert_eq!(sent_on(&mut it, 1), 0);
}
