//! The codec of HTTP/2: what comes of bytes is the same however they arrive, a stream's events come in an order that makes
//! sense, and neither memory nor what is answered grows beyond what the bytes pay for.
//!
//! A first byte says how a connection is set, the rest is what its peer sends behind a right beginning; of `http2_frames` the
//! rest is a script, of which frames are made that are right but for what the script changes.

use crate::{cuts, shown};
use everyhop_http2::hpack::{Decoder, Encoder};
use everyhop_http2::{Code, Config, Connection, Event, Fault, Head, NotSent, PREFACE, Ready, Request};
use std::collections::BTreeMap;

/// Small, so that short inputs meet them.
fn limits(how: u8, usual: Config) -> Config {
    Config {
        streams: 1 + u32::from(how & 7),
        window_bytes: if how & 8 == 0 { 65_536 } else { 100 },
        connection_window_bytes: if how & 16 == 0 { 1 << 20 } else { 65_535 },
        head_bytes: if how & 32 == 0 { 4096 } else { 300 },
        head_fields: 16,
        remembered: 4,
        output_bytes: 4096,
        ..usual
    }
}

/// Beside what was advertised: a table each way, a head of both limits and what one more field may add to it.
const MEMORY_BYTES: usize = 256 * 1024;

/// What of an event does not depend on where it was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Head(u32, bool, Vec<u8>),
    Data(u32, Vec<u8>, bool),
    Other(String),
}

fn fields_of(head: &Head) -> Vec<u8> {
    let pseudo = [head.method(), head.scheme(), head.authority(), head.path(), head.protocol()];
    let fields = head.fields().flat_map(|it| [it.name, it.value]);
    pseudo.into_iter().chain(fields).flat_map(|it| [it, b"\0"].concat()).collect()
}

fn said(event: Event<'_>, head: &Head) -> Said {
    match event {
        Event::Head { stream, last } => Said::Head(stream, last, fields_of(head)),
        Event::Trailers { stream } => Said::Head(stream, true, fields_of(head)),
        Event::Informational { stream } => Said::Head(stream, false, fields_of(head)),
        Event::Data { stream, bytes, last } => Said::Data(stream, bytes.to_vec(), last),
        other => Said::Other(format!("{other:?}")),
    }
}

/// Pieces of a body as one.
fn push(all: &mut Vec<Said>, it: Said) {
    if let Said::Data(stream, bytes, last) = &it
        && let Some(Said::Data(before, more, ended)) = all.last_mut()
        && before == stream
    {
        more.extend(bytes);
        *ended = *last;
        return;
    }
    all.push(it);
}

/// Where each stream stands, by its events.
#[derive(Default)]
struct Streams(BTreeMap<u32, State>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Asked,
    Begun,
    Ended,
    Gone,
}

impl Streams {
    fn hear(&mut self, event: &Event<'_>, serves: bool) {
        let (stream, from, to): (u32, &[State], State) = match *event {
            Event::Head { stream, last } | Event::TooLong { stream, last } => {
                assert!(!serves || !self.0.contains_key(&stream), "{stream} begins twice");
                self.0.entry(stream).or_insert(State::Asked);
                (stream, &[State::Asked], if last { State::Ended } else { State::Begun })
            }
            Event::Informational { stream } => (stream, &[State::Asked], State::Asked),
            Event::Data { stream, last, bytes } => {
                assert!(last || !bytes.is_empty(), "an event of nothing");
                (stream, &[State::Begun], if last { State::Ended } else { State::Begun })
            }
            Event::Trailers { stream } | Event::TrailersTooLong { stream } => (stream, &[State::Begun], State::Ended),
            Event::Reset { stream, .. } | Event::Unprocessed { stream } => {
                (stream, &[State::Asked, State::Begun, State::Ended], State::Gone)
            }
            Event::Broken { stream, .. } => {
                let before = self.0.insert(stream, State::Gone);
                assert!(before != Some(State::Gone), "{stream} is broken twice");
                return;
            }
            Event::Settings | Event::Settled | Event::Pong { .. } | Event::GoAway { .. } | Event::Left => return,
        };
        let before = self.0.insert(stream, to);
        assert!(before.is_some_and(|it| from.contains(&it)), "{event:?} where {before:?}");
    }
}

/// Hears `pieces`, answers nothing, and tells what came of it and what it said itself.
fn heard<'d>(
    mut conn: Connection,
    serves: bool,
    pieces: impl Iterator<Item = &'d [u8]>,
) -> (Vec<Said>, Option<Fault>, Vec<u8>) {
    let (mut all, mut input, mut fault) = (Vec::new(), Vec::new(), None);
    let mut streams = Streams::default();
    for stream in (1..100).step_by(2).take(if serves { 0 } else { 100 }) {
        streams.0.insert(stream, State::Asked);
    }
    for piece in pieces {
        input.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match conn.next(&input, &mut at) {
                Ok(Some(event)) => {
                    streams.hear(&event, serves);
                    push(&mut all, said(event, conn.head()));
                }
                Ok(None) => break,
                Err(why) => {
                    fault = Some(why);
                    break;
                }
            }
            while conn.pop_ready().is_some() {}
        }
        input.drain(..at);
        assert!(conn.holds_bytes() < MEMORY_BYTES, "{}", conn.holds_bytes());
        if fault.is_some() {
            break;
        }
    }
    (all, fault, conn.output().to_vec())
}

