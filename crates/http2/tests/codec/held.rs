//! How much memory a connection says that it holds, and what it gives back at rest.

use crate::kit::*;
use everyhop_http2::hpack::Decoder;
use everyhop_http2::{Code, Config, Head};

fn patient() -> Peer {
    Peer::server_of(Config { idle_frames: u32::MAX, resets: u32::MAX, ..Config::server() })
}

/// With so many requests open, from stream 1 on; what it holds then.
fn opened(it: &mut Peer, requests: u32) -> usize {
    for stream in (0..requests).map(|i| 2 * i + 1) {
        assert!(it.takes(&frame(HEADERS, OPEN, stream, &post(&[]))));
    }
    it.conn.holds_bytes()
}

#[test]
fn streams_are_counted_and_more_places_made_when_half_of_them_are_taken() {
    let [one, four, five, all] = [1, 4, 5, 100].map(|requests| opened(&mut patient(), requests));
    assert_eq!(one, four);
    // Eight more, of some sixty bytes.
    assert!((four + 8 * 48..=four + 8 * 80).contains(&five), "{four} {five}");
    assert!(all > four + 248 * 48, "{all}");
}

#[test]
fn a_connection_at_rest_gives_back_the_places_of_many_streams_and_keeps_those_of_a_few() {
    let rests = |requests: u32| {
        let mut it = patient();
        let open = opened(&mut it, requests);
        for stream in (0..requests).map(|i| 2 * i + 1) {
            it.hear(&reset(stream, 8));
            it.conn.done(stream);
        }
        it.conn.shrink();
        (open, it.conn.holds_bytes())
    };
    let (open, at_rest) = rests(1);
    assert_eq!(open, at_rest, "one request after the other allocates nothing");
    let (many, at_rest) = rests(100);
    assert!(at_rest < open && open < many, "{at_rest} {open} {many}");
}

#[test]
fn what_is_remembered_of_streams_is_counted() {
    let resetting = |requests: u32| {
        let mut it = patient();
        for stream in (0..requests).map(|i| 2 * i + 1) {
            it.hear(&frame(HEADERS, OPEN, stream, &post(&[])));
            it.conn.reset(stream, Code::CANCEL).expect("open");
            it.conn.done(stream);
            it.says();
        }
        it.conn.holds_bytes()
    };
    // Numbers of four bytes.
    let (few, many) = (resetting(4), resetting(128));
    assert!((few + 4 * 100..few + 4 * 150).contains(&many), "{few} {many}");
}

#[test]
fn what_waits_is_counted_and_room_for_a_long_head_given_back_when_it_went() {
    let mut it = patient();
    let before = opened(&mut it, 1);
    let long = "\u{e9}".repeat(5_000);
    let write = |to: &mut everyhop_http2::Fields<'_>| (0..30).for_each(|_| assert!(to.put(b"a", long.as_bytes())));
    it.conn.answer(1, 200, true, write).expect("open");
    assert!(it.conn.output().len() > 300_000 && it.conn.holds_bytes() > 300_000);
    it.says();
    assert!(it.conn.holds_bytes() < before + 20_000, "{}", it.conn.holds_bytes());
}

#[test]
fn a_peer_that_never_takes_the_last_byte_makes_us_hold_no_more_for_what_went() {
    for long_head in [false, true] {
        let mut it = patient();
        it.hear(&[settings(&[(4, 1 << 24)]), update(0, 1 << 24)].concat());
        it.hear(&frame(HEADERS, ALL, 1, &get(&[])));
        let long = "\u{e9}".repeat(if long_head { 50_000 } else { 0 });
        it.conn.answer(1, 200, false, |to| assert!(to.put(b"a", long.as_bytes()))).expect("open");
        for _ in 0..500 {
            it.conn.sent(it.conn.output().len() - 1);
            assert_eq!(it.conn.body(1, &[0; 10_000], false), Ok(10_000));
        }
        assert!(it.conn.holds_bytes() < 600_000, "{}", it.conn.holds_bytes());
    }
}

#[test]
fn what_the_writing_side_of_hpack_keeps_is_counted() {
    let answering = |fields: usize| {
        let mut it = patient();
        for stream in [1, 3] {
            it.hear(&frame(HEADERS, ALL, stream, &get(&[])));
            let kept = [(&b"a"[..], &b"b"[..])];
            let write = |to: &mut everyhop_http2::Fields<'_>| {
                kept.iter().take(fields).for_each(|(name, value)| assert!(to.put(name, value)));
            };
            it.conn.answer(stream, 200, true, write).expect("open");
            it.conn.done(stream);
            it.says();
        }
        it.conn.holds_bytes()
    };
    // Two tables of hashes, 384 numbers of four bytes, and an entry.
    let (none, one) = (answering(0), answering(1));
    assert!((none + 4 * 384..none + 4 * 384 + 500).contains(&one), "{none} {one}");
}

#[test]
fn a_text_in_huffmans_code_takes_no_more_room_than_it_is_long() {
    // Five bits a letter.
    let mut block = vec![0, 1, b'a'];
    number(10_000, 7, 0x80, &mut block);
    block.extend([0x18, 0xc6, 0x31, 0x8c, 0x63].repeat(2_000));
    let mut head = Head::default();
    Decoder::default().block(&block, &mut head, 65_536, 128).expect("right");
    assert_eq!(fields(&head), pairs(&[("a", &"a".repeat(16_000))]));
    assert!((16_000..20_000).contains(&head.holds_bytes()), "{}", head.holds_bytes());
}
