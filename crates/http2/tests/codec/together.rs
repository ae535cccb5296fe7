//! With the `h2` crate: what either sends, the other reads as it was said, in both roles and however the bytes are cut.

use crate::kit::*;
use crate::other::{self, Message};
use everyhop_http2::{Config, Connection, Event, Ready, Request};
use std::collections::BTreeMap;

type Strings = Vec<(String, String)>;

/// One side of ours with the messages that it sends and has heard.
struct Ours {
    conn: Connection,
    input: Vec<u8>,
    heard: BTreeMap<u32, (Strings, Message)>,
    whole: Vec<(Strings, Message)>,
    /// Bodies, and what is behind them.
    sending: BTreeMap<u32, (Vec<u8>, Strings)>,
    answer: Message,
}

fn plain(fields: &[(String, String)]) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
}

impl Ours {
    fn new(conn: Connection) -> Ours {
        let answer = Message { body: b"ok".to_vec(), ..Message::default() };
        let (heard, sending) = Default::default();
        Ours { conn, input: Vec::new(), heard, whole: Vec::new(), sending, answer }
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        let (input, mut at, mut ended) = (std::mem::take(&mut self.input), 0, Vec::new());
        while let Some(event) = self.conn.next(&input, &mut at).expect("right frames") {
            match event {
                Event::Head { stream, last } => {
                    let (pseudo, fields) = fields(self.conn.head()).into_iter().partition(|it| it.0.starts_with(':'));
                    self.heard.insert(stream, (pseudo, Message { fields, ..Message::default() }));
                    ended.extend(last.then_some(stream));
                }
                Event::Data { stream, bytes, last } => {
                    self.heard.get_mut(&stream).expect("a head").1.body.extend(bytes);
                    self.conn.release(stream, bytes.len());
                    ended.extend(last.then_some(stream));
                }
                Event::Trailers { stream } => {
                    self.heard.get_mut(&stream).expect("a head").1.trailers = fields(self.conn.head());
                    ended.push(stream);
                }
                Event::Settings | Event::Settled => {}
                other => panic!("{other:?}"),
            }
            for stream in ended.drain(..) {
                self.whole.extend(self.heard.remove(&stream));
                if !self.sending.contains_key(&stream) && self.conn.answer(stream, 200, false, |_| ()).is_ok() {
                    let Message { body, trailers, .. } = self.answer.clone();
                    self.sends(stream, body, trailers);
                }
            }
        }
        self.input = input[at..].to_vec();
        self.turns();
    }

    fn turns(&mut self) {
        while let Some(ready) = self.conn.pop_ready() {
            if let Ready::Body(stream) = ready {
                self.goes_on(stream);
            }
        }
    }

    fn sends(&mut self, stream: u32, body: Vec<u8>, trailers: Strings) {
        self.sending.insert(stream, (body, trailers));
        self.goes_on(stream);
    }

    fn goes_on(&mut self, stream: u32) {
        let Some((body, trailers)) = self.sending.get_mut(&stream) else { return };
        let n = self.conn.body(stream, body, trailers.is_empty()).expect("open");
        body.drain(..n);
        if !body.is_empty() {
            return;
        }
        if !trailers.is_empty() {
            let write = |to: &mut everyhop_http2::Fields<'_>| {
                trailers.iter().for_each(|(name, value)| assert!(to.put(name.as_bytes(), value.as_bytes())));
            };
            self.conn.trailers(stream, write).expect("open");
        }
    }

    fn says(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.conn.output().is_empty() {
            all.extend(self.conn.output());
            self.conn.sent(self.conn.output().len());
            self.turns();
        }
        all
    }
}

fn some_fields(random: &mut Random) -> Strings {
    // One of each, since the crate's map keeps those of one name together.
    let all = ["a", "accept", "content-type", "cookie", "user-agent", "x-request-id", "te", "authorization", "etag"];
    let mut picked: Vec<_> = all.iter().filter(|_| random.below(2) == 0).copied().collect();
    picked.dedup();
    let value = |name: &str, random: &mut Random| match name {
        "te" => "trailers".to_owned(),
        _ => format!(
            "{}{}",
            random.of(&["", "text/html", "a b", "{}~|"]),
            "v".repeat(random.below(3) * random.below(90))
        ),
    };
    picked.iter().map(|name| ((*name).to_owned(), value(name, random))).collect()
}

