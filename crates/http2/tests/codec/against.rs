//! Against the `h2` crate: random stories of right and wrong frames are told to both. What it refuses is refused here, in the
//! same scope; each difference is a line with its reason, and one that is needed no more is told too.

use crate::kit::*;
use crate::other::{self, Verdict};
use Verdict::*;
use everyhop_http2::PREFACE;
use std::collections::BTreeMap;

/// What is judged in another way here: what it is, how it is judged here, how by the crate, and why.
type Difference = (&'static str, Verdict, Verdict, &'static str);

const OF_CLIENTS: &[Difference] = &[
    ("a method with a space", Stream, Connection, "RFC 9113 §8.1.1: a malformed request is an error of the stream"),
    ("a window opened by nothing", Stream, Connection, "RFC 9113 §6.9: an error of the stream"),
    ("a stream that depends on itself", Connection, Stream, "RFC 9113 §5.1: one that is idle cannot be reset"),
    ("DATA behind the end", Stream, Connection, "RFC 9113 §5.1: half-closed (remote) is an error of the stream"),
    ("HEADERS behind the end", Stream, Connection, "as DATA is"),
    ("an empty name", Stream, Connection, "RFC 9113 §8.2.1, §8.1.1: a malformed request is an error of the stream"),
    ("upper case", Stream, Connection, "as an empty name is"),
    ("a control character in a value", Stream, Connection, "as an empty name is"),
    ("PRIORITY of four bytes", Stream, Connection, "RFC 9113 §6.3: an error of the stream"),
    ("white space around a value", Stream, Goes, "RFC 9113 §8.2.1 forbids it"),
    ("pseudo-fields in trailers", Stream, Goes, "RFC 9113 §8.1 forbids them; the crate leaves them out"),
    ("an authority with a user", Stream, Goes, "RFC 9113 §8.3.1 forbids it"),
    ("a path with a fragment", Stream, Goes, "RFC 9113 §8.3.1: no target has one; the crate cuts it off"),
    ("CONNECT without an authority", Stream, Goes, "RFC 9113 §8.5 demands it"),
    ("a length of 19 digits", Stream, Goes, "as in HTTP/1.1 here: no body is so long"),
    ("a table that changes three times", Connection, Goes, "RFC 7541 §4.2: twice is enough to say all"),
    ("a setting of extended CONNECT that is taken back", Connection, Goes, "RFC 8441 §3 forbids it"),
    ("an unknown pseudo-field", Stream, Connection, "RFC 9113 §8.3: a malformed request is an error of the stream"),
];

const OF_SERVERS: &[Difference] = &[
    ("DATA before the head", Stream, Connection, "RFC 9113 §8.1.1: a malformed answer is an error of the stream"),
    ("a status that is none", Stream, Connection, "as DATA before the head is"),
    ("a status of two digits", Stream, Connection, "as DATA before the head is"),
    (
        "DATA behind the end",
        Connection,
        Stream,
        "RFC 9113 §5.1 allows either, and what closed in order is not remembered",
    ),
    ("HEADERS behind the end", Connection, Stream, "as DATA is"),
    ("pseudo-fields in trailers", Stream, Goes, "RFC 9113 §8.1 forbids them; the crate leaves them out"),
    ("a path in an answer", Stream, Goes, "RFC 9113 §8.3.2 forbids it"),
    ("a status above 599", Stream, Goes, "RFC 9110 §15: there is none"),
    ("a switch of protocols", Stream, Goes, "RFC 9113 §8.6: HTTP/2 has none"),
    ("a body of a 204", Stream, Goes, "RFC 9110 §6.4.1: it has none"),
    ("a window opened too wide", Stream, Goes, "RFC 9113 §6.9.1, though the request has ended"),
    ("a server that is pushed to", Connection, Goes, "RFC 9113 §6.5.2 demands it"),
];

