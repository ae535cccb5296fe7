//! A verdict does not depend on where the bytes were cut, and what is held between two pieces is bounded.

use crate::kit::*;
use everyhop_http2::{Config, Connection, Event, Fault, PREFACE};

fn story() -> Vec<u8> {
    let long = get(&[("a", &"v".repeat(300))]);
    [
        &PREFACE[..],
        &settings(&[(4, 1000), (1, 100)]),
        &frame(SETTINGS, ACK, 0, &[]),
        &frame(HEADERS, OPEN, 1, &post(&[("content-length", "12")])),
        &frame(PING, 0, 0, b"12345678"),
        &frame(DATA, PADDED, 1, b"\x04hello \0\0\0\0"),
        &frame(HEADERS, END_STREAM, 3, &long[..100]),
        &frame(CONTINUATION, 0, 3, &long[100..200]),
        &frame(CONTINUATION, END_HEADERS, 3, &long[200..]),
        &frame(DATA, END_STREAM, 1, b"world!"),
        &frame(HEADERS, ALL, 5, &get(&[("Upper", "x")])),
        &frame(HEADERS, OPEN | PADDED | WITH_PRIORITY, 7, &[&[2, 0, 0, 0, 0, 9][..], &post(&[]), &[0, 0]].concat()),
        &frame(HEADERS, ALL, 7, &block(&[("trailer", "x")])),
        &update(0, 100),
        &frame(HEADERS, OPEN, 9, &post(&[])),
        &reset(9, 8),
        &frame(GOAWAY, 0, 0, &[0; 8]),
    ]
    .concat()
}

fn heard(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Said>, Option<Fault>, Vec<Frame>) {
    let mut it = Peer::new(Connection::server(Config::server()));
    let (mut all, mut fault) = (Vec::new(), None);
    for piece in pieces {
        match it.hears(piece) {
            Ok(some) => all.extend(some),
            Err(why) => {
                fault = Some(why);
                break;
            }
        }
    }
    (joined(all), fault, it.says())
}

#[test]
fn what_comes_of_bytes_is_the_same_however_they_are_cut() {
    let bytes = story();
    let whole = heard(&mut std::iter::once(&bytes[..]));
    assert_eq!((whole.0.len(), whole.1), (12, None), "{:#?}", whole.0);
    for size in 1..60 {
        assert_eq!(heard(&mut bytes.chunks(size)), whole, "in pieces of {size}");
    }
    for at in 0..bytes.len() {
        let (one, two) = bytes.split_at(at);
        assert_eq!(heard(&mut [one, two].into_iter()), whole, "cut at {at}");
    }
}

#[test]
fn every_byte_that_is_changed_is_judged_alike_however_it_is_cut() {
    let bytes = story();
    let mut random = Random::new(7);
    for at in PREFACE.len()..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << random.below(8);
        let (_, fault, _) = heard(&mut std::iter::once(&wrong[..]));
        let size = 1 + random.below(20);
        let (_, other, _) = heard(&mut wrong.chunks(size));
        // A frame whose length grew waits for more; what it is wrong by is told then.
        assert_eq!(fault, other, "byte {at} in pieces of {size}");
    }
}

#[test]
fn a_frame_that_is_not_whole_is_the_callers_to_keep_and_a_body_is_nobodys() {
    let mut it = Connection::server(Config::server());
    let hello = [&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    let mut at = 0;
    while it.next(&hello, &mut at).expect("right").is_some() {}
    let before = it.holds_bytes();
    let head = frame(HEADERS, OPEN, 1, &post(&[]));
    for cut in 0..head.len() {
        let mut at = 0;
        assert_eq!((it.next(&head[..cut], &mut at), at), (Ok(None), 0), "nothing is taken of it");
    }
    assert_eq!(it.holds_bytes(), before);
    let mut at = 0;
    it.next(&head, &mut at).expect("right").expect("a head");
    let held = it.holds_bytes();
    let (body, mut at, mut came) = (frame(DATA, 0, 1, &[7; 16_384]), 0, 0);
    for upto in [1, 9, 10, 4000, 4001, 16_393] {
        while let Some(event) = it.next(&body[..upto], &mut at).expect("right") {
            let Event::Data { bytes, .. } = event else { panic!("{event:?}") };
            came += bytes.len();
        }
        assert_eq!(came, upto.saturating_sub(9), "a body goes on as it comes");
    }
    assert_eq!(it.holds_bytes(), held);
}
