//! A peer of ours under test: frames are written by hand, what it makes of them and says is read back plainly.

use everyhop_http2::{Code, Config, Connection, Event, Fault, Head, PREFACE, Ready};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 0x20;
/// A head that is all in one frame, and one behind which nothing comes.
pub const OPEN: u8 = END_HEADERS;
pub const ALL: u8 = END_HEADERS | END_STREAM;

/// A frame, as it stands on the wire.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = payload.len().to_be_bytes();
    let mut it = vec![a, b, c, kind, flags];
    it.extend(stream.to_be_bytes());
    it.extend(payload);
    it
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }
}

pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    if let Some(rest) = bytes.strip_prefix(&PREFACE[..]) {
        bytes = rest;
    }
    while let Some((header, rest)) = bytes.split_first_chunk::<9>() {
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes(header[5..].try_into().expect("four bytes"));
        let (payload, behind) = rest.split_at(len);
        all.push(Frame { kind: header[3], flags: header[4], stream, payload: payload.to_vec() });
        bytes = behind;
    }
    assert!(bytes.is_empty(), "it sends whole frames");
    all
}

/// A literal that nobody keeps, without Huffman (RFC 7541 §6.2.2).
pub fn literal(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut it = vec![0];
    for text in [name.as_bytes(), value.as_ref()] {
        number(text.len(), 7, 0, &mut it);
        it.extend(text);
    }
    it
}

/// RFC 7541 §5.1.
pub fn number(mut n: usize, bits: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1 << bits) - 1;
    if n < mask {
        return out.push(first | n as u8);
    }
    out.push(first | mask as u8);
    n -= mask;
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

pub const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
pub const OK: [(&str, &str); 1] = [(":status", "200")];

/// A request with some fields more.
pub fn get(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

pub fn post(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&[(":method", "POST")][..], &GET[1..], more].concat())
}

pub fn ok(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&OK[..], more].concat())
}

pub fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        all.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(UPDATE, 0, stream, &by.to_be_bytes())
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &code.to_be_bytes())
}

/// An event with what it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Head { stream: u32, last: bool, fields: Vec<(String, String)> },
    Informational { stream: u32, fields: Vec<(String, String)> },
    TooLong { stream: u32, last: bool },
    Data { stream: u32, bytes: Vec<u8>, last: bool },
    Trailers { stream: u32, fields: Vec<(String, String)> },
    TrailersTooLong { stream: u32 },
    Reset { stream: u32, code: Code },
    Broken { stream: u32, fault: Fault },
    Unprocessed { stream: u32 },
    Settings,
    Settled,
    Pong { came: u64 },
    GoAway { last: u32, code: Code },
    Left,
}

pub fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Pseudo-fields first, in the order of the RFC.
pub fn fields(head: &Head) -> Vec<(String, String)> {
    let status = head.status().to_string();
    let pseudo = [
        (":method", head.method()),
        (":scheme", head.scheme()),
        (":authority", head.authority()),
        (":path", head.path()),
        (":protocol", head.protocol()),
        (":status", if head.status() == 0 { b"" } else { status.as_bytes() }),
    ];
    let pseudo =
        pseudo.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.into(), text(value)));
    pseudo.chain(head.fields().map(|it| (text(it.name), text(it.value)))).collect()
}

pub struct Peer {
    pub conn: Connection,
    input: Vec<u8>,
}

impl Peer {
    pub fn new(conn: Connection) -> Peer {
        Peer { conn, input: Vec::new() }
    }

    /// A server whose client has said its preface and that it wants nothing in particular.
    pub fn server() -> Peer {
        Peer::server_of(Config::server())
    }

