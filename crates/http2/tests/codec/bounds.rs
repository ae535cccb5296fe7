//! Where a bound lies: as much as may be is taken, and one more is not.

use crate::kit::*;
use everyhop_http2::hpack::Decoder;
use everyhop_http2::{Config, Fault, Head};

/// The largest window there is (RFC 9113 §6.9.1), and how much wider than the first it is.
const WIDEST: u32 = (1 << 31) - 1;
const WIDER: u32 = WIDEST - 65_535;

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, OPEN, stream, &post(&[]))
}

fn opened(said: &[Frame], stream: u32) -> Vec<u32> {
    said.iter().filter(|it| it.kind == UPDATE && it.stream == stream).map(Frame::number).collect()
}

#[test]
fn a_window_may_be_opened_as_wide_as_there_is_and_not_by_a_byte_more() {
    let mut it = Peer::server();
    assert_eq!(it.hear(&[open(1), update(1, WIDER), update(0, WIDER)].concat()).len(), 1);
    assert_eq!(it.breaks(&update(1, 1)), Fault::Window);
    assert_eq!(it.fails(&update(0, 1)), Fault::Window);
    // By settings, of what is open and of what opens.
    let mut it = Peer::server();
    assert_eq!(it.hear(&[open(1), settings(&[(4, WIDEST)]), open(3)].concat()).len(), 3);
    assert_eq!(it.breaks(&update(3, 1)), Fault::Window);
    assert_eq!(it.breaks(&update(1, 1)), Fault::Window);
}

#[test]
fn the_connection_is_opened_again_when_what_was_released_is_half_of_what_may_still_come() {
    let config = Config { window_bytes: 1 << 20, connection_window_bytes: 90_000, ..Config::server() };
    half_way(&mut Peer::server_of(config), 0);
}

#[test]
fn a_stream_is_opened_again_when_what_was_released_is_half_of_what_may_still_come() {
    half_way(&mut Peer::server_of(Config { window_bytes: 90_000, ..Config::server() }), 1);
}

/// Of a window of 90,000 bytes.
fn half_way(it: &mut Peer, of: u32) {
    it.hear(&[open(1), frame(DATA, 0, 1, &[0; 10_000]).repeat(3)].concat());
    it.conn.release(1, 29_999);
    assert_eq!(it.says(), []);
    it.conn.release(1, 1);
    assert_eq!(opened(&it.says(), of), [30_000]);
}

#[test]
fn a_window_that_is_used_up_is_not_opened_by_nothing() {
    let config = Config { window_bytes: 65_535, connection_window_bytes: 65_535, ..Config::server() };
    let mut it = Peer::server_of(config);
    it.hear(&[open(1), frame(DATA, 0, 1, &[0; 13_107]).repeat(5)].concat());
    assert_eq!(it.says(), []);
    it.conn.release(1, 65_535);
    let said = it.says();
    assert_eq!((opened(&said, 0), opened(&said, 1)), (vec![65_535], vec![65_535]));
}

#[test]
fn a_stream_on_which_nothing_more_comes_is_not_opened_again() {
    for end in [frame(DATA, END_STREAM, 1, b""), reset(1, 8)] {
        let mut it = Peer::server();
        it.hear(&[open(1), frame(DATA, 0, 1, &[0; 16_000]).repeat(4), end].concat());
        it.conn.release(1, 64_000);
        assert_eq!(opened(&it.says(), 1), []);
    }
}

#[test]
fn so_many_resets_as_may_be_are_taken_however_many_frames_may_be() {
    let mut it = Peer::server_of(Config { resets: 10, idle_frames: u32::MAX, ..Config::server() });
    // What its request earned is too little for one.
    it.hear(&open(1));
    it.hear(&reset(1, 8).repeat(10));
    assert_eq!(it.fails(&reset(1, 8)), Fault::Flood);
}

#[test]
fn so_many_settings_as_there_are_weigh_as_one_frame() {
    for (settings_in_one, frames_it_weighs) in [(15, 1), (16, 2), (31, 2), (32, 3)] {
        let mut it = Peer::server_of(Config { idle_frames: 2 + 3 * frames_it_weighs, ..Config::server() });
        let many = settings(&vec![(99, 0); settings_in_one]);
        // Two were its greeting.
        assert_eq!(it.hear(&many.repeat(3)).len(), 3);
        assert_eq!(it.fails(&many), Fault::Flood, "{settings_in_one}");
    }
}

#[test]
fn a_server_that_breaks_off_each_request_of_ours_floods_nobody() {
    let mut it = Peer::client();
    for _ in 0..10_000 {
        let stream = it.ask("GET", true);
        it.conn.sent(0);
        assert_eq!(it.hear(&reset(stream, 8)).len(), 1);
        it.conn.done(stream);
    }
}

