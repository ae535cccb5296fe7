//! HPACK: the examples of RFC 7541 appendix C, every way to say a thing wrongly, and what is written read back.

use crate::kit::{Random, block, fields, literal, number, pairs};
use everyhop_http2::hpack::{Decoder, Encoder};
use everyhop_http2::{Fault, Head};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |it: &[u8]| u8::from_str_radix(std::str::from_utf8(it).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let mut head = Head::default();
    decoder.block(block, &mut head, 65_536, 128)?;
    Ok(fields(&head))
}

/// Blocks that follow each other on one connection, with what they say.
type Story<'a> = &'a [(&'a str, &'a [(&'a str, &'a str)])];

fn reads(story: Story) {
    let mut decoder = Decoder::default();
    for (block, said) in story {
        let mut said = pairs(said);
        // Pseudo-fields stand apart here, in an order of their own.
        let order = [":method", ":scheme", ":authority", ":path", ":status"];
        said.sort_by_key(|(name, _)| order.iter().position(|it| it == name).unwrap_or(order.len()));
        assert_eq!(read(&mut decoder, &bytes(block)), Ok(said), "{block}");
    }
}

const FIRST: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const THIRD: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];

#[test]
fn requests_are_read_as_in_the_rfc_without_huffman() {
    reads(&[
        ("828684 41 0f 7777772e6578616d706c652e636f6d", FIRST),
        ("828684be 58 08 6e6f2d6361636865", SECOND),
        ("828785bf 40 0a 637573746f6d2d6b6579 0c 637573746f6d2d76616c7565", THIRD),
    ]);
}

#[test]
fn requests_are_read_as_in_the_rfc_with_huffman() {
    reads(&[
        ("828684 41 8c f1e3c2e5f23a6ba0ab90f4ff", FIRST),
        ("828684be 58 86 a8eb10649cbf", SECOND),
        ("828785bf 40 88 25a849e95ba97d7f 89 25a849e95bb8e8b4bf", THIRD),
    ]);
}

const DATE_1: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const DATE_2: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const COOKIE: (&str, &str) = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");

/// With a table of 256 bytes, which the first of them says.
const ANSWERS: [&[(&str, &str)]; 3] = [
    &[(":status", "302"), PRIVATE, DATE_1, LOCATION],
    &[(":status", "307"), PRIVATE, DATE_1, LOCATION],
    &[(":status", "200"), PRIVATE, DATE_2, LOCATION, ("content-encoding", "gzip"), COOKIE],
];

#[test]
fn answers_are_read_as_in_the_rfc_and_drive_each_other_out() {
    reads(&[
        (
            "3fe101 4803333032 5807 70726976617465 611d 4d6f6e2c203231204f637420323031332032303a31333a323120474d54
             6e17 68747470733a2f2f7777772e6578616d706c652e636f6d",
            ANSWERS[0],
        ),
        ("4803333037 c1c0bf", ANSWERS[1]),
        (
            "88c1 611d 4d6f6e2c203231204f637420323031332032303a31333a323220474d54 c0 5a04 677a6970
             7738 666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
            ANSWERS[2],
        ),
    ]);
}

#[test]
fn answers_are_read_as_in_the_rfc_with_huffman_too() {
    reads(&[
        (
            "3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            ANSWERS[0],
        ),
        ("4883640effc1c0bf", ANSWERS[1]),
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1
             ab270fb5291f9587316065c003ed4ee5b1063d5007",
            ANSWERS[2],
        ),
    ]);
}

#[test]
fn each_representation_is_read_as_in_the_rfc() {
    reads(&[
        ("40 0a 637573746f6d2d6b6579 0d 637573746f6d2d686561646572", &[("custom-key", "custom-header")]),
        ("04 0c 2f73616d706c652f70617468", &[(":path", "/sample/path")]),
        ("10 08 70617373776f7264 06 736563726574", &[("password", "secret")]),
        ("82", &[(":method", "GET")]),
        // Of these the first alone was kept.
        ("be", &[("custom-key", "custom-header")]),
    ]);
    assert_eq!(read(&mut Decoder::default(), &bytes("82 bf")), Err(Fault::Compression));
}