    pub fn server_of(config: Config) -> Peer {
        let mut it = Peer::new(Connection::server(config));
        let hello = [&PREFACE[..], &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
        assert_eq!(it.hear(&hello), [Said::Settings, Said::Settled]);
        it.says();
        it
    }

    /// A client whose server has said as little.
    pub fn client() -> Peer {
        Peer::client_of(Config::client())
    }

    pub fn client_of(config: Config) -> Peer {
        let mut it = Peer::new(Connection::client(config));
        let hello = [settings(&[]), frame(SETTINGS, ACK, 0, &[])].concat();
        assert_eq!(it.hear(&hello), [Said::Settings, Said::Settled]);
        it.says();
        it
    }

    /// With so many requests under way.
    pub fn asking(requests: u32) -> Peer {
        let mut it = Peer::client();
        (0..requests).for_each(|i| assert_eq!(it.ask("GET", true), 2 * i + 1));
        it.says();
        it
    }

    pub fn ask(&mut self, method: &str, last: bool) -> u32 {
        let it = everyhop_http2::Request {
            method: method.as_bytes(),
            scheme: b"https",
            authority: b"a.test",
            path: b"/",
            protocol: b"",
        };
        self.conn.request(&it, last, |_| ()).expect("a stream")
    }

    /// What it makes of some more bytes. What of a body came in pieces is told in one.
    pub fn hears(&mut self, bytes: &[u8]) -> Result<Vec<Said>, Fault> {
        self.input.extend(bytes);
        let (mut all, mut at) = (Vec::new(), 0);
        let input = std::mem::take(&mut self.input);
        while let Some(event) = self.conn.next(&input, &mut at)? {
            all.push(match event {
                Event::Head { stream, last } => Said::Head { stream, last, fields: fields(self.conn.head()) },
                Event::Informational { stream } => Said::Informational { stream, fields: fields(self.conn.head()) },
                Event::TooLong { stream, last } => Said::TooLong { stream, last },
                Event::Data { stream, bytes, last } => Said::Data { stream, bytes: bytes.to_vec(), last },
                Event::Trailers { stream } => Said::Trailers { stream, fields: fields(self.conn.head()) },
                Event::TrailersTooLong { stream } => Said::TrailersTooLong { stream },
                Event::Reset { stream, code } => Said::Reset { stream, code },
                Event::Broken { stream, fault } => Said::Broken { stream, fault },
                Event::Unprocessed { stream } => Said::Unprocessed { stream },
                Event::Settings => Said::Settings,
                Event::Settled => Said::Settled,
                Event::Pong { came } => Said::Pong { came },
                Event::GoAway { last, code } => Said::GoAway { last, code },
                Event::Left => Said::Left,
            });
        }
        self.input = input[at..].to_vec();
        Ok(joined(all))
    }

    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.hears(bytes).expect("nothing that ends the connection")
    }

    /// Whether what it hears is a head, and nothing is wrong with it.
    pub fn takes(&mut self, bytes: &[u8]) -> bool {
        matches!(self.hear(bytes)[..], [Said::Head { .. }])
    }

    /// What it says, as its peer would read it.
    pub fn says(&mut self) -> Vec<Frame> {
        let all = frames(self.conn.output());
        self.conn.sent(self.conn.output().len());
        all
    }

    pub fn ready(&mut self) -> Vec<Ready> {
        std::iter::from_fn(|| self.conn.pop_ready()).collect()
    }

    /// One fault ends the connection, of which the peer is told, and which stays.
    pub fn fails(&mut self, bytes: &[u8]) -> Fault {
        let fault = self.hears(bytes).expect_err("a fault of the connection");
        let said = self.says();
        let last = said.last().expect("it says why");
        assert_eq!((last.kind, last.stream, &last.payload[4..]), (GOAWAY, 0, &fault.code().0.to_be_bytes()[..]));
        assert_eq!(self.hears(&frame(PING, 0, 0, &[0; 8])), Err(fault));
        assert!(self.conn.is_over() && self.says().is_empty());
        fault
    }

    /// One fault ends the stream alone.
    pub fn breaks(&mut self, bytes: &[u8]) -> Fault {
        let heard = self.hear(bytes);
        let Some(Said::Broken { stream, fault }) = heard.last().cloned() else { panic!("{heard:?}") };
        let resets: Vec<Frame> = self.says().into_iter().filter(|it| it.kind == RESET).collect();
        assert_eq!(resets.len(), 1, "it is told once");
        assert_eq!((resets[0].stream, resets[0].number()), (stream, fault.code().0));
        assert_eq!(self.hear(&frame(PING, 0, 0, b"still on")), [], "the connection goes on");
        assert_eq!(self.says(), frames(&frame(PING, ACK, 0, b"still on")));
        fault
    }
}

/// Pieces of a body as one.
pub fn joined(all: Vec<Said>) -> Vec<Said> {
    let mut out: Vec<Said> = Vec::new();
    for it in all {
        if let Said::Data { stream, bytes, last } = &it
            && let Some(Said::Data { stream: before, bytes: more, last: ended }) = out.last_mut()
            && stream == before
            && !*ended
        {
            more.extend(bytes);
            *ended = *last;
            continue;
        }
        out.push(it);
    }
    out
}

pub fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Marsaglia's xorshift: the same seed, the same numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n.max(1)
    }

    pub fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }
}
