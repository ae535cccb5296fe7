//! Answers that are read leniently, as a route asks for it: what can be read in one way is taken, at every split, and goes
//! on as strict readers have it. What could be read in two ways is refused all the same. Requests know none of this.

use everyhop_http1::{Chunk, Chunked, FieldId, Framing, Limits, Parsed, Refused, RequestHead, ResponseHead};

const LIMITS: Limits = Limits { head_bytes: 4096, fields: 20, target_bytes: 200 };

fn read(bytes: &str, lenient: bool) -> (Parsed, ResponseHead) {
    let mut head = ResponseHead::lenient(lenient);
    let parsed = head.parse(bytes.as_bytes(), &LIMITS, false);
    (parsed, head)
}

#[test]
fn a_head_that_can_be_read_in_one_way_is_the_same_at_every_split() {
    for (bytes, framing) in [
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", Framing::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n", Framing::Length(5)),
        ("HTTP/1.1 200 OK\nContent-Length: 5\r\n\n", Framing::Length(5)),
        ("HTTP/1.1 200\n\n", Framing::UntilClose),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Framing::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5 ,5\r\n\r\n", Framing::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\nContent-Length: 5\r\n\r\n", Framing::Length(5)),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", Framing::Chunked),
    ] {
        let mut head = ResponseHead::lenient(true);
        for cut in 0..bytes.len() {
            assert_eq!(head.parse(&bytes.as_bytes()[..cut], &LIMITS, false), Parsed::NeedMore, "{bytes:?} at {cut}");
        }
        assert_eq!(head.parse(bytes.as_bytes(), &LIMITS, false), Parsed::Head { len: bytes.len() }, "{bytes:?}");
        assert_eq!(head.framing, framing, "{bytes:?}");
        let lengths: Vec<_> = head.fields.iter().filter(|f| f.id == FieldId::ContentLength).collect();
        assert!(lengths.iter().all(|f| f.value.of(bytes.as_bytes()) == b"5") && lengths.len() < 2, "said once");
        let strict = read(bytes, false).0;
        assert!(framing == Framing::UntilClose || matches!(strict, Parsed::Refused(_)), "{bytes:?} is {strict:?}");
    }
}

#[test]
fn what_stands_beside_a_length_that_is_said_twice_stays_in_its_order() {
    let bytes = "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 15 , 15\r\nB: 2\r\nContent-Length: 15\r\nC: 3\r\n\r\n";
    let (parsed, head) = read(bytes, true);
    assert_eq!(parsed, Parsed::Head { len: bytes.len() });
    let fields: Vec<_> =
        head.fields.iter().map(|f| (f.name.of(bytes.as_bytes()), f.value.of(bytes.as_bytes()))).collect();
    assert_eq!(fields, [(&b"A"[..], &b"1"[..]), (b"Content-Length", b"15"), (b"B", b"2"), (b"C", b"3")]);
}

#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused_leniently_too() {
    for (bytes, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", Refused::TwoContentLengths),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", Refused::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n", Refused::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", Refused::ContentLength),
        ("HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", Refused::ConflictingFraming),
        ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", Refused::TransferEncoding),
        ("HTTP/1.1 200 OK\nA: b\rc\n\n", Refused::BareCr),
        ("HTTP/1.1 200 OK\nA: b\n c\n\n", Refused::Fold),
        ("HTTP/1.1 200 OK\nA : b\n\n", Refused::FieldName),
        ("HTTP/1.1 200 OK\nA: \0\n\n", Refused::FieldValue),
        ("\nHTTP/1.1 200 OK\n\n", Refused::StatusLine),
    ] {
        assert_eq!(read(bytes, true).0, Parsed::Refused(why), "{bytes:?}");
    }
}

#[test]
fn a_request_is_never_read_leniently() {
    for bytes in ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n"] {
        let parsed = RequestHead::default().parse(bytes.as_bytes(), &LIMITS);
        assert_eq!(parsed, Parsed::Refused(Refused::BareLf), "{bytes:?}");
    }
}

