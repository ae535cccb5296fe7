//! The ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), over as many records as the client likes.

use crate::bytes::Bytes;
use crate::sni::{Sni, server_name};

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peeked {
    NeedMore,
    Hello(Hello),
    Unreadable(Unreadable),
}

/// As much of a hello as routing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub sni: Sni,
    /// In the client's order.
    pub alpn: Vec<Vec<u8>>,
    /// An encrypted inner hello was offered (RFC 9849); what we read is the outer one.
    pub ech: bool,
    /// The highest version offered, GREASE aside.
    pub version: u16,
    /// Bytes of the records that carry it.
    pub len: usize,
}

/// Why bytes are no hello. Refused; never taken for "no SNI".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    NotTls {
        /// They look like a plain HTTP/1 request.
        http: bool,
    },
    /// Longer than the limit; told as soon as the length is known.
    TooLong,
    /// A record of another kind before the hello is complete.
    Record,
    Malformed,
    /// An extension that must not occur twice did.
    Twice,
}

impl Unreadable {
    pub fn is_http(&self) -> bool {
        matches!(self, Unreadable::NotTls { http: true })
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// RFC 8446 §5.1: a plaintext record's fragment.
const FRAGMENT_BYTES: usize = 16 * 1024;

/// Reads a hello from the first bytes of a connection. Called again, from the start, when there are more.
///
/// `limit` bounds the records' bytes; nothing is allocated by a declared length.
pub fn read(buf: &[u8], limit: usize) -> Peeked {
    match gather(buf, limit) {
        Ok(Some((message, len))) => match parse(message.as_slice()) {
            Some(Ok(hello)) => Peeked::Hello(Hello { len, ..hello }),
            Some(Err(why)) => Peeked::Unreadable(why),
            None => Peeked::Unreadable(Unreadable::Malformed),
        },
        Ok(None) => Peeked::NeedMore,
        Err(why) => Peeked::Unreadable(why),
    }
}

/// A handshake message out of its records: borrowed where one record holds it.
enum Message<'a> {
    One(&'a [u8]),
    Many(Vec<u8>),
}

impl Message<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Message::One(m) => m,
            Message::Many(m) => m,
        }
    }
}

fn gather(buf: &[u8], limit: usize) -> Result<Option<(Message<'_>, usize)>, Unreadable> {
    match buf {
        [] => return Ok(None),
        [HANDSHAKE, major, ..] if *major != 3 => return Err(Unreadable::NotTls { http: false }),
        [HANDSHAKE, ..] => {}
        _ => return Err(Unreadable::NotTls { http: looks_like_http(buf) }),
    }
    let mut rest = Bytes(buf);
    let mut many: Vec<u8> = Vec::new();
    let mut wanted = None;
    loop {
        let used = buf.len() - rest.0.len();
        if used >= limit {
            return Err(Unreadable::TooLong);
        }
        let Some((kind, len)) = record(&mut rest)? else { return Ok(None) };
        if kind != HANDSHAKE || len == 0 {
            return Err(Unreadable::Record);
        }
        // By the declared length, so that the verdict does not depend on how much of the record came at once.
        if used + 5 + len > limit {
            return Err(Unreadable::TooLong);
        }
        let whole = rest.take(len);
        let fragment = whole.unwrap_or(rest.0);
        let start = if many.is_empty() { fragment } else { &[] };
        // The message's length stands in its first four bytes, which may themselves be split.
        let first: Vec<u8> = many.iter().chain(fragment).take(4).copied().collect();
        if first.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Unreadable::Malformed);
        }
        if let [_, a, b, c] = first.as_slice() {
            let n = 4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c));
            if n > limit {
                return Err(Unreadable::TooLong);
            }
            wanted = Some(n);
        }
        if whole.is_none() {
            return Ok(None);
        }
        let used = buf.len() - rest.0.len();
        if let Some(n) = wanted {
            if many.is_empty() && start.len() >= n {
                return one(start, n, used);
            }
            if many.len() + fragment.len() >= n {
                if many.len() + fragment.len() > n {
                    return Err(Unreadable::Malformed);
                }
                many.extend_from_slice(fragment);
                return Ok(Some((Message::Many(many), used)));
            }
        }
        many.extend_from_slice(fragment);
    }
}

/// The hello stands alone in its flight: bytes after it in the same record are refused.
fn one(fragment: &[u8], n: usize, used: usize) -> Result<Option<(Message<'_>, usize)>, Unreadable> {
    if fragment.len() == n { Ok(Some((Message::One(fragment), used))) } else { Err(Unreadable::Malformed) }
}

/// The head of a record, or `None` if it is not whole yet.
fn record(rest: &mut Bytes<'_>) -> Result<Option<(u8, usize)>, Unreadable> {
    match rest.0 {
        [kind, major, minor, a, b, tail @ ..] => {
            let len = usize::from(*a) << 8 | usize::from(*b);
            if *major != 3 || *minor > 4 || len > FRAGMENT_BYTES {
                return Err(Unreadable::Record);
            }
            rest.0 = tail;
            Ok(Some((*kind, len)))
        }
        [kind, ..] if *kind != HANDSHAKE => Err(Unreadable::Record),
        _ => Ok(None),
    }
}

fn looks_like_http(buf: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"PRI * HTTP/2"];
    METHODS.iter().any(|m| buf.starts_with(m))
}

/// `None`: not well formed.
fn parse(message: &[u8]) -> Option<Result<Hello, Unreadable>> {
    let mut body = Bytes(message);
    body.take(4)?;
    let legacy = body.u16()?;
    body.take(32)?;
    let session = body.vector(1)?;
    let suites = body.vector(2)?;
    let compressions = body.vector(1)?;
    if session.0.len() > 32 || suites.is_empty() || suites.0.len() % 2 == 1 || compressions.is_empty() {
        return None;
    }
    let mut hello = Hello { sni: Sni::Absent, alpn: Vec::new(), ech: false, version: legacy, len: 0 };
    // A hello without extensions ends here (TLS 1.0 to 1.2).
    if body.is_empty() {
        return Some(Ok(hello));
    }
    let mut extensions = body.vector(2)?;
    if !body.is_empty() {
        return None;
    }
    let (mut named, mut protocols) = (false, false);
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.vector(2)?;
        match kind {
            0 if named => return Some(Err(Unreadable::Twice)),
            0 => {
                named = true;
                hello.sni = server_name(content.0);
            }
            16 if protocols => return Some(Err(Unreadable::Twice)),
            16 => {
                protocols = true;
                hello.alpn = alpn(content)?;
            }
            43 => hello.version = highest(content)?.unwrap_or(legacy),
            0xfe0d => hello.ech = true,
            _ => {}
        }
    }
    Some(Ok(hello))
}

/// RFC 7301 §3.1.
fn alpn(mut content: Bytes<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = content.vector(2)?;
    let mut all = Vec::new();
    while !list.is_empty() {
        let name = list.vector(1)?;
        if name.is_empty() {
            return None;
        }
        all.push(name.0.to_vec());
    }
    content.is_empty().then_some(all)
}

fn highest(mut content: Bytes<'_>) -> Option<Option<u16>> {
    let mut list = content.vector(1)?;
    let mut best = None;
    while !list.is_empty() {
        let version = list.u16()?;
        // RFC 8701: GREASE values look like 0x?A?A.
        if version >> 8 == 3 {
            best = best.max(Some(version));
        }
    }
    Some(best)
}
