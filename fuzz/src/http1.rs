//! Heads and bodies of HTTP/1: the same however they arrive, the same when written and read again, and as a second
//! reader of the grammar sees them.

use crate::oracle::{self, Ends, NoHead};
use crate::{cuts, shown};
use everyhop_http1::{Chunk, Chunked, FieldId, Framing, Limits, Parsed, Refused, RequestHead, ResponseHead, write};
use everyhop_http1::{field_id, is_token};

/// Small, so that short inputs meet them.
const LIMITS: Limits = Limits { head_bytes: 2048, fields: 16, target_bytes: 256 };

/// Refusals that depend on our limits alone, which the second reader does not have.
fn of_limits(why: Refused) -> bool {
    matches!(why, Refused::HeadTooLong | Refused::TooManyFields | Refused::TargetTooLong)
}

/// Feeds `data` to `parse` in growing prefixes; its first verdict must be that of the whole.
fn grown(data: &[u8], whole: Parsed, mut parse: impl FnMut(&[u8]) -> Parsed) {
    for cut in cuts(data.len()).chain([data.len()]) {
        let so_far = parse(&data[..cut]);
        if so_far != Parsed::NeedMore {
            assert_eq!(so_far, whole, "cut at {cut}: {}", shown(data));
            return;
        }
    }
    assert_eq!(whole, Parsed::NeedMore, "in pieces it is not complete: {}", shown(data));
}

/// A head is accepted by both readers or by none; limits of ours aside.
fn agreed(data: &[u8], parsed: Parsed, by_oracle: Result<oracle::Head, NoHead>) -> Option<oracle::Head> {
    match (parsed, by_oracle) {
        (Parsed::Head { len }, Ok(head)) => {
            assert_eq!(len, head.len, "{}", shown(data));
            Some(head)
        }
        (Parsed::Head { .. }, Err(why)) => panic!("accepted, but {why:?} to another reader: {}", shown(data)),
        (Parsed::Refused(why), Ok(_)) => {
            assert!(of_limits(why), "{why:?} refused, but fine to another reader: {}", shown(data));
            None
        }
        // What is wrong may be told before the rest is there; what is incomplete is never complete to the other.
        (Parsed::Refused(_), Err(_)) => None,
        (Parsed::NeedMore, it) => {
            assert!(it != Err(NoHead::Wrong) || !ended(data), "waits for ever: {}", shown(data));
            assert!(it.is_err(), "waits for what is there: {}", shown(data));
            None
        }
    }
}

/// An empty line after a line that is none: the head's end to anyone.
fn ended(data: &[u8]) -> bool {
    let start = data.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(data.len());
    data[start..].windows(4).any(|w| w == b"\r\n\r\n")
}

fn of(framing: Framing) -> Ends {
    match framing {
        Framing::None => Ends::Nowhere,
        Framing::Length(n) => Ends::After(n),
        Framing::Chunked => Ends::WithLastChunk,
        Framing::UntilClose => Ends::WithTheConnection,
    }
}