/// The same however it is cut, and answered by no more than it paid for.
fn alike(how: u8, data: &[u8], serves: bool) {
    let open = || if serves { server(limits(how, Config::server())) } else { client(limits(how, Config::server())) };
    let whole = heard(open(), serves, std::iter::once(data));
    let begun = open().output().len();
    // Two windows of 13 bytes for a padded frame of ten is the most, and one GOAWAY.
    assert!(whole.2.len() - begun <= 3 * data.len() + 64, "{} for {}", whole.2.len() - begun, data.len());
    let pieces = 1 + usize::from(how >> 5) * 3;
    assert_eq!(heard(open(), serves, data.chunks(pieces)), whole, "in pieces of {pieces}: {}", shown(data));
    for cut in cuts(data.len()).step_by(7) {
        let (one, two) = data.split_at(cut);
        assert_eq!(heard(open(), serves, [one, two].into_iter()), whole, "cut at {cut}: {}", shown(data));
    }
}

fn server(config: Config) -> Connection {
    let mut conn = Connection::server(config);
    let hello = [&PREFACE[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 0, 4, 1, 0, 0, 0, 0]].concat();
    begins(&mut conn, &hello);
    conn
}

const GET: Request<'_> = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", protocol: b"" };

fn client(config: Config) -> Connection {
    let mut conn = Connection::client(config);
    begins(&mut conn, &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        let request = match method {
            b"CONNECT" => Request { method, authority: b"a.test", ..Request::default() },
            _ => Request { method, ..GET },
        };
        let _ = conn.request(&request, method != b"CONNECT", |_| ());
    }
    conn
}

fn begins(conn: &mut Connection, hello: &[u8]) {
    let mut at = 0;
    while conn.next(hello, &mut at).expect("a right beginning").is_some() {}
    conn.sent(conn.output().len());
}

/// Whoever is told goes on, reads and answers; how much, `tastes` says.
fn works(mut conn: Connection, data: &[u8], tastes: u8) {
    let (mut at, mut time) = (0, 0);
    let body = vec![b'x'; usize::from(tastes) * 200];
    let mut left = BTreeMap::<u32, usize>::new();
    while let Ok(event) = conn.next(data, &mut at) {
        let Some(event) = event else { break };
        time += u64::from(tastes & 3);
        conn.at_ms(time);
        match event {
            Event::Head { stream, last } if last || tastes & 4 == 0 => {
                if conn.answer(stream, 200, tastes & 8 == 0, |to| assert!(to.put(b"X-A", b"b"))).is_ok() {
                    left.insert(stream, body.len());
                }
                sends(&mut conn, stream, &body, &mut left);
            }
            Event::TooLong { stream, .. } => {
                let _ = conn.answer(stream, 431, true, |_| ());
                conn.done(stream);
            }
            Event::Data { stream, bytes, .. } => conn.release(stream, bytes.len() / (1 + usize::from(tastes & 1))),
            Event::Reset { stream, .. } | Event::Broken { stream, .. } | Event::Unprocessed { stream } => {
                left.remove(&stream);
                conn.done(stream);
                assert_eq!(conn.body(stream, b"x", true), Err(NotSent::Gone));
            }
            Event::GoAway { .. } => conn.leave(),
            Event::Settings if tastes & 16 != 0 => drop(conn.set_window(u32::from(tastes) * 100)),
            Event::Settled if tastes & 32 != 0 => conn.set_connection_window(65_535 + u32::from(tastes)),
            _ => {}
        }
        while let Some(ready) = conn.pop_ready() {
            if let Ready::Body(stream) = ready {
                assert!(left.contains_key(&stream), "{stream} is told who does not wait");
                sends(&mut conn, stream, &body, &mut left);
            }
        }
        if tastes & 64 != 0 {
            conn.sent(conn.output().len() / 2);
        }
        assert!(conn.holds_bytes() < MEMORY_BYTES, "{}", conn.holds_bytes());
    }
    if conn.end_of_input().is_ok() {
        while let Ok(Some(event)) = conn.next(&[], &mut 0) {
            assert!(matches!(event, Event::Reset { code: Code::CANCEL, .. } | Event::Unprocessed { .. }), "{event:?}");
        }
    }
    conn.abort(Code::NO_ERROR);
    assert!(conn.is_over());
}