/// Differences that were met, each with a story.
type Met = BTreeMap<(&'static str, Verdict, Verdict), String>;

fn are_named(met: &Met, allowed: &[Difference]) {
    let named: BTreeMap<_, _> =
        allowed.iter().map(|(what, mine, crates, why)| ((*what, *mine, *crates), why)).collect();
    let new: Vec<_> = met.iter().filter(|(it, _)| !named.contains_key(it)).collect();
    assert!(new.is_empty(), "what, here, by the crate: {new:#?}");
    let gone: Vec<_> = named.iter().filter(|(it, _)| !met.contains_key(it)).collect();
    assert!(gone.is_empty(), "differences no more: {gone:#?}");
}

/// A server of ours that answers each request when it is whole.
struct Answers(Peer);

impl Answers {
    fn judges(&mut self, bytes: &[u8]) -> Verdict {
        let Ok(heard) = self.0.hears(bytes) else { return Connection };
        for it in heard {
            match it {
                Said::Head { stream, last: true, .. } | Said::Trailers { stream, .. } => self.answer(stream),
                Said::Data { stream, bytes, last } => {
                    self.0.conn.release(stream, bytes.len());
                    if last {
                        self.answer(stream);
                    }
                }
                Said::Reset { stream, .. } | Said::Broken { stream, .. } => self.0.conn.done(stream),
                _ => {}
            }
        }
        while self.0.conn.pop_ready().is_some() {}
        other::verdict(&self.0.says())
    }

    fn answer(&mut self, stream: u32) {
        // It may have been broken in the same breath.
        if self.0.conn.answer(stream, 200, false, |_| ()).is_ok() {
            let _ = self.0.conn.body(stream, b"ok", true);
        }
    }
}

/// Fields of messages that are right.
type Plain = &'static [(&'static str, &'static str)];
const ASKED: [Plain; 4] = [&[], &[("a", "b")], &[("cookie", "a"), ("cookie", "b")], &[("te", "trailers"), ("x", "")]];
const ANSWERED: [Plain; 3] = [&[], &[("a", "b")], &[("set-cookie", "a"), ("set-cookie", "b")]];

/// What a client may say next. Streams: the next one, those whose requests have not ended, and those that have.
#[derive(Default)]
struct Telling {
    next: u32,
    open: Vec<u32>,
    ended: Vec<u32>,
}

impl Telling {
    fn stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 1
    }

    fn right(&mut self, random: &mut Random) -> (&'static str, Vec<u8>) {
        let fields = random.of(&ASKED);
        match random.below(16) {
            0..3 => {
                let stream = self.stream();
                self.ended.push(stream);
                ("a request", frame(HEADERS, ALL, stream, &get(fields)))
            }
            3..6 => {
                let stream = self.stream();
                self.open.push(stream);
                ("a request with a body", frame(HEADERS, OPEN, stream, &post(fields)))
            }
            6 => {
                let stream = self.stream();
                self.ended.push(stream);
                let (block, at) = (get(fields), random.below(30));
                let begun = frame(HEADERS, END_STREAM, stream, &block[..at]);
                ("a request in two frames", [begun, frame(CONTINUATION, END_HEADERS, stream, &block[at..])].concat())
            }
            7 => {
                let stream = self.stream();
                self.ended.push(stream);
                let payload = [&[2, 0, 0, 0, 0, 16][..], &get(fields), &[0, 0]].concat();
                ("a request with priority and padding", frame(HEADERS, ALL | PADDED | WITH_PRIORITY, stream, &payload))
            }
            8 => ("PING", frame(PING, 0, 0, &[1; 8])),
            9 => {
                let value = *random.of(&[
                    (3, 0),
                    (3, 100),
                    (4, 0),
                    (4, 10),
                    (4, 65_535),
                    (1, 0),
                    (1, 4096),
                    (5, 20_000),
                    (99, 1),
                ]);
                ("SETTINGS", settings(&[value]))
            }
            10 => ("a window of the connection", update(0, 1 + random.below(1000) as u32)),
            11 => ("PRIORITY", frame(PRIORITY, 0, 1 + 2 * random.below(20) as u32, &[0, 0, 0, 0x7f, 1])),
            _ if self.open.is_empty() => ("an unknown frame", frame(77, 0xff, 3, b"grease")),
            it => {
                let at = random.below(self.open.len());
                let stream = self.open[at];
                match it {
                    12 => ("DATA", frame(DATA, 0, stream, &vec![7; random.below(3000)])),
                    13 => {
                        self.ended.push(self.open.swap_remove(at));
                        ("the last DATA", frame(DATA, END_STREAM, stream, &vec![7; random.below(3000)]))
                    }
                    14 => {
                        self.ended.push(self.open.swap_remove(at));
                        ("trailers", frame(HEADERS, ALL, stream, &block(&[("trailer", "x")])))
                    }
                    _ => {
                        self.open.swap_remove(at);
                        ("a reset", reset(stream, 8))
                    }
                }
            }
        }
    }

    fn wrong(&mut self, random: &mut Random) -> (&'static str, Vec<u8>) {
        if let Some(stream) = self.open.last().copied() {
            let more: [(&str, Vec<u8>); 10] = [
                ("a window opened by nothing", update(stream, 0)),
                ("a window opened too wide", update(stream, (1 << 31) - 1).repeat(2)),
                ("a second head that does not end it", frame(HEADERS, OPEN, stream, &block(&[("a", "b")]))),
                ("pseudo-fields in trailers", frame(HEADERS, ALL, stream, &block(&[(":path", "/")]))),
                ("a field of a connection in trailers", frame(HEADERS, ALL, stream, &block(&[("upgrade", "x")]))),
                ("DATA with too much padding", frame(DATA, PADDED, stream, &[9, 0])),
                ("RST_STREAM of five bytes", frame(RESET, 0, stream, &[0; 5])),
                ("WINDOW_UPDATE of five bytes", frame(UPDATE, 0, stream, &[0; 5])),
                ("PRIORITY of four bytes", frame(PRIORITY, 0, stream, &[0; 4])),
                ("more than the window takes", frame(DATA, 0, stream, &[0; 16_384]).repeat(0)),
            ];
            if random.below(3) == 0 {
                return random.of(&more[..9]).clone();
            }
        }
        let stream = self.stream();
        let whole = |block: Vec<u8>| frame(HEADERS, ALL, stream, &block);
        let with = |name: &str, value: &str| block(&GET.map(|it| if it.0 == name { (it.0, value) } else { it }));
        let behind = [whole(get(&[])), frame(DATA, 0, stream, b"x")].concat();
        let all: [(&str, Vec<u8>); 52] = [
            ("upper case", whole(get(&[("Upper", "x")]))),
            ("an empty name", whole(get(&[("", "x")]))),
            ("a control character in a value", whole(get(&[("a", "x\ny")]))),
            ("white space around a value", whole(get(&[("a", " x")]))),
            ("connection", whole(get(&[("connection", "close")]))),
            ("transfer-encoding", whole(get(&[("transfer-encoding", "chunked")]))),
            ("te", whole(get(&[("te", "gzip")]))),
            ("a late pseudo-field", whole([block(&GET[..3]), block(&[("a", "b"), (":path", "/")])].concat())),
            ("a pseudo-field twice", whole(get(&[(":path", "/")]))),
            ("an unknown pseudo-field", whole([block(&[(":foo", "x")]), get(&[])].concat())),
            ("a status in a request", whole([block(&[(":status", "200")]), get(&[])].concat())),
            ("no method", whole(block(&GET[1..]))),
            ("no scheme", whole(block(&[GET[0], GET[2], GET[3]]))),
            ("no path", whole(block(&GET[..3]))),
            ("an empty path", whole(with(":path", ""))),
            ("an empty authority", whole(with(":authority", ""))),
            ("a path with a space", whole(with(":path", "/a b"))),
            ("a path with a sign that none has", whole(with(":path", "/<"))),
            ("a path with a fragment", whole(with(":path", "/a#b"))),
            ("a path that begins with no slash", whole(with(":path", "a"))),
            ("a scheme with a slash", whole(with(":scheme", "ht/tp"))),
            ("a method with a space", whole(with(":method", "G T"))),
            ("an authority with a space", whole(with(":authority", "a b"))),
            ("an authority with a user", whole(with(":authority", "u@a"))),
            ("CONNECT with a path", whole(block(&[(":method", "CONNECT"), GET[2], GET[3]]))),
            ("CONNECT with a scheme", whole(block(&[(":method", "CONNECT"), GET[1], GET[2]]))),
            ("CONNECT without an authority", whole(block(&[(":method", "CONNECT")]))),
            ("a protocol without CONNECT", whole([block(&[(":protocol", "websocket")]), get(&[])].concat())),
            (
                "extended CONNECT without a path",
                whole(block(&[(":method", "CONNECT"), (":protocol", "x"), GET[1], GET[2]])),
            ),
            ("a length that is none", whole(get(&[("content-length", "+1")]))),
            ("two lengths", whole(get(&[("content-length", "0"), ("content-length", "1")]))),
            ("a length without a body", whole(get(&[("content-length", "5")]))),
            (
                "a length of 19 digits",
                frame(HEADERS, OPEN, stream, &post(&[("content-length", "1000000000000000000")])),
            ),
            (
                "a body that is longer than its length",
                [frame(HEADERS, OPEN, stream, &post(&[("content-length", "1")])), frame(DATA, 0, stream, b"xy")]
                    .concat(),
            ),
            (
                "a body that is shorter than its length",
                [
                    frame(HEADERS, OPEN, stream, &post(&[("content-length", "3")])),
                    frame(DATA, END_STREAM, stream, b"xy"),
                ]
                .concat(),
            ),
            ("DATA behind the end", behind),
            ("HEADERS behind the end", [whole(get(&[])), whole(block(&[("a", "b")]))].concat()),
            (
                "a stream that depends on itself",
                frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat()),
            ),
            ("DATA on an idle stream", frame(DATA, 0, stream + 200, b"x")),
            ("a reset of an idle stream", reset(stream + 200, 8)),
            ("a window of an idle stream", update(stream + 200, 1)),
            ("a stream of a server's", frame(HEADERS, ALL, stream + 1, &get(&[]))),
            ("HEADERS on the connection", frame(HEADERS, ALL, 0, &get(&[]))),
            ("a push", frame(PUSH, END_HEADERS, stream, &[&[0, 0, 0, 2][..], &get(&[])].concat())),
            ("a block that cannot be read", whole(vec![0x80])),
            ("a table that changes three times", whole([vec![0x20, 0x21, 0x20], get(&[])].concat())),
            ("a table that is larger than it may be", whole([vec![0x3f, 0xe2, 0x1f], get(&[])].concat())),
            (
                "something between the frames of a head",
                [frame(HEADERS, END_STREAM, stream, &get(&[])[..9]), frame(PING, 0, 0, &[0; 8])].concat(),
            ),
            ("an acknowledgement of nothing", frame(SETTINGS, ACK, 0, &[])),
            ("a frame that is too long", frame(PING, 0, 0, &[0; 16_385])),
            ("a setting of extended CONNECT that is taken back", settings(&[(8, 1), (8, 0)])),
            ("a push that is neither on nor off", settings(&[(2, 2)])),
        ];
        random.of(&all).clone()
    }
}