fn some(random: &mut Random, fields: bool) -> Message {
    let body = vec![random.below(256) as u8; *random.of(&[0, 1, 300, 20_000, 200_000])];
    let trailers =
        if random.below(3) == 0 { pairs(&[("grpc-status", "0"), ("grpc-message", "fine")]) } else { Vec::new() };
    Message { fields: if fields { some_fields(random) } else { Vec::new() }, body, trailers }
}

/// Passes bytes on in pieces until nobody says anything.
fn talk(random: &mut Random, mut one: impl FnMut(&[u8]) -> Vec<u8>, mut two: impl FnMut(&[u8]) -> Vec<u8>) {
    let mut up = one(&[]);
    loop {
        let mut down = Vec::new();
        while !up.is_empty() {
            let n = (1 + random.below(20_000)).min(up.len());
            down.extend(two(&up[..n]));
            up.drain(..n);
        }
        if down.is_empty() {
            down = two(&[]);
        }
        if down.is_empty() {
            return;
        }
        while !down.is_empty() {
            let n = (1 + random.below(20_000)).min(down.len());
            up.extend(one(&down[..n]));
            down.drain(..n);
        }
    }
}

fn sorted(mut fields: Strings) -> Strings {
    fields.sort();
    fields
}

#[test]
fn our_requests_reach_the_crates_server_and_its_answers_us() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut mine = Ours::new(Connection::client(Config::client()));
        let sent: Vec<_> = (0..1 + random.below(20)).map(|_| some(&mut random, true)).collect();
        for it in &sent {
            let post =
                Request { method: b"POST", scheme: b"https", authority: b"a.test", path: b"/x?y", protocol: b"" };
            let stream = mine.conn.request(&post, false, |to| {
                it.fields.iter().for_each(|(name, value)| assert!(to.put(name.as_bytes(), value.as_bytes())));
            });
            mine.sends(stream.expect("room"), it.body.clone(), it.trailers.clone());
        }
        let hello = mine.says();
        let mut crates = other::Server::new(&hello);
        crates.answer = some(&mut random, true);
        talk(
            &mut random,
            |bytes| {
                mine.hears(bytes);
                mine.says()
            },
            |bytes| crates.hears(bytes),
        );
        assert_eq!((crates.heard.len(), mine.whole.len()), (sent.len(), sent.len()), "seed {seed}");
        let mut wanted: Vec<_> = sent.into_iter().map(|it| (sorted(it.fields), it.body, it.trailers)).collect();
        let mut heard: Vec<_> = crates
            .heard
            .iter()
            .map(|(_, it)| (sorted(it.fields.clone()), it.body.clone(), it.trailers.clone()))
            .collect();
        wanted.sort();
        heard.sort();
        assert!(wanted == heard, "seed {seed}");
        assert!(crates.heard.iter().all(|(it, _)| it.uri() == "https://a.test/x?y" && it.method() == "POST"));
        for (pseudo, it) in &mine.whole {
            assert_eq!(pseudo, &pairs(&[(":status", "200")]));
            assert_eq!(sorted(it.fields.clone()), sorted(crates.answer.fields.clone()), "seed {seed}");
            assert!(it.body == crates.answer.body && it.trailers == crates.answer.trailers, "seed {seed}");
        }
    }
}

#[test]
fn the_crates_requests_reach_our_server_and_our_answers_it() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut mine = Ours::new(Connection::server(Config::server()));
        mine.answer = some(&mut random, false);
        let mut crates = other::Client::new();
        let sent: Vec<_> = (0..1 + random.below(20)).map(|_| some(&mut random, true)).collect();
        for it in &sent {
            let mut request = http::Request::post("https://a.test/x?y").body(()).expect("a request");
            *request.headers_mut() = other::map(&plain(&it.fields));
            crates.ask(request, it.clone());
        }
        talk(
            &mut random,
            |bytes| {
                mine.hears(bytes);
                mine.says()
            },
            |bytes| crates.hears(bytes),
        );
        assert_eq!((mine.whole.len(), crates.heard.len()), (sent.len(), sent.len()), "seed {seed}");
        let mut wanted: Vec<_> = sent.into_iter().map(|it| (sorted(it.fields), it.body, it.trailers)).collect();
        let mut heard: Vec<_> = mine
            .whole
            .iter()
            .map(|(_, it)| (sorted(it.fields.clone()), it.body.clone(), it.trailers.clone()))
            .collect();
        wanted.sort();
        heard.sort();
        assert!(wanted == heard, "seed {seed}");
        for (status, it) in &crates.heard {
            assert_eq!(*status, 200);
            assert!(it.body == mine.answer.body && it.trailers == mine.answer.trailers, "seed {seed}");
        }
    }
}
