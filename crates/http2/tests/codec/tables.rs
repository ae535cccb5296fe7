//! HPACK's table at its bounds (RFC 7541 §4), and what is read for the table's sake alone.

use crate::kit::*;
use everyhop_http2::hpack::{Decoder, Encoder};
use everyhop_http2::{Config, Fault, Head};

/// A literal that is kept (RFC 7541 §6.2.1); one of a name and a value of a byte each takes 34 bytes of a table.
fn kept(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut it = literal(name, value);
    it[0] = 0x40;
    it
}

/// A table of so many bytes from now on (RFC 7541 §6.3).
fn sized(bytes: usize) -> Vec<u8> {
    let mut it = Vec::new();
    number(bytes, 5, 0x20, &mut it);
    it
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let mut head = Head::default();
    decoder.block(block, &mut head, 65_536, 128)?;
    Ok(fields(&head))
}

#[test]
fn entries_that_fill_a_table_to_its_last_byte_are_kept() {
    let mut decoder = Decoder::default();
    read(&mut decoder, &[sized(68), kept("a", "1"), kept("b", "2")].concat()).expect("right");
    assert_eq!(read(&mut decoder, &[0xbe, 0xbf]), Ok(pairs(&[("b", "2"), ("a", "1")])));
    // A byte more, and one of them goes.
    read(&mut decoder, &kept("c", "33")).expect("right");
    assert_eq!(read(&mut decoder, &[0xbe]), Ok(pairs(&[("c", "33")])));
    assert_eq!(read(&mut decoder, &[0xbf]), Err(Fault::Compression));
}

#[test]
fn an_entry_as_large_as_the_table_is_kept_and_a_larger_one_empties_it_and_is_no_fault() {
    let mut decoder = Decoder::default();
    read(&mut decoder, &[sized(34), kept("a", "1")].concat()).expect("right");
    assert_eq!(read(&mut decoder, &[0xbe]), Ok(pairs(&[("a", "1")])));
    assert_eq!(read(&mut decoder, &kept("b", "22")), Ok(pairs(&[("b", "22")])));
    assert_eq!(read(&mut decoder, &[0xbe]), Err(Fault::Compression));
}

#[test]
fn what_is_kept_is_found_again_however_much_was_kept_before() {
    let (mut decoder, mut encoder, mut out) = (Decoder::default(), Encoder::default(), Vec::new());
    for i in 0..1_000 {
        let value = format!("{i:0>90}");
        let two = [kept("a", &value), vec![0xbe]].concat();
        assert_eq!(read(&mut decoder, &two), Ok(pairs(&[("a", &value), ("a", &value)])));
        out.clear();
        assert!(encoder.field(b"a", value.as_bytes(), false, &mut out));
        let once = out.len();
        assert!(encoder.field(b"a", value.as_bytes(), false, &mut out));
        assert_eq!(out.len(), once + 1, "{i}");
    }
}

#[test]
fn a_name_that_no_table_has_is_a_fault_where_its_field_is_passed_over_too() {
    let after = |name: &[u8]| {
        // Behind what is too long, the name with a value of one byte that nobody keeps (RFC 7541 §6.2.2).
        let block = [&kept("a", "1")[..], &literal("x", "v".repeat(200)), name, &[1, b'v']].concat();
        Decoder::default().block(&block, &mut Head::default(), 100, 128)
    };
    // Of the static table the first and the last, of the other its only one.
    for known in [&[1][..], &[0x0f, 61 - 15], &[0x0f, 62 - 15]] {
        assert_eq!(after(known), Ok(()), "{known:?}");
    }
    assert_eq!(after(&[0x0f, 63 - 15]), Err(Fault::Compression));
}

#[test]
fn what_is_passed_over_holds_little_until_the_next_head() {
    let holding = |passed: usize| {
        let mut it = Peer::server_of(Config { head_bytes: 1000, ..Config::server() });
        let block = [get(&[]), literal("x", "v".repeat(1000)), literal("y", "v".repeat(passed))].concat();
        assert_eq!(it.hear(&frame(HEADERS, ALL, 1, &block)), [Said::TooLong { stream: 1, last: true }]);
        it.conn.holds_bytes()
    };
    let none = holding(0);
    assert!((none + 2_900..none + 4_096).contains(&holding(3_000)));
    assert!(holding(10_000) <= none);
}

#[test]
fn what_a_table_holds_is_counted_and_bounded_however_much_was_kept() {
    let holding = |fields: &dyn Fn(u32) -> Vec<u8>| {
        let mut it = Peer::server();
        for i in 0..50 {
            let block = [get(&[]), fields(i)].concat();
            assert!(it.takes(&frame(HEADERS, ALL, 2 * i + 1, &block)));
            it.conn.answer(2 * i + 1, 200, true, |_| ()).expect("open");
            it.conn.done(2 * i + 1);
            it.says();
        }
        it.conn.holds_bytes()
    };
    let none = holding(&|_| literal("a", "").repeat(100));
    let some = holding(&|i| if i == 0 { kept("a", "").repeat(100) } else { literal("a", "").repeat(100) });
    assert!((none + 2_400..none + 8_000).contains(&some), "{some}, {none}");
    let none = holding(&|_| literal("a", "v".repeat(90)).repeat(100));
    let many = holding(&|_| kept("a", "v".repeat(90)).repeat(100));
    assert!((none + 4_096..none + 40_000).contains(&many), "{many}, {none}");
}