#[test]
fn what_is_forgiven_is_so_much_each_second_and_once() {
    let mut it = Peer::server_of(Config { idle_frames: 10, forgiven_per_s: 5, ..Config::server() });
    let ping = frame(PING, 0, 0, &[0; 8]);
    // Two frames were its greeting.
    it.hear(&ping.repeat(7));
    it.conn.at_ms(100);
    it.hear(&ping);
    // What was too little at the first look is not lost at the second.
    it.conn.at_ms(200);
    it.hear(&ping);
    it.conn.at_ms(1200);
    it.hear(&ping.repeat(5));
    assert_eq!(it.fails(&ping), Fault::Flood);
}

#[test]
fn a_field_of_the_static_table_counts_by_name_and_value_too() {
    // `:method: GET` and `:scheme: https`, and 32 bytes more for each (RFC 9113 §6.5.2).
    let whole = 7 + 3 + 32 + 7 + 5 + 32;
    for (most, fits) in [(whole, true), (whole - 1, false)] {
        let mut head = Head::default();
        Decoder::default().block(&[0x82, 0x87], &mut head, most, 128).expect("right");
        assert_eq!(head.scheme() == b"https", fits, "{most}");
    }
}

#[test]
fn a_head_says_how_much_it_holds_and_keeps_no_more_than_is_usual_for_the_next() {
    let (mut decoder, mut head) = (Decoder::default(), Head::default());
    assert_eq!(head.holds_bytes(), 0);
    decoder.block(&literal("a", "").repeat(100), &mut head, 65_536, 128).expect("right");
    assert!((1_700..8_000).contains(&head.holds_bytes()), "{}", head.holds_bytes());
    decoder.block(&literal("a", "v".repeat(200_000)), &mut head, 1 << 20, 128).expect("right");
    assert!(head.holds_bytes() > 200_000);
    decoder.block(&literal("a", ""), &mut head, 65_536, 128).expect("right");
    assert!(head.holds_bytes() < 64 * 1024, "{}", head.holds_bytes());
}

/// As [`literal`], of what nobody is to keep (RFC 7541 §6.2.3).
fn secret(name: &str, value: &str) -> Vec<u8> {
    let mut it = literal(name, value);
    it[0] = 0x10;
    it
}

#[test]
fn a_head_has_secrets_where_one_of_its_fields_is_one_wherever_it_stands() {
    let (mut decoder, mut head) = (Decoder::default(), Head::default());
    for (fields, has) in [
        ([secret("a", "s"), literal("b", "c")], true),
        ([literal("b", "c"), literal("b", "c")], false),
        ([literal("b", "c"), secret("a", "s")], true),
    ] {
        decoder.block(&fields.concat(), &mut head, 65_536, 128).expect("right");
        assert_eq!(head.has_secrets(), has);
    }
}

#[test]
fn a_peer_that_keeps_nothing_is_told_that_nothing_is_kept_and_sent_each_field_whole() {
    let mut it = Peer::server();
    it.hear(&settings(&[(1, 0)]));
    it.says();
    for stream in [1, 3] {
        it.hear(&frame(HEADERS, ALL, stream, &get(&[])));
        it.conn.answer(stream, 200, true, |to| assert!(to.put(b"x-own", b"the same"))).expect("open");
    }
    let said = it.says();
    // RFC 7541 §6.3, then `:status: 200`.
    let (change, first) = said[0].payload.split_at(1);
    assert_eq!((change, first[0]), (&[0x20][..], 0x88));
    assert_eq!(said[1].payload, first, "nothing of it is named by where the table has it");
    assert!(first.len() > 10);
}

#[test]
fn a_block_may_be_twice_as_long_as_a_head_and_not_by_a_byte_more() {
    // Of 128 KiB, in eight frames.
    let most = get(&[("a", &"v".repeat(2 * 65_536 - get(&[("a", "")]).len() - 3))]);
    assert_eq!(most.len(), 2 * 65_536);
    let frames = |block: &[u8]| {
        let mut all = frame(HEADERS, END_STREAM, 1, &block[..16_384]);
        block[16_384..7 * 16_384].chunks(16_384).for_each(|it| all.extend(frame(CONTINUATION, 0, 1, it)));
        let (eighth, behind) = block[7 * 16_384..].split_at(16_384);
        all.extend(frame(CONTINUATION, 0, 1, eighth));
        all.extend(frame(CONTINUATION, END_HEADERS, 1, behind));
        all
    };
    assert_eq!(Peer::server().hear(&frames(&most)), [Said::TooLong { stream: 1, last: true }]);
    assert_eq!(Peer::server().fails(&frames(&[&most[..], &[0]].concat())), Fault::EndlessHead);
}
