//! Marks around the trailers of HTTP/2, put into the frames on their way to the `h2` crate, which takes pseudo-fields in
//! trailers for nothing and leaves out what is too long for it, and tells neither. A field before the trailers makes it
//! refuse the pseudo-fields behind it (RFC 9113 §8.1); a field after them is missing where something was left out.
//! Nothing else is changed, and no field is read. Read next: `h2_io.rs`, which hands the bytes on.

use crate::buf::Buf;
use std::hash::{BuildHasher, RandomState};

/// The name of both marks.
pub const NAME: &str = "everyhop-block";
/// RFC 9113 §4.1.
const HEADER: usize = 9;
/// The client's preface (RFC 9113 §3.4) comes before the first frame.
const PREFACE: usize = 24;
/// The longest frame that either side takes (RFC 9113 §4.2).
const FRAME: usize = 16 * 1024;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const CONTINUATION: u8 = 9;
/// What a stream is reset by whose end cannot come (RFC 9113 §7).
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// Streams of which it is known that trailers may come; of more the oldest is forgotten.
const BODIES: usize = 256;

/// What stands in the mark behind the trailers of a connection: no peer can know it.
pub type Secret = [u8; 16];

pub fn secret() -> Secret {
    let n = RandomState::new().hash_one(0_u8);
    let mut it = [0; 16];
    for (i, b) in it.iter_mut().enumerate() {
        *b = b"0123456789abcdef"[usize::try_from(n >> (4 * i) & 15).unwrap_or(0)];
    }
    it
}

/// What came of looking at the bytes that wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// So many go on as they are.
    On(usize),
    /// Something was put in their place, or before them.
    Changed,
    /// The next frame's header is not all there.
    More,
}

/// Where the mark behind the trailers goes.
#[derive(Clone, Copy)]
enum Ends {
    WithinTheFrame,
    InItsOwn([u8; 4]),
}

pub(crate) struct Marks {
    secret: Secret,
    from_client: bool,
    /// Bytes that go on, then those that do not, then the mark behind the trailers.
    on: usize,
    off: usize,
    ends: Option<Ends>,
    /// The trailers' block goes on in CONTINUATION.
    within: bool,
    /// Any block does.
    in_head: bool,
    /// Of a client: the last stream that was begun.
    last: u32,
    /// Streams that trailers may end: of a client those that it began and has not ended, of a backend those whose answer's
    /// body has begun.
    bodies: Vec<u32>,
}

impl Marks {
    pub(crate) fn new(from_client: bool, secret: Secret) -> Marks {
        Marks {
            secret,
            from_client,
            on: if from_client { PREFACE } else { 0 },
            off: 0,
            ends: None,
            within: false,
            in_head: false,
            last: 0,
            bodies: Vec::new(),
        }
    }

    /// Looks at what waits; what must be changed is at its front then, and goes to `made`.
    pub(crate) fn look(&mut self, waiting: &mut Buf, made: &mut Vec<u8>) -> Looked {
        let bytes = waiting.bytes();
        let mut at = 0;
        loop {
            let n = self.on.min(bytes.len() - at);
            self.on -= n;
            at += n;
            if self.on > 0 || at == bytes.len() && self.off == 0 && self.ends.is_none() {
                return if at > 0 { Looked::On(at) } else { Looked::More };
            }
            let rest = bytes.get(at..).unwrap_or_default();
            if self.off == 0
                && self.ends.is_none()
                && let Some(header) = rest.first_chunk::<HEADER>()
                && !self.marks(header)
            {
                let [a, b, c, ..] = *header;
                self.on = HEADER + length(a, b, c);
                continue;
            }
            if at > 0 {
                return Looked::On(at);
            }
            return self.change(waiting, made);
        }
    }

