//! The first record of a server's answer, read on a passthrough connection: evidence in the clear, and proof that the
//! backend speaks TLS at all. Bounded by the caller, who gives what came so far.

use crate::bytes::Bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerFirst {
    NeedMore,
    ServerHello(ServerHello),
    Alert { level: u8, description: u8 },
    NotTls,
}

/// What the ServerHello says in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello {
    pub version: u16,
    pub suite: u16,
    /// Known in TLS 1.3 only; before, it stands in a later message.
    pub group: Option<u16>,
}

const SERVER_HELLO: usize = 2;

/// Judges the first bytes of a backend.
pub fn first_server_record(buf: &[u8]) -> ServerFirst {
    let (kind, len, tail) = match buf {
        [kind @ (21 | 22), 3, minor, a, b, tail @ ..] if *minor <= 4 => {
            (*kind, usize::from(*a) << 8 | usize::from(*b), tail)
        }
        [21 | 22] | [21 | 22, 3] | [21 | 22, 3, 0..=4] | [21 | 22, 3, 0..=4, _] | [] => return ServerFirst::NeedMore,
        _ => return ServerFirst::NotTls,
    };
    if len == 0 || len > 16 * 1024 + 2048 {
        return ServerFirst::NotTls;
    }
    if kind == 21 {
        return match tail {
            [level, description, ..] if len == 2 => ServerFirst::Alert { level: *level, description: *description },
            _ if len == 2 => ServerFirst::NeedMore,
            _ => ServerFirst::NotTls,
        };
    }
    let have = tail.get(..len.min(tail.len())).unwrap_or_default();
    match have {
        [2, ..] => {}
        [] => return ServerFirst::NeedMore,
        _ => return ServerFirst::NotTls,
    }
    match hello(have) {
        Some(Some(it)) => ServerFirst::ServerHello(it),
        Some(None) => ServerFirst::NotTls,
        None if have.len() < len => ServerFirst::NeedMore,
        None => ServerFirst::NotTls,
    }
}

/// `None`: not whole. `Some(None)`: not well formed.
fn hello(fragment: &[u8]) -> Option<Option<ServerHello>> {
    let mut all = Bytes(fragment);
    let kind = all.number(1)?;
    let mut body = all.vector(3)?;
    Some((kind == SERVER_HELLO).then(|| parse(&mut body)).flatten())
}

fn parse(body: &mut Bytes<'_>) -> Option<ServerHello> {
    let version = body.u16()?;
    body.take(32)?;
    body.vector(1)?;
    let suite = body.u16()?;
    body.take(1)?;
    let mut it = ServerHello { version, suite, group: None };
    if body.is_empty() {
        return Some(it);
    }
    let mut extensions = body.vector(2)?;
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let mut content = extensions.vector(2)?;
        match kind {
            43 => it.version = content.u16()?,
            51 => it.group = Some(content.u16()?),
            _ => {}
        }
    }
    Some(it)
}
