//! An input as HTTP/2 frames, so that it gets past the preface, and the frames of the other side read back.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What one input may grow to.
const MOST_BYTES: usize = 64 * 1024;

pub struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub body: &'a [u8],
}

/// The complete frames of `bytes`, and what is left.
pub fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, &[u8]) {
    let mut found = Vec::new();
    while let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = bytes {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some(body) = rest.get(..len) else { break };
        let stream = u32::from_be_bytes([*s & 0x7f, *t, *u, *v]);
        found.push(Frame { kind: *kind, flags: *flags, stream, body });
        bytes = &rest[len..];
    }
    (found, bytes)
}

/// Bytes of the input, zeros after its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn of<T: Copy>(&mut self, table: &[T]) -> T {
        table[usize::from(self.byte()) % table.len()]
    }
}

const METHODS: [&[u8]; 8] = [b"GET", b"POST", b"HEAD", b"CONNECT", b"OPTIONS", b"G T", b"", b"PUT\r\n"];
const PATHS: [&[u8]; 10] = [b"/", b"/a", b"/a?b=c", b"*", b"/a b", b"/..", b"", b"/%2f", b"/a\r\nX: y", b"//"];
const AUTHORITIES: [&[u8]; 7] = [b"a.test", b"a.test", b"b.test", b"other.test", b"", b"a.test\r\nX: y", b"u@a.test"];
const STATUSES: [&[u8]; 12] =
    [b"200", b"200", b"204", b"304", b"100", b"101", b"103", b"500", b"99", b"abc", b"", b"200\r\n"];
const NAMES: [&[u8]; 22] = [
    b"content-length",
    b"host",
    b"cookie",
    b"te",
    b"connection",
    b"transfer-encoding",
    b"x-forwarded-for",
    b"authorization",
    b"expect",
    b"Bad",
    b"",
    b":path",
    b":status",
    b":protocol",
    b"x-a",
    b"x\"a",
    b"upgrade",
    b"x_forwarded_for",
    b"date",
    b"trailer",
    b"client-cert",
    b"x a",
];
const VALUES: [&[u8]; 14] = [
    b"0",
    b"5",
    b"a.test",
    b"chunked",
    b"trailers",
    b"x\r\ny",
    b"\0",
    b"close",
    b"100-continue",
    b"",
    b"\xff",
    b"websocket",
    b"18446744073709551616",
    &[b'a'; 300],
];
const INCREMENTS: [u32; 6] = [0, 1, 1000, 65_535, 0x7fff_ffff, 0xffff_ffff];
const SETTINGS_VALUES: [u32; 8] = [0, 1, 100, 16_384, 65_535, 0x00ff_ffff, 0x7fff_ffff, 0xffff_ffff];

/// A field as a literal without indexing (RFC 7541 §6.2.2).
fn literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        // Lengths below 127 and one above are all there are.
        match u8::try_from(text.len()).ok().filter(|n| *n < 127) {
            Some(n) => out.push(n),
            None => {
                let over = text.len() - 127;
                out.extend([0x7f, u8::try_from(over & 127).unwrap_or(0) | 128, u8::try_from(over >> 7).unwrap_or(0)]);
            }
        }
        out.extend_from_slice(text);
    }
}

/// A client's opening with one request in order, complete.
pub fn asking(method: &[u8], authority: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in
        [(&b":method"[..], method), (b":scheme", b"https"), (b":authority", authority), (b":path", b"/x")]
    {
        literal(&mut block, name, value);
    }
    let mut writer = Writer { pieces: Vec::new(), last: Vec::new(), bytes: 0, stream: 0 };
    writer.put(PREFACE.to_vec());
    writer.frame(SETTINGS, 0, 0, &[]);
    writer.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    writer.pieces.concat()
}

/// Frames of one side, in pieces: each is sent once the one before was taken.
pub struct Script {
    pub pieces: Vec<Vec<u8>>,
}

/// Which side speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

struct Writer {
    pieces: Vec<Vec<u8>>,
    last: Vec<u8>,
    bytes: usize,
    /// The highest stream that was opened.
    stream: u32,
}