#[test]
fn a_field_that_was_never_to_be_indexed_says_so_to_whoever_sends_it_on() {
    let mut head = Head::default();
    let block = bytes("10 08 70617373776f7264 06 736563726574 00 01 61 01 62 40 01 61 01 62");
    Decoder::default().block(&block, &mut head, 65_536, 128).expect("right");
    assert_eq!(head.fields().map(|it| it.is_secret).collect::<Vec<_>>(), [true, false, false]);
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    for _ in 0..2 {
        out.clear();
        encoder.field(b"password", b"secret", true, &mut out);
        assert_eq!(out[0], 0x10, "nobody keeps it");
    }
}

#[test]
fn a_block_that_cannot_be_read_ends_the_connection() {
    let long = |n: usize, bits: u32, first: u8| {
        let mut it = Vec::new();
        number(n, bits, first, &mut it);
        it
    };
    let wrong: [(&str, Vec<u8>); 17] = [
        ("index 0", vec![0x80]),
        ("an index beyond both tables", vec![0xbe]),
        ("a name beyond both tables", vec![0x7e, 1, b'a']),
        ("a name that is kept beyond both tables", vec![0x0f, 0x30, 1, b'a']),
        ("a number that does not end", vec![0xff, 0x80]),
        ("a number that is too long", vec![0xff, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ("a number that is too long and small", vec![0xff, 0x80, 0x80, 0x80, 0x80, 0x00]),
        ("a number that is not there", vec![0xff]),
        ("a name that is not there", vec![0x40]),
        ("a value that is not there", vec![0x40, 1, b'a']),
        ("a text that is shorter than it says", vec![0x40, 2, b'a']),
        ("a table that is larger than it may be", long(4097, 5, 0x20)),
        ("a table whose size changes behind a field", vec![0x82, 0x20]),
        ("a table whose size changes three times", vec![0x20, 0x21, 0x20]),
        ("Huffman padded by eight bits", vec![0x00, 0x82, 0x1f, 0xff, 0x01, b'a']),
        ("Huffman padded by zeros", vec![0x00, 0x81, 0x18, 0x01, b'a']),
        ("Huffman with the end of string", vec![0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'a']),
    ];
    for (what, block) in wrong {
        assert_eq!(read(&mut Decoder::default(), &block), Err(Fault::Compression), "{what}");
    }
    assert_eq!(read(&mut Decoder::default(), &[0x3f, 0xe1, 0x1f, 0x20, 0x82]), Ok(pairs(&[(":method", "GET")])));
}

#[test]
fn every_byte_is_written_and_read_in_huffmans_code_alone_and_behind_every_other() {
    let (mut encoder, mut decoder, mut head) = (Encoder::default(), Decoder::default(), Head::default());
    let allowed = |b: &u8| *b == 9 || *b >= 32 && *b != 127;
    let all: Vec<u8> = (0..=255).filter(allowed).collect();
    for a in &all {
        let value: Vec<u8> = [b'x'].into_iter().chain(all.iter().flat_map(|b| [*a, *b])).chain([b'x']).collect();
        let mut out = Vec::new();
        assert!(encoder.field(b"a", &value, true, &mut out));
        decoder.block(&out, &mut head, 65_536, 128).expect("right");
        assert_eq!(head.get(b"a"), Some(&value[..]));
    }
}

#[test]
fn every_beginning_of_a_block_is_a_shorter_head_or_none_and_never_another() {
    let whole =
        [block(&[(":method", "GET"), ("a", "b")]), bytes("40 88 25a849e95ba97d7f 89 25a849e95bb8e8b4bf")].concat();
    let all = read(&mut Decoder::default(), &whole).expect("right");
    for cut in 0..whole.len() {
        if let Ok(some) = read(&mut Decoder::default(), &whole[..cut]) {
            assert_eq!(some, all[..some.len()], "cut at {cut}");
        }
    }
}

#[test]
fn what_does_not_fit_is_not_kept_and_the_table_is_as_if_it_had_been() {
    let mut decoder = Decoder::default();
    let mut head = Head::default();
    let kept = |name: &str, value: &str| {
        let mut it = literal(name, value);
        it[0] = 0x40;
        it
    };
    // Fields 62 to 64 afterwards: c, b, a.
    let long = [block(&[("x", &"v".repeat(200))]), kept("a", "1"), kept("b", "2"), kept("c", "3"), literal("d", "4")];
    decoder.block(&long.concat(), &mut head, 100, 128).expect("right");
    assert_eq!(fields(&head), [], "nothing behind what was too long");
    assert_eq!(read(&mut decoder, &[0xbe, 0xbf, 0xc0]), Ok(pairs(&[("c", "3"), ("b", "2"), ("a", "1")])));
    // One more than may be.
    decoder.block(&[0xbe, 0xbf, 0xc0], &mut head, 100, 2).expect("right");
    assert_eq!(fields(&head), pairs(&[("c", "3"), ("b", "2")]));
    // 32 bytes are counted for each (RFC 9113 §6.5.2).
    decoder.block(&[0xbe, 0xbf], &mut head, 67, 128).expect("right");
    assert_eq!(fields(&head), pairs(&[("c", "3")]));
    decoder.block(&[0xbe, 0xbf], &mut head, 68, 128).expect("right");
    assert_eq!(fields(&head).len(), 2);
}

/// Fields as they occur, of few names, so that tables fill and entries come again.
fn some(random: &mut Random) -> (String, String) {
    let names =
        ["a", "x-request-id", "accept", "cookie", "authorization", "content-type", "vary", "content-length", "te"];
    let name = *random.of(&names);
    let value = match name {
        "content-length" => random.below(9999).to_string(),
        "te" => "trailers".to_owned(),
        _ => {
            let kinds = ["", "gzip, deflate", "*/*", "\u{e9}\u{4e2d}", "text/html; charset=utf-8", "\u{7e}{}|<>"];
            let value = format!("{}{}", random.of(&kinds), "v".repeat(random.below(4) * random.below(400)));
            if random.below(3) == 0 { format!("{value}{}", random.below(50)) } else { value }
        }
    };
    (name.to_owned(), value)
}

#[test]
fn what_is_written_reads_back_whatever_went_before_and_however_the_table_changes() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for _ in 0..200 {
            let all: Vec<_> = (0..random.below(12)).map(|_| some(&mut random)).collect();
            for _ in 0..random.below(3) * random.below(2) {
                encoder.resize(*random.of(&[0, 33, 64, 100, 256, 1000, 4096, 65_536]));
            }
            let mut out = Vec::new();
            encoder.begin(&mut out);
            for (name, value) in &all {
                assert!(encoder.field(name.as_bytes(), value.as_bytes(), random.below(9) == 0, &mut out), "{name}");
            }
            let plain: Vec<_> = all.iter().map(|(n, v)| (n.clone(), crate::kit::text(v.as_bytes()))).collect();
            assert_eq!(read(&mut decoder, &out), Ok(plain), "seed {seed}");
        }
    }
}