#[test]
fn what_the_crate_refuses_of_a_client_is_refused() {
    let hello = [&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    let mut met = Met::new();
    for seed in 0..6_000 {
        let mut random = Random::new(seed);
        let (mut mine, mut crates) = (Answers(Peer::server()), other::Server::new(&hello));
        crates.judges(&[]);
        let mut telling = Telling { next: 2, ..Telling::default() };
        let mut told = Vec::new();
        for _ in 0..random.below(12) {
            let (what, bytes) = telling.right(&mut random);
            told.push(what);
            let verdicts = (mine.judges(&bytes), crates.judges(&bytes));
            assert_eq!(verdicts, (Goes, Goes), "seed {seed}: {told:?}");
        }
        let (what, bytes) = telling.wrong(&mut random);
        told.push(what);
        let (mine, crates) = (mine.judges(&bytes), crates.judges(&bytes));
        assert!(mine != Goes, "{what} goes");
        if mine != crates {
            met.insert((what, mine, crates), format!("seed {seed}: {told:?}"));
        }
    }
    are_named(&met, OF_CLIENTS);
}

/// What a server may answer to requests 1, 3, 5 and so on: which have no head yet, which have, and which ended.
struct Answering {
    asked: Vec<u32>,
    begun: Vec<u32>,
    ended: Vec<u32>,
}

impl Answering {
    fn right(&mut self, random: &mut Random) -> (&'static str, Vec<u8>) {
        let fields = random.of(&ANSWERED);
        match random.below(10) {
            0..3 if !self.asked.is_empty() => {
                let at = random.below(self.asked.len());
                let stream = self.asked[at];
                match random.below(3) {
                    0 => (
                        "an interim answer",
                        frame(HEADERS, OPEN, stream, &block(&[(":status", "103"), ("link", "x")])),
                    ),
                    1 => {
                        self.ended.push(self.asked.swap_remove(at));
                        ("a bare answer", frame(HEADERS, ALL, stream, &ok(fields)))
                    }
                    _ => {
                        self.begun.push(self.asked.swap_remove(at));
                        ("an answer", frame(HEADERS, OPEN, stream, &ok(fields)))
                    }
                }
            }
            3..7 if !self.begun.is_empty() => {
                let at = random.below(self.begun.len());
                let stream = self.begun[at];
                match random.below(4) {
                    0 => ("DATA", frame(DATA, 0, stream, &vec![7; random.below(3000)])),
                    1 => {
                        self.ended.push(self.begun.swap_remove(at));
                        ("the last DATA", frame(DATA, END_STREAM, stream, b"end"))
                    }
                    2 => {
                        self.ended.push(self.begun.swap_remove(at));
                        ("trailers", frame(HEADERS, ALL, stream, &block(&[("grpc-status", "0")])))
                    }
                    _ => {
                        self.begun.swap_remove(at);
                        ("a reset", reset(stream, 2))
                    }
                }
            }
            7 => ("PING", frame(PING, 0, 0, &[1; 8])),
            8 => ("SETTINGS", settings(&[*random.of(&[(3, 100), (4, 65_535), (1, 0), (1, 4096), (8, 1)])])),
            _ => ("a window", update(0, 1000)),
        }
    }

    fn wrong(&mut self, random: &mut Random) -> (&'static str, Vec<u8>) {
        let mut all: Vec<(&str, Vec<u8>)> = vec![
            ("an answer to nothing", frame(HEADERS, ALL, 101, &ok(&[]))),
            ("DATA on an idle stream", frame(DATA, 0, 101, b"x")),
            ("a push", frame(PUSH, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &get(&[])].concat())),
            ("a server that is pushed to", settings(&[(2, 1)])),
            ("a window opened by nothing", update(0, 0)),
            ("a frame that is too long", frame(PING, 0, 0, &[0; 16_385])),
            ("an acknowledgement of nothing", frame(SETTINGS, ACK, 0, &[])),
        ];
        if let Some(stream) = self.asked.last().copied() {
            let head = |flags, fields: &[(&str, &str)]| frame(HEADERS, flags, stream, &block(fields));
            all.extend([
                ("DATA before the head", frame(DATA, 0, stream, b"x")),
                ("no status", head(OPEN, &[("a", "b")])),
                ("a status that is none", head(OPEN, &[(":status", "2x0")])),
                ("a status of two digits", head(OPEN, &[(":status", "20")])),
                ("a path in an answer", head(OPEN, &[(":status", "200"), (":path", "/")])),
                ("connection", head(OPEN, &[(":status", "200"), ("connection", "close")])),
                ("a length without a body", head(ALL, &[(":status", "200"), ("content-length", "5")])),
                ("an interim answer that ends", head(ALL, &[(":status", "100")])),
                (
                    "a body that is longer than its length",
                    [head(OPEN, &[(":status", "200"), ("content-length", "1")]), frame(DATA, 0, stream, b"xy")]
                        .concat(),
                ),
                (
                    "a body that is shorter than its length",
                    [
                        head(OPEN, &[(":status", "200"), ("content-length", "3")]),
                        frame(DATA, END_STREAM, stream, b"xy"),
                    ]
                    .concat(),
                ),
                ("a switch of protocols", head(OPEN, &[(":status", "101")])),
                ("a status above 599", head(OPEN, &[(":status", "600")])),
                (
                    "a body of a 204",
                    [head(OPEN, &[(":status", "204")]), frame(DATA, END_STREAM, stream, b"xy")].concat(),
                ),
            ]);
        }
        if let Some(stream) = self.begun.last().copied() {
            all.extend([
                ("a second head that does not end it", frame(HEADERS, OPEN, stream, &block(&[("a", "b")]))),
                ("pseudo-fields in trailers", frame(HEADERS, ALL, stream, &block(&[(":status", "200")]))),
                ("a window opened too wide", update(stream, (1 << 31) - 1).repeat(2)),
            ]);
        }
        if let Some(stream) = self.ended.last().copied() {
            all.extend([
                ("DATA behind the end", frame(DATA, 0, stream, b"x")),
                ("HEADERS behind the end", frame(HEADERS, ALL, stream, &block(&[("a", "b")]))),
            ]);
        }
        random.of(&all).clone()
    }
}