    /// The frame belongs to trailers; notes what tells which do.
    fn marks(&mut self, header: &[u8; HEADER]) -> bool {
        let [.., kind, flags, i, j, k, l] = *header;
        let stream = u32::from_be_bytes([i & 0x7f, j, k, l]);
        let ends = flags & END_STREAM != 0;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_head = flags & END_HEADERS == 0;
        }
        match kind {
            // Trailers are what comes on a stream that was begun and has not ended; anything else there is the crate's to refuse.
            HEADERS if self.from_client && stream <= self.last => self.bodies.contains(&stream),
            HEADERS if self.from_client => {
                self.last = stream;
                if !ends {
                    self.begun(stream);
                }
                false
            }
            // A head that ends its answer has the mark behind it too; only of trailers it is known that none is before.
            HEADERS => ends,
            CONTINUATION => self.within,
            DATA if !ends => {
                if !self.from_client {
                    self.begun(stream);
                }
                false
            }
            DATA | RESET => {
                self.bodies.retain(|it| *it != stream);
                false
            }
            _ => false,
        }
    }

    /// Of this stream trailers may come.
    fn begun(&mut self, stream: u32) {
        if self.bodies.last() != Some(&stream) && !self.bodies.contains(&stream) {
            if self.bodies.len() == BODIES {
                self.bodies.remove(0);
            }
            self.bodies.push(stream);
        }
    }

    /// Nothing more comes. Each stream whose end is still to come is reset, as its client would have; what the others wait
    /// for is theirs. False where the bytes do not end with a whole frame, or where it is a backend's answers that end.
    #[cold]
    pub(crate) fn cut(&mut self, made: &mut Vec<u8>) -> bool {
        let is_whole = self.on == 0 && self.off == 0 && self.ends.is_none() && !self.in_head;
        if !self.from_client || !is_whole {
            return false;
        }
        for stream in self.bodies.drain(..) {
            frame(made, RESET, 0, stream.to_be_bytes(), &CANCEL);
        }
        true
    }

    #[cold]
    fn change(&mut self, waiting: &mut Buf, made: &mut Vec<u8>) -> Looked {
        if self.off > 0 {
            let n = self.off.min(waiting.len());
            self.off -= n;
            waiting.consume_keep(n);
            return if n > 0 { Looked::Changed } else { Looked::More };
        }
        if let Some(ends) = self.ends.take() {
            let mark = literal(&self.secret);
            match ends {
                Ends::WithinTheFrame => made.extend_from_slice(&mark),
                Ends::InItsOwn(stream) => frame(made, CONTINUATION, END_HEADERS, stream, &mark),
            }
            return Looked::Changed;
        }
        let bytes = waiting.bytes();
        let Some(&[a, b, c, kind, flags, i, j, k, l]) = bytes.first_chunk::<HEADER>() else { return Looked::More };
        let (stream, length) = ([i, j, k, l], length(a, b, c));
        let is_head = kind == HEADERS;
        let padded = usize::from(is_head && flags & PADDED != 0);
        let before = padded + if is_head && flags & PRIORITY != 0 { 5 } else { 0 };
        let Some(extra) = bytes.get(HEADER..HEADER + before) else { return Looked::More };
        let padding = if padded == 1 { usize::from(extra.first().copied().unwrap_or(0)) } else { 0 };
        let Some(block) = length.checked_sub(before + padding) else {
            // No such frame: who reads it says so.
            self.on = HEADER + length;
            return self.look(waiting, made);
        };
        let first = bytes.get(HEADER + before).copied();
        if block > 0 && first.is_none() {
            return Looked::More;
        }
        let number = u32::from_be_bytes([i & 0x7f, j, k, l]);
        let body = self.bodies.iter().position(|it| *it == number).map(|it| self.bodies.swap_remove(it));
        let begins = if is_head && (self.from_client || body.is_some()) { literal(b"begins") } else { Vec::new() };
        self.within = flags & END_HEADERS == 0;
        let whole = begins.len() + block + literal(&self.secret).len();
        // A change of the table's size stands before any field (RFC 7541 §4.2).
        let resizes = block > 0 && first.is_some_and(|b| b & 0xe0 == 0x20);
        if is_head && !self.within && whole <= FRAME && (begins.is_empty() || !resizes) {
            // In one frame: of several, the crate forgets where it was when one is malformed.
            header(made, HEADERS, flags & END_STREAM | END_HEADERS, stream, whole);
            made.extend_from_slice(&begins);
            self.ends = Some(Ends::WithinTheFrame);
        } else {
            if begins.is_empty() {
                header(made, kind, flags & END_STREAM, stream, block);
            } else {
                frame(made, HEADERS, flags & END_STREAM, stream, &begins);
                header(made, CONTINUATION, 0, stream, block);
            }
            self.ends = (!self.within).then_some(Ends::InItsOwn(stream));
        }
        (self.on, self.off) = (block, padding);
        waiting.consume_keep(HEADER + before);
        Looked::Changed
    }
}

fn length(a: u8, b: u8, c: u8) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