fn sends(conn: &mut Connection, stream: u32, body: &[u8], left: &mut BTreeMap<u32, usize>) {
    let Some(n) = left.get_mut(&stream) else { return };
    let rest = &body[body.len() - *n..];
    match conn.body(stream, rest, true) {
        Ok(went) => *n -= went,
        Err(_) => *n = 0,
    }
    if *n == 0 {
        left.remove(&stream);
    }
}

/// What a client says.
pub fn http2_server(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    alike(how, data, true);
    works(server(limits(how, Config::server())), data, how);
}

/// What a server says to three requests.
pub fn http2_client(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    alike(how, data, false);
    works(client(limits(how, Config::client())), data, how);
}

/// Frames that a script makes, for either side.
pub fn http2_frames(data: &[u8]) {
    let Some((&how, script)) = data.split_first() else { return };
    let mut bytes = Vec::new();
    let mut last = 1;
    for it in script.chunks(4) {
        let &[op, a, b, c] = it else { break };
        frame(op, [a, b, c], &mut last, &mut bytes);
    }
    alike(how, &bytes, true);
    alike(how, &bytes, false);
    works(server(limits(how, Config::server())), &bytes, how);
    works(client(limits(how, Config::client())), &bytes, how);
}

/// Whole blocks, in the static table's words: a request, an answer, trailers, an interim answer.
const BLOCKS: [&[u8]; 8] = [
    &[0x82, 0x87, 0x84, 0x41, 1, b'a'],
    &[0x83, 0x87, 0x84, 0x41, 1, b'a', 0x5c, 1, b'5'],
    &[0x88],
    &[0x88, 0x5c, 1, b'5'],
    &[0x40, 1, b'a', 1, b'b'],
    &[0x08, 3, b'1', b'0', b'3'],
    &[0xbe],
    &[0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x87, 0x84],
];

fn frame(op: u8, [a, b, c]: [u8; 3], last: &mut u32, out: &mut Vec<u8>) {
    let stream = match a & 7 {
        0 => {
            *last += 2;
            *last
        }
        1..=5 => *last,
        6 => u32::from(a >> 3) * 2 + 1,
        _ => 0,
    };
    let number = u32::from(c).pow(4) & 0x7fff_ffff;
    let payload = match op & 15 {
        0..=3 => vec![b'x'; usize::from(c)],
        4..=7 | 9 => BLOCKS[usize::from(c & 7)].to_vec(),
        8 | 11 => number.to_be_bytes().to_vec(),
        10 => vec![c; 8],
        12 => [&[0, c & 15][..], &number.to_be_bytes()].concat(),
        13 => vec![0; 5],
        14 => [number.to_be_bytes(), [0, 0, 0, c & 15]].concat(),
        _ => vec![c; usize::from(c >> 4)],
    };
    let kind = match op & 15 {
        0..=3 => 0,
        4..=7 => 1,
        8 => 8,
        9 => 9,
        10 => 6,
        11 => 3,
        12 => 4,
        13 => 2,
        14 => 7,
        _ => b & 15,
    };
    let flags = if matches!(op & 15, 4..=7) && b & 0x80 == 0 { b & 1 | 4 } else { b & 0x2d };
    let stream = if matches!(kind, 4 | 6 | 7) && op & 0x80 == 0 { 0 } else { stream };
    let [.., x, y, z] = payload.len().to_be_bytes();
    out.extend_from_slice(&[x, y, z, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&payload);
}

/// Blocks that follow each other, each behind its length: what was read is written and read as the same, and a table that
/// keeps less than it should shows in the next.
pub fn http2_block(data: &[u8]) {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let most = if how & 1 == 0 { 4096 } else { 200 };
    let (mut decoder, mut again) = (Decoder::default(), Decoder::default());
    let (mut encoder, mut head, mut other) = (Encoder::default(), Head::default(), Head::default());
    encoder.resize(usize::from(how) * 20);
    while let Some((&len, behind)) = rest.split_first() {
        let (block, next) = behind.split_at(usize::from(len).min(behind.len()));
        rest = next;
        if let Err(why) = decoder.block(block, &mut head, most, 16) {
            assert_eq!(why, Fault::Compression);
            return;
        }
        assert!(head.fields().len() <= 16);
        assert!(head.fields().map(|it| it.name.len() + it.value.len() + 32).sum::<usize>() <= most);
        let (mut out, mut written) = (Vec::new(), Vec::new());
        encoder.begin(&mut out);
        for it in head.fields() {
            if encoder.field(it.name, it.value, it.is_secret, &mut out) {
                written.push((it.name.to_vec(), it.value.to_vec(), it.is_secret));
            }
        }
        again.block(&out, &mut other, most, 16).expect("what was written can be read");
        let read: Vec<_> = other.fields().map(|it| (it.name.to_vec(), it.value.to_vec(), it.is_secret)).collect();
        assert_eq!(read, written, "{}", shown(data));
    }
}