impl Writer {
    fn put(&mut self, bytes: Vec<u8>) {
        if self.bytes + bytes.len() <= MOST_BYTES {
            self.bytes += bytes.len();
            match self.pieces.last_mut() {
                Some(piece) => piece.extend_from_slice(&bytes),
                None => self.pieces.push(bytes.clone()),
            }
            self.last = bytes;
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let len = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
        let mut it = vec![len[1], len[2], len[3], kind, flags];
        it.extend(stream.to_be_bytes());
        it.extend_from_slice(body);
        self.put(it);
    }
}

/// One of the streams that were opened last, or the connection, or one that was not.
fn stream(input: &mut Input<'_>, writer: &Writer) -> u32 {
    match input.byte() {
        back @ 0..=199 => writer.stream.saturating_sub(u32::from(back % 8) * 2).max(1),
        200..=229 => 0,
        other => u32::from(other),
    }
}

fn block(input: &mut Input<'_>, side: Side) -> Vec<u8> {
    let mut out = Vec::new();
    if side == Side::Client {
        for (name, value) in [
            (&b":method"[..], input.of(&METHODS)),
            (b":scheme", b"https"),
            (b":authority", input.of(&AUTHORITIES)),
            (b":path", input.of(&PATHS)),
        ] {
            literal(&mut out, name, value);
        }
    } else {
        literal(&mut out, b":status", input.of(&STATUSES));
    }
    for _ in 0..input.byte() % 6 {
        let (name, value) = (input.of(&NAMES), input.of(&VALUES));
        literal(&mut out, name, value);
    }
    out
}

/// Reads an input as what one side says: the opening first, then whatever the input tells.
pub fn script(data: &[u8], side: Side) -> Script {
    let mut writer = Writer { pieces: Vec::new(), last: Vec::new(), bytes: 0, stream: 0 };
    if side == Side::Client {
        writer.put(PREFACE.to_vec());
    }
    writer.frame(SETTINGS, 0, 0, &[]);
    let mut input = Input(data);
    while !input.0.is_empty() && writer.bytes < MOST_BYTES {
        step(&mut input, &mut writer, side);
    }
    Script { pieces: writer.pieces }
}

fn step(input: &mut Input<'_>, writer: &mut Writer, side: Side) {
    match input.byte() % 16 {
        0..=3 => {
            let how = input.byte();
            // A server answers on the one stream that its client opened.
            if how & 2 == 0 {
                writer.stream = if side == Side::Client { (writer.stream + 2) | 1 } else { 1 };
            }
            let flags = how & END_STREAM | if how & 0xf0 == 0xf0 { 0 } else { END_HEADERS };
            let block = block(input, side);
            writer.frame(HEADERS, flags, writer.stream.max(1), &block);
        }
        4 => {
            let (at, flags, len) = (stream(input, writer), input.byte() & 9, usize::from(input.byte()) * 64);
            writer.frame(DATA, flags, at, &vec![b'd'; len]);
        }
        5 => {
            let (at, more) = (stream(input, writer), input.of(&INCREMENTS));
            writer.frame(WINDOW_UPDATE, 0, at, &more.to_be_bytes());
        }
        6 => {
            let mut body = Vec::new();
            for _ in 0..input.byte() % 4 {
                body.extend([0, input.byte() % 10]);
                body.extend(input.of(&SETTINGS_VALUES).to_be_bytes());
            }
            writer.frame(SETTINGS, input.byte() & ACK, 0, &body);
        }
        7 => {
            let (at, code) = (stream(input, writer), u32::from(input.byte()));
            writer.frame(RST_STREAM, 0, at, &code.to_be_bytes());
        }
        8 => writer.frame(PING, input.byte() & ACK, 0, &[7; 8]),
        9 => {
            let (again, times) = (writer.last.clone(), usize::from(input.byte()) * 16);
            let fits = MOST_BYTES.saturating_sub(writer.bytes) / again.len().max(1);
            writer.put(again.repeat(times.min(fits)));
            // What was repeated may open streams of its own; the next request goes on above them.
            writer.last = again;
        }
        10 => {
            let (at, flags, n) = (stream(input, writer), input.byte() & END_HEADERS, usize::from(input.byte()));
            writer.frame(CONTINUATION, flags, at, input.take(n));
        }
        11 => {
            let (kind, flags, at, n) = (input.byte(), input.byte(), stream(input, writer), usize::from(input.byte()));
            writer.frame(kind, flags, at, input.take(n));
        }
        12 => {
            let n = usize::from(input.byte());
            writer.put(input.take(n).to_vec());
        }
        13 => {
            let n = usize::from(input.byte());
            writer.stream = (writer.stream + 2) | 1;
            writer.frame(HEADERS, END_HEADERS | END_STREAM, writer.stream, input.take(n));
        }
        14 => {
            let at = stream(input, writer);
            match input.byte() % 3 {
                0 => writer.frame(PRIORITY, 0, at, &[0, 0, 0, input.byte(), 16]),
                1 => writer.frame(GOAWAY, 0, 0, &[0, 0, 0, input.byte(), 0, 0, 0, input.byte()]),
                _ => writer.frame(PUSH_PROMISE, END_HEADERS, at, &[0, 0, 0, 2]),
            }
        }
        _ => writer.pieces.push(Vec::new()),
    }
}