/// Body and how many bytes it took, fed in pieces of `size`.
fn decode(bytes: &[u8], size: usize, lenient: bool) -> Result<(Vec<u8>, usize), Option<Refused>> {
    let mut it = Chunked::lenient(lenient, &LIMITS);
    let (mut body, mut used) = (Vec::new(), 0);
    for end in (size..bytes.len() + size).step_by(size) {
        let have = &bytes[..end.min(bytes.len())];
        loop {
            match it.next(&have[used..]) {
                Chunk::Data { skip, len } => {
                    body.extend_from_slice(&have[used + skip..used + skip + len]);
                    used += skip + len;
                }
                Chunk::NeedMore { consumed } => {
                    used += consumed;
                    break;
                }
                Chunk::End { consumed } => return Ok((body, used + consumed)),
                Chunk::Refused(why) => return Err(Some(why)),
            }
        }
    }
    Err(None)
}

#[test]
fn padded_chunks_and_lines_of_lf_alone_are_the_same_at_every_split() {
    for bytes in [
        &b"5  \r\nhello\r\n0\r\n\r\n"[..],
        b"5\t ;x=y\r\nhello\r\n0 \r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello\n0\r\nX-Sum: 1\n\n",
        b"0000000000000000000005\r\nhello\r\n00000000000000000000\r\n\r\n",
    ] {
        let text = String::from_utf8_lossy(bytes);
        let next = [bytes, b"HTTP/1.1 200 OK"].concat();
        for size in 1..=next.len() {
            assert_eq!(decode(&next, size, true), Ok((b"hello".to_vec(), bytes.len())), "{text:?} in {size}");
            assert!(matches!(decode(&next, size, false), Err(Some(_))), "{text:?} strictly");
        }
    }
}

#[test]
fn chunks_that_are_neither_are_refused_leniently_too() {
    for (bytes, why) in [
        (&b" 5\r\nhello"[..], Refused::ChunkSize),
        (b" ", Refused::ChunkSize),
        (b"5\r\nhello\r\n\t", Refused::ChunkSize),
        (b"5 5\r\nhello", Refused::ChunkSize),
        (b"0x5\r\nhello", Refused::ChunkSize),
        (b"\nhello", Refused::ChunkSize),
        (b"5\rhello", Refused::ChunkSize),
        (b"5\r\nhelloX", Refused::ChunkEnd),
        (b"5\r\nhello\rX", Refused::ChunkEnd),
        (b"1000000000000000\r\n", Refused::ChunkSize),
        (b"01000000000000000\r\n", Refused::ChunkSize),
        (b"0\nX : 1\n\n", Refused::FieldName),
    ] {
        assert_eq!(decode(bytes, 1, true), Err(Some(why)), "{:?}", String::from_utf8_lossy(bytes));
    }
    let padded = |white: usize| [b"5".to_vec(), vec![b' '; white], b"\r\nhello\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(decode(&padded(4096), 64, true).map(|it| it.0), Ok(b"hello".to_vec()));
    assert_eq!(decode(&padded(4097), 64, true), Err(Some(Refused::ChunkExtension)));
    let endless = [&b"5"[..], &[b' '; 5000]].concat();
    assert_eq!(decode(&endless, 64, true), Err(Some(Refused::ChunkExtension)));
    assert_eq!(decode(&[b'0'; 5000], 64, true), Err(Some(Refused::ChunkExtension)));
}

#[test]
fn the_reason_of_an_answer_is_what_stands_behind_its_status() {
    for (line, reason) in [
        ("HTTP/1.1 200 Very Fine", "Very Fine"),
        ("HTTP/1.1 207 Multi-Status", "Multi-Status"),
        ("HTTP/1.1 200 caf\u{e9}\t(x)", "caf\u{e9}\t(x)"),
        ("HTTP/1.1 200 x", "x"),
        ("HTTP/1.1 200 ", ""),
        ("HTTP/1.1 200", ""),
    ] {
        let bytes = format!("{line}\r\n\r\n");
        let (parsed, head) = read(&bytes, false);
        assert_eq!(parsed, Parsed::Head { len: bytes.len() }, "{line:?}");
        assert_eq!(head.reason.of(bytes.as_bytes()), reason.as_bytes(), "{line:?}");
    }
    for (len, told) in [(255, 255), (256, 0)] {
        let long = format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(len));
        assert_eq!(read(&long, false).1.reason.of(long.as_bytes()).len(), told, "bounded, with its space");
    }
}
