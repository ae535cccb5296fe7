//! The shortest form of each field, byte by byte (RFC 7541 §6), and what is kept of it.

use crate::kit::*;
use everyhop_http2::Fault;
use everyhop_http2::Head;
use everyhop_http2::hpack::{Decoder, Encoder};

fn written(encoder: &mut Encoder, name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out), "{name}");
    out
}

/// Names with their first place (RFC 7541, appendix A), but for pseudo-fields and Transfer-Encoding, which HTTP/2 does not have.
const PLACES: [(u8, &str); 46] = [
    (15, "accept-charset"),
    (16, "accept-encoding"),
    (17, "accept-language"),
    (18, "accept-ranges"),
    (19, "accept"),
    (20, "access-control-allow-origin"),
    (21, "age"),
    (22, "allow"),
    (23, "authorization"),
    (24, "cache-control"),
    (25, "content-disposition"),
    (26, "content-encoding"),
    (27, "content-language"),
    (28, "content-length"),
    (29, "content-location"),
    (30, "content-range"),
    (31, "content-type"),
    (32, "cookie"),
    (33, "date"),
    (34, "etag"),
    (35, "expect"),
    (36, "expires"),
    (37, "from"),
    (38, "host"),
    (39, "if-match"),
    (40, "if-modified-since"),
    (41, "if-none-match"),
    (42, "if-range"),
    (43, "if-unmodified-since"),
    (44, "last-modified"),
    (45, "link"),
    (46, "location"),
    (47, "max-forwards"),
    (48, "proxy-authenticate"),
    (49, "proxy-authorization"),
    (50, "range"),
    (51, "referer"),
    (52, "refresh"),
    (53, "retry-after"),
    (54, "server"),
    (55, "set-cookie"),
    (56, "strict-transport-security"),
    (58, "user-agent"),
    (59, "vary"),
    (60, "via"),
    (61, "www-authenticate"),
];

#[test]
fn a_name_that_everybody_knows_is_written_as_its_place() {
    // What differs each time, or is as good as a password, is not kept.
    let passing = [21, 23, 28, 32, 34, 40, 41, 46, 55];
    for (place, name) in PLACES {
        let start = if passing.contains(&place) { vec![0x0f, place - 15] } else { vec![0x40 | place] };
        assert_eq!(written(&mut Encoder::default(), name, "7"), [start, vec![0x81, 0x77]].concat(), "{name}");
    }
}

#[test]
fn a_request_that_was_made_before_takes_a_byte_for_each_of_its_parts() {
    let mut it = Peer::client();
    it.ask("GET", true);
    it.says();
    it.ask("GET", true);
    let mut head = it.says().remove(0).payload;
    head.sort_unstable();
    assert_eq!(head, [0x82, 0x84, 0x87, 0xbe]);
}

#[test]
fn a_field_that_takes_three_quarters_of_the_table_is_kept_and_a_longer_one_is_not() {
    for (length, kept) in [(3_072 - 32 - 1, true), (3_072 - 32, false)] {
        let (mut encoder, value) = (Encoder::default(), "7".repeat(length));
        written(&mut encoder, "a", &value);
        assert_eq!(written(&mut encoder, "a", &value).len() == 1, kept, "{length}");
    }
    let (mut encoder, name) = (Encoder::default(), "a".repeat(3_000));
    written(&mut encoder, &name, &"7".repeat(40));
    assert_eq!(written(&mut encoder, &name, &"7".repeat(40)), [0xbe]);
}

#[test]
fn a_text_is_padded_with_seven_bits_at_most() {
    let reads = |text: &[u8]| {
        let block = [&[0, 1, b'a', 0x80 | text.len() as u8], text].concat();
        let mut head = Head::default();
        Decoder::default().block(&block, &mut head, 65_536, 128).map(|()| fields(&head))
    };
    assert_eq!(reads(&[0x77]), Ok(pairs(&[("a", "7")])));
    assert_eq!(reads(&[0xff]), Err(Fault::Compression));
    assert_eq!(reads(&[0x77, 0xff]), Err(Fault::Compression));
}
