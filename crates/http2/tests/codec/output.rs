//! What waits to be sent: how much of it there may be, and what of it counts against a peer that reads slowly.

use crate::kit::*;
use everyhop_http2::{Config, Fault};

/// A peer that may say as much as it likes.
fn patient() -> Peer {
    Peer::server_of(Config { idle_frames: u32::MAX, resets: u32::MAX, ..Config::server() })
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

#[test]
fn of_answers_of_the_protocol_64_kib_may_wait_and_not_a_byte_more() {
    let mut it = patient();
    // 17 and 9 bytes each.
    it.hear(&[ping().repeat(2), settings(&[]).repeat(7_278)].concat());
    assert_eq!(it.conn.output().len(), 64 * 1024);
    assert_eq!(it.fails(&settings(&[])), Fault::Unread);
}

#[test]
fn resets_that_a_peer_makes_us_send_count_as_long_as_they_are() {
    for (resets, may_wait) in [(5_039, true), (5_041, false)] {
        let mut it = patient();
        for stream in (0..resets).map(|i| 2 * i + 1) {
            it.hear(&frame(HEADERS, ALL, stream, &block(&[(":method", "GET")])));
        }
        assert_eq!(it.conn.output().len(), 13 * resets as usize);
        assert_eq!(it.hears(&ping()).is_ok(), may_wait);
    }
}

#[test]
fn windows_that_a_peer_makes_us_open_count_as_long_as_they_are() {
    let config = Config { window_bytes: 90, idle_frames: u32::MAX, ..Config::server() };
    let mut it = Peer::server_of(config);
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    for _ in 0..5_039 {
        it.hear(&frame(DATA, 0, 1, &[0; 30]));
        it.conn.release(1, 30);
    }
    assert_eq!(it.conn.output().len(), 13 * 5_039);
    assert!(it.hears(&ping()).is_ok());
    assert_eq!(it.fails(&ping().repeat(3)), Fault::Unread);
}

#[test]
fn what_waits_counts_until_all_of_it_went_however_small_the_pieces_are() {
    let mut it = patient();
    it.hear(&ping().repeat(3_000));
    let cut = (0..2_000).find_map(|_| {
        it.conn.sent(1);
        it.hears(&ping()).err()
    });
    assert_eq!(cut, Some(Fault::Unread));
}

/// With a body on its way, of which so many bytes wait, frames' headers with them.
fn sending(waiting: usize) -> Peer {
    let mut it = patient();
    it.hear(&[settings(&[(4, 1 << 20)]), update(0, 1 << 20)].concat());
    it.hear(&frame(HEADERS, ALL, 1, &get(&[])));
    it.conn.answer(1, 200, false, |_| ()).expect("open");
    it.says();
    while it.conn.output().len() < waiting {
        let left = waiting - it.conn.output().len();
        let n = (left - 9).min(8_000);
        // No header is left for a last frame that would be too short for one.
        let n = if left - 9 - n > 0 && left - 9 - n < 10 { n - 10 } else { n };
        assert_eq!(it.conn.body(1, &vec![0; n], false), Ok(n));
    }
    assert_eq!(it.conn.output().len(), waiting);
    it
}

fn goes_on(it: &mut Peer) -> bool {
    it.conn.body(1, &[0; 100], false).expect("open") > 0
}

#[test]
fn a_body_goes_on_while_a_kibibyte_is_left_and_waits_where_less_is() {
    assert!(goes_on(&mut sending(63 * 1024)));
    assert!(!goes_on(&mut sending(63 * 1024 + 1)));
}

#[test]
fn a_body_that_waits_goes_on_when_half_of_what_waits_went() {
    for (left, on) in [(32 * 1024 + 1, false), (32 * 1024, true)] {
        let mut it = sending(65_000);
        assert!(!goes_on(&mut it));
        it.conn.sent(65_000 - left);
        assert_eq!(goes_on(&mut it), on, "{left}");
    }
}