fn header(out: &mut Vec<u8>, kind: u8, flags: u8, [i, j, k, l]: [u8; 4], length: usize) {
    let [.., a, b, c] = length.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, i, j, k, l]);
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]) {
    header(out, kind, flags, stream, payload.len());
    out.extend_from_slice(payload);
}

/// The field as a literal that is never indexed (RFC 7541 §6.2.3): nobody's table changes.
fn literal(value: &[u8]) -> Vec<u8> {
    let short = |n: usize| u8::try_from(n).unwrap_or(0);
    let mut it = vec![0x10, short(NAME.len())];
    it.extend_from_slice(NAME.as_bytes());
    it.push(short(value.len()));
    it.extend_from_slice(value);
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut it = Vec::new();
        frame(&mut it, kind, flags, [0, 0, 0, stream], payload);
        it
    }

    fn read(marks: &mut Marks, bytes: &[u8], cut: usize) -> Vec<u8> {
        let (mut out, mut waiting) = (Vec::new(), Buf::default());
        for piece in bytes.chunks(cut) {
            waiting.push(piece);
            loop {
                let mut made = Vec::new();
                let looked = marks.look(&mut waiting, &mut made);
                out.extend(made);
                match looked {
                    Looked::On(n) => {
                        out.extend_from_slice(&waiting.bytes()[..n]);
                        waiting.consume_keep(n);
                    }
                    Looked::Changed => {}
                    Looked::More => break,
                }
            }
        }
        assert!(waiting.is_empty() && marks.on == 0);
        out
    }

    const SECRET: Secret = *b"0123456789abcdef";

    /// Trailers between marks: in one frame, or in some of the marks' own.
    fn whole(stream: u8, block: &[u8]) -> Vec<u8> {
        let payload = [&literal(b"begins"), block, &literal(&SECRET)].concat();
        sent(HEADERS, END_STREAM | END_HEADERS, stream, &payload)
    }

    fn parted(stream: u8, blocks: &[&[u8]]) -> Vec<u8> {
        let blocks: Vec<u8> = blocks.iter().flat_map(|it| sent(CONTINUATION, 0, stream, it)).collect();
        let end = sent(CONTINUATION, END_HEADERS, stream, &literal(&SECRET));
        [sent(HEADERS, END_STREAM, stream, &literal(b"begins")), blocks, end].concat()
    }

    #[test]
    fn a_clients_trailers_stand_between_marks_however_they_are_framed_and_cut() {
        let head = sent(HEADERS, END_HEADERS, 1, b"head");
        let data = sent(DATA, 0, 1, b"body");
        let next = sent(HEADERS, END_HEADERS | END_STREAM, 3, b"next");
        let all = END_HEADERS | END_STREAM;
        let long = vec![b'x'; FRAME];
        for (trailers, marked) in [
            (sent(HEADERS, all, 1, b"late"), whole(1, b"late")),
            (sent(HEADERS, all, 1, b""), whole(1, b"")),
            (sent(HEADERS, all | PADDED, 1, b"\x03late\0\0\0"), whole(1, b"late")),
            (sent(HEADERS, all | PADDED | PRIORITY, 1, b"\x02\0\0\0\0\x10late\0\0"), whole(1, b"late")),
            // A table of another size.
            (sent(HEADERS, all, 1, b"\x20late"), parted(1, &[b"\x20late"])),
            (sent(HEADERS, all, 1, &long), parted(1, &[&long])),
            (
                [sent(HEADERS, END_STREAM, 1, b"la"), sent(CONTINUATION, 0, 1, b"t"), sent(9, END_HEADERS, 1, b"e")]
                    .concat(),
                parted(1, &[b"la", b"t", b"e"]),
            ),
        ] {
            let bytes = [&[b'P'; PREFACE][..], &head, &data, &trailers, &next].concat();
            let wanted = [&[b'P'; PREFACE][..], &head, &data, &marked, &next].concat();
            for cut in (1..bytes.len().min(120)).chain([4096]) {
                assert!(read(&mut Marks::new(true, SECRET), &bytes, cut) == wanted, "{trailers:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_clients_head_on_a_stream_that_ended_or_never_began_goes_on_as_it_came() {
        let all = END_HEADERS | END_STREAM;
        let (open, late) = (sent(HEADERS, END_HEADERS, 5, b"head"), sent(HEADERS, all, 5, b"late"));
        let over = [
            [sent(HEADERS, all, 5, b"head"), late.clone()].concat(),
            [open.clone(), sent(RESET, 0, 5, &[0; 4]), late.clone()].concat(),
            [open.clone(), sent(DATA, END_STREAM, 5, b"body"), late.clone()].concat(),
            // Of a lower number than one that was begun.
            [open.clone(), sent(HEADERS, all, 3, b"head")].concat(),
        ];
        for frames in over {
            let bytes = [&[b'P'; PREFACE][..], &frames].concat();
            assert_eq!(read(&mut Marks::new(true, SECRET), &bytes, 7), bytes);
        }
        // Trailers end it.
        let bytes = [&[b'P'; PREFACE][..], &open, &late, &late].concat();
        let wanted = [&[b'P'; PREFACE][..], &open, &whole(5, b"late"), &late].concat();
        assert_eq!(read(&mut Marks::new(true, SECRET), &bytes, 7), wanted);
    }

    #[test]
    fn what_is_no_frame_goes_on_as_it_came() {
        let head = sent(HEADERS, END_HEADERS, 1, b"head");
        let broken = sent(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x09late");
        let bytes = [&[b'P'; PREFACE][..], &head, &broken].concat();
        for cut in 1..bytes.len() {
            assert_eq!(read(&mut Marks::new(true, SECRET), &bytes, cut), bytes);
        }
    }

    #[test]
    fn where_nothing_more_comes_each_stream_whose_end_is_missing_is_reset_and_only_at_a_frames_end() {
        let all = END_HEADERS | END_STREAM;
        let open = |stream| sent(HEADERS, END_HEADERS, stream, b"head");
        let whole =
            [open(1), sent(HEADERS, all, 3, b"head"), open(5), sent(DATA, END_STREAM, 5, b""), open(7)].concat();
        let cut = |marks: &mut Marks| {
            let mut made = Vec::new();
            marks.cut(&mut made).then_some(made)
        };
        let mut marks = Marks::new(true, SECRET);
        read(&mut marks, &[&[b'P'; PREFACE][..], &whole].concat(), 7);
        let resets = [sent(RESET, 0, 1, &CANCEL), sent(RESET, 0, 7, &CANCEL)].concat();
        assert_eq!((cut(&mut marks), cut(&mut marks)), (Some(resets), Some(Vec::new())));
        // Within the preface, a frame, and a head that goes on in another frame.
        let begun = sent(HEADERS, 0, 1, b"he");
        for (bytes, is_whole) in [
            (Vec::new(), false),
            (sent(DATA, 0, 1, b"half")[..11].to_vec(), false),
            (begun.clone(), false),
            ([begun, sent(CONTINUATION, END_HEADERS, 1, b"ad")].concat(), true),
        ] {
            let mut marks = Marks::new(true, SECRET);
            let mut waiting = Buf::default();
            let preface = if bytes.is_empty() { 5 } else { PREFACE };
            waiting.push(&[&[b'P'; PREFACE][..preface], &bytes].concat());
            while let Looked::On(n) = marks.look(&mut waiting, &mut Vec::new()) {
                waiting.consume_keep(n);
            }
            assert_eq!(cut(&mut marks).is_some(), is_whole, "{bytes:?}");
        }
        // A backend's answers end as they do.
        assert!(cut(&mut Marks::new(false, SECRET)).is_none());
    }

    #[test]
    fn a_backends_answer_has_a_mark_before_its_trailers_only_where_its_body_has_begun() {
        let all = END_HEADERS | END_STREAM;
        let alone = sent(HEADERS, all, 1, b"head");
        let marked = sent(HEADERS, all, 1, &[b"head", &literal(&SECRET)[..]].concat());
        assert_eq!(read(&mut Marks::new(false, SECRET), &alone, 5), marked);
        let (head, data) = (sent(HEADERS, END_HEADERS, 3, b"head"), sent(DATA, 0, 3, b"body"));
        let late = sent(HEADERS, all, 3, b"late");
        let bytes = [&head[..], &data, &late].concat();
        let wanted = [&head[..], &data, &whole(3, b"late")].concat();
        let mut marks = Marks::new(false, SECRET);
        assert_eq!(read(&mut marks, &bytes, 3), wanted);
        assert!(marks.bodies.is_empty());
        let over = [data, sent(DATA, END_STREAM, 3, b"")].concat();
        assert_eq!(read(&mut marks, &over, 3), over);
        assert!(marks.bodies.is_empty());
    }
}