#[test]
fn what_comes_again_takes_a_byte_and_what_is_different_each_time_drives_nothing_out() {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    let mut sizes = Vec::new();
    for i in 0..3 {
        out.clear();
        encoder.field(b"user-agent", b"someone/1.0", false, &mut out);
        encoder.field(b"x-own", format!("{i}").as_bytes(), false, &mut out);
        for secret in ["cookie", "authorization", "etag", "location", "set-cookie"] {
            encoder.field(secret.as_bytes(), format!("a secret {i}").as_bytes(), false, &mut out);
        }
        encoder.field(b"x-long", "v".repeat(3100).as_bytes(), false, &mut out);
        sizes.push(out.len());
    }
    assert!(sizes[0] - sizes[1] >= 12, "{sizes:?}");
    assert_eq!(sizes[1], sizes[2]);
    out.clear();
    encoder.field(b"user-agent", b"someone/1.0", false, &mut out);
    assert_eq!(out.len(), 1, "it is still in the table");
}

#[test]
fn a_secret_is_not_found_in_the_table_by_who_guesses_it() {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    for name in ["authorization", "cookie", "set-cookie"] {
        let mut sizes = [0; 2];
        for size in &mut sizes {
            out.clear();
            encoder.field(name.as_bytes(), b"the secret", false, &mut out);
            *size = out.len();
        }
        assert_eq!(sizes[0], sizes[1], "{name}");
    }
}

#[test]
fn what_no_message_may_have_is_not_written() {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    for (name, value) in [
        ("", "x"),
        ("Upper", "x"),
        ("a b", "x"),
        ("connection", "close"),
        ("keep-alive", "x"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("a", " x"),
        ("a", "x\t"),
        ("a", "x\r\ny: z"),
        ("a", "x\0"),
        ("a", "\u{7f}"),
    ] {
        assert!(!encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out), "{name}: {value:?}");
        assert!(out.is_empty());
    }
}