/// A client of ours that reads its answers.
struct Asks(Peer);

impl Asks {
    fn judges(&mut self, bytes: &[u8]) -> Verdict {
        let Ok(heard) = self.0.hears(bytes) else { return Connection };
        for it in heard {
            match it {
                Said::Data { stream, bytes, last } => {
                    self.0.conn.release(stream, bytes.len());
                    if last {
                        self.0.conn.done(stream);
                    }
                }
                Said::Head { stream, last: true, .. }
                | Said::Trailers { stream, .. }
                | Said::Reset { stream, .. }
                | Said::Broken { stream, .. } => self.0.conn.done(stream),
                _ => {}
            }
        }
        other::verdict(&self.0.says())
    }
}

#[test]
fn what_the_crate_refuses_of_a_server_is_refused() {
    let mut met = Met::new();
    for seed in 0..6_000 {
        let mut random = Random::new(seed);
        let (mut mine, mut crates) = (Asks(Peer::client()), other::Client::new());
        crates.judges(&[settings(&[]), frame(SETTINGS, ACK, 0, &[])].concat());
        let asked: Vec<u32> = (0..6).map(|i| 2 * i + 1).collect();
        for _ in &asked {
            mine.0.ask("GET", true);
            let request = http::Request::get("https://a.test/").body(()).expect("a request");
            crates.ask(request, other::Message::default());
        }
        assert_eq!((mine.judges(&[]), crates.judges(&[])), (Goes, Goes));
        let mut telling = Answering { asked, begun: Vec::new(), ended: Vec::new() };
        let mut told = Vec::new();
        for _ in 0..random.below(14) {
            let (what, bytes) = telling.right(&mut random);
            told.push(what);
            let verdicts = (mine.judges(&bytes), crates.judges(&bytes));
            assert_eq!(verdicts, (Goes, Goes), "seed {seed}: {told:?}");
        }
        let (what, bytes) = telling.wrong(&mut random);
        told.push(what);
        let (mine, crates) = (mine.judges(&bytes), crates.judges(&bytes));
        assert!(mine != Goes, "{what} goes");
        if mine != crates {
            met.insert((what, mine, crates), format!("seed {seed}: {told:?}"));
        }
    }
    are_named(&met, OF_SERVERS);
}

#[test]
fn bytes_that_are_changed_at_random_are_refused_here_where_the_crate_refuses_them() {
    let hello = [&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    let mut refused = 0;
    for seed in 0..8_000 {
        let mut random = Random::new(seed);
        let mut telling = Telling { next: 2, ..Telling::default() };
        let mut bytes: Vec<u8> = (0..5).flat_map(|_| telling.right(&mut random).1).collect();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let (mut mine, mut crates) = (Answers(Peer::server()), other::Server::new(&hello));
        crates.judges(&[]);
        let (mine, crates) = (mine.judges(&bytes), crates.judges(&bytes));
        refused += usize::from(crates != Goes);
        assert!(crates == Goes || mine != Goes, "seed {seed}: {}", text(&bytes));
    }
    assert!(refused > 1_000, "{refused}");
}