pub fn request(data: &[u8]) {
    let mut head = RequestHead::default();
    let parsed = head.parse(data, &LIMITS);
    let mut pieces = RequestHead::default();
    grown(data, parsed, |so_far| pieces.parse(so_far, &LIMITS));
    let Some(other) = agreed(data, parsed, oracle::request(data)) else { return };

    let fields: Vec<_> = head.fields.iter().map(|f| (f.name.of(data).to_vec(), f.value.of(data).to_vec())).collect();
    let [method, target, version] = &other.first;
    assert_eq!((head.method.of(data), head.target.of(data)), (&method[..], &target[..]), "{}", shown(data));
    assert_eq!(head.version_10, version == b"HTTP/1.0");
    assert_eq!(fields, other.fields, "{}", shown(data));
    assert_eq!(of(head.framing), other.ends, "{}", shown(data));
    assert!(other.len <= LIMITS.head_bytes && fields.len() <= LIMITS.fields && target.len() <= LIMITS.target_bytes);

    // Written afresh it reads as the same, also by a head that was used before.
    let mut out = [&method[..], b" ", target, b" ", version, b"\r\n"].concat();
    for (name, value) in &fields {
        write::field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    pieces.reset();
    let roomy = Limits { head_bytes: LIMITS.head_bytes * 2, ..LIMITS };
    assert_eq!(pieces.parse(&out, &roomy), Parsed::Head { len: out.len() }, "{}", shown(&out));
    assert_eq!((pieces.framing, pieces.connection), (head.framing, head.connection));
    assert_eq!((pieces.keeps_alive(), pieces.expects_continue), (head.keeps_alive(), head.expects_continue));
    for (before, now) in head.fields.iter().zip(&pieces.fields) {
        assert_eq!((before.id, before.value.of(data)), (now.id, now.value.of(&out)));
        let stays = |it: &RequestHead, f, buf: &[u8]| it.is_hop_by_hop(f, buf);
        assert_eq!(stays(&head, before, data), stays(&pieces, now, &out), "{}", shown(data));
    }
}

pub fn response(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let to_head = how & 1 == 1;
    let mut head = ResponseHead::default();
    let parsed = head.parse(data, &LIMITS, to_head);
    let mut pieces = ResponseHead::default();
    grown(data, parsed, |so_far| pieces.parse(so_far, &LIMITS, to_head));
    leniently(data, to_head, (parsed, &head));
    let Some(other) = agreed(data, parsed, oracle::response(data, to_head)) else { return };

    assert_eq!(head.status.to_string().as_bytes(), other.first[1], "{}", shown(data));
    assert!((100..=599).contains(&head.status));
    assert_eq!(of(head.framing), other.ends, "{}", shown(data));
    let fields: Vec<_> = head.fields.iter().map(|f| (f.name.of(data).to_vec(), f.value.of(data).to_vec())).collect();
    assert_eq!(fields, other.fields, "{}", shown(data));
    // A connection lives on only where the next response's first byte is known.
    assert!(!head.keeps_alive() || head.framing != Framing::UntilClose);

    let mut out = Vec::new();
    write::status_line(&mut out, head.status, head.reason.of(data));
    for (name, value) in &fields {
        write::field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    pieces.reset();
    let roomy = Limits { head_bytes: LIMITS.head_bytes * 2, ..LIMITS };
    assert_eq!(pieces.parse(&out, &roomy, to_head), Parsed::Head { len: out.len() }, "{}", shown(&out));
    assert_eq!((pieces.framing, pieces.length, pieces.connection), (head.framing, head.length, head.connection));
    let reason = head.reason.of(data);
    assert!(reason.is_empty() || pieces.reason.of(&out) == reason, "{}", shown(data));
    assert!(!reason.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
}

/// What is read strictly is read leniently as the same; what is read leniently is read strictly as the same once it was
/// written afresh, and is the same however it arrives.
fn leniently(data: &[u8], to_head: bool, (strictly, strict): (Parsed, &ResponseHead)) {
    let mut head = ResponseHead::lenient(true);
    let parsed = head.parse(data, &LIMITS, to_head);
    let mut pieces = ResponseHead::lenient(true);
    grown(data, parsed, |so_far| pieces.parse(so_far, &LIMITS, to_head));
    if matches!(strictly, Parsed::Head { .. }) {
        assert_eq!((parsed, head.framing, head.length), (strictly, strict.framing, strict.length), "{}", shown(data));
    }
    let Parsed::Head { .. } = parsed else { return };
    let mut out = Vec::new();
    write::status_line(&mut out, head.status, head.reason.of(data));
    for field in &head.fields {
        write::field(&mut out, field.name.of(data), field.value.of(data));
    }
    out.extend_from_slice(b"\r\n");
    let roomy = Limits { head_bytes: LIMITS.head_bytes * 2, ..LIMITS };
    let mut again = ResponseHead::default();
    assert_eq!(again.parse(&out, &roomy, to_head), Parsed::Head { len: out.len() }, "{}", shown(&out));
    assert_eq!((again.framing, again.length, again.connection), (head.framing, head.length, head.connection));
}

type Decoded = Result<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize), Option<Refused>>;

/// Body, trailers and bytes that it took, fed in pieces of `size`; `Err(None)` for one that does not end.
fn decode(it: &mut Chunked, data: &[u8], size: usize) -> Decoded {
    let (mut body, mut used, mut end) = (Vec::new(), 0, 0);
    loop {
        end = (end + size).min(data.len());
        loop {
            let rest = &data[used..end];
            match it.next(rest) {
                Chunk::Data { skip, len } => {
                    assert!(len > 0 && skip + len <= rest.len(), "{skip} + {len} of {}", rest.len());
                    body.extend_from_slice(&rest[skip..skip + len]);
                    used += skip + len;
                }
                Chunk::NeedMore { consumed } => {
                    assert_eq!(consumed, rest.len(), "what it wants more of it has taken");
                    used += consumed;
                    break;
                }
                Chunk::End { consumed } => return Ok((body, it.trailers.clone(), used + consumed)),
                Chunk::Refused(why) => return Err(Some(why)),
            }
        }
        if end == data.len() {
            return Err(None);
        }
    }
}

pub fn chunked(data: &[u8]) {
    let mut it = Chunked::within(&LIMITS);
    let whole = decode(&mut it, data, data.len().max(1));
    for size in [1, 2, 3, 7, 64] {
        // A decoder that was used before is as good as a new one.
        it.reset(&LIMITS);
        assert_eq!(decode(&mut it, data, size), whole, "in pieces of {size}: {}", shown(data));
    }
    let mut lenient = Chunked::lenient(true, &LIMITS);
    let loosely = decode(&mut lenient, data, data.len().max(1));
    for size in [1, 2, 3, 7, 64] {
        lenient.reset(&LIMITS);
        assert_eq!(decode(&mut lenient, data, size), loosely, "leniently in pieces of {size}: {}", shown(data));
    }
    if whole.is_ok() {
        assert_eq!(loosely, whole, "leniently: {}", shown(data));
    } else if let Ok((body, trailers, _)) = loosely {
        afresh(&mut it, body, trailers);
    }
    let other = oracle::dechunk(data);
    let (body, trailers, used) = match whole {
        Ok(it) => it,
        Err(None) => return assert_eq!(other, None, "waits for what is there: {}", shown(data)),
        Err(Some(why)) => {
            let of_limits = matches!(why, Refused::ChunkExtension | Refused::TrailerTooLong);
            return assert!(of_limits || other.is_none(), "{why:?}, but fine to another reader: {}", shown(data));
        }
    };
    let Some((its_body, its_trailers, its_end)) = other else {
        panic!("accepted, but not by another reader: {}", shown(data))
    };
    assert!(body.len() < used && used <= data.len(), "never more out than in");
    assert_eq!((shown(&body), used), (shown(&its_body), its_end));
    let kept = |(name, _): &(Vec<u8>, Vec<u8>)| !field_id(name).is_framing();
    assert_eq!(trailers, its_trailers.into_iter().filter(kept).collect::<Vec<_>>());
    for (name, value) in &trailers {
        assert!(is_token(name) && !value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        assert_ne!(field_id(name), FieldId::ContentLength);
    }

    afresh(&mut it, body, trailers);
}

/// As it goes on: chunked afresh, in other sizes, it is read strictly as the same.
fn afresh(it: &mut Chunked, body: Vec<u8>, trailers: Vec<(Vec<u8>, Vec<u8>)>) {
    let mut out = Vec::new();
    for piece in body.chunks(5) {
        write::chunk_size(&mut out, piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in &trailers {
        write::field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    it.reset(&LIMITS);
    let n = out.len();
    assert_eq!(decode(it, &out, n), Ok((body, trailers, n)), "{}", shown(&out));
}
