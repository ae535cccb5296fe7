//! Chunked bodies: complete ones split at every byte, wrong ones refused, nothing ever panics.

use everyhop_http1::{Chunk, Chunked, Limits, Refused, write};

const LIMITS: Limits = Limits { head_bytes: 8192, fields: 64, target_bytes: 256 };

/// Body, trailers and how many bytes it took; fed in pieces of `size`.
fn decode(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Chunked, usize), Option<Refused>> {
    let mut it = Chunked::within(&LIMITS);
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
                Chunk::End { consumed } => return Ok((body, it, used + consumed)),
                Chunk::Refused(why) => return Err(Some(why)),
            }
        }
    }
    Err(None)
}

#[test]
fn a_body_is_the_same_however_it_arrives() {
    let bytes = b"5\r\nhello\r\n006;ext=\"1\"\r\n world\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nContent-Length: 3\r\n\r\nGET /next";
    for size in 1..bytes.len() {
        let (body, it, used) = decode(bytes, size).expect("a whole body");
        assert_eq!(body, b"hello world0123456789");
        assert_eq!(&bytes[used..], b"GET /next", "what follows is untouched");
        assert_eq!(it.trailers, [(b"X-Sum".to_vec(), b"1".to_vec())], "what frames a message is dropped");
    }
}

/// H04.
#[test]
fn a_body_that_is_not_exactly_chunked_is_refused() {
    for bad in [
        &b"5\nhello\r\n0\r\n\r\n"[..],
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\n",
        b"+5\r\nhello",
        b"-5\r\nhello",
        b" 5\r\nhello",
        b"5 \r\nhello",
        b"\r\nhello",
        b";a\r\n",
        b"5;a\nb\r\nhello",
        b"5;a\x00\r\nhello",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\r0",
        b"5\r\nhello\n0",
        b"00000000000000005\r\nhello",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\n folded\r\n\r\n",
    ] {
        assert!(matches!(decode(bad, 3), Err(Some(_))), "{:?}", String::from_utf8_lossy(bad));
    }
    let extension = [b"5;".to_vec(), vec![b'a'; 5000]].concat();
    assert!(matches!(decode(&extension, 64), Err(Some(Refused::ChunkExtension))));
    let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(2000)].concat();
    assert!(matches!(decode(&trailers, 64), Err(Some(Refused::TrailerTooLong))));
    assert!(matches!(decode(b"5\r\nhell", 2), Err(None)), "a short body is not complete");
}

#[test]
fn what_is_written_is_read_back() {
    for n in [1usize, 9, 15, 16, 255, 256, 4095, 65_536] {
        let mut bytes = Vec::new();
        write::chunk_size(&mut bytes, n);
        bytes.extend(vec![7; n]);
        bytes.extend(b"\r\n0\r\n\r\n");
        assert_eq!(decode(&bytes, 1000).expect("a whole body").0.len(), n);
    }
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap_or(0)
    };
    let alphabet = b"0123aF;\r\n\r\n: x\x00\xff";
    for _ in 0..50_000 {
        let bytes: Vec<u8> = (0..random() % 40).map(|_| alphabet[random() % alphabet.len()]).collect();
        let _ = decode(&bytes, 1 + random() % 9);
    }
}

#[test]
fn numbers_are_written_as_they_are() {
    for n in (0..=70_000).chain([u64::MAX - 1, u64::MAX]) {
        let mut out = Vec::new();
        write::number(&mut out, n);
        assert_eq!(out, n.to_string().into_bytes());
    }
}
