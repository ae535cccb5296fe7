//! The PROXY protocol, read and written (haproxy's proxy-protocol.txt): v1 and v2 in, v2 out. Strict, because what it
//! says is believed: lengths must fit, the address family is one that the specification knows, nothing is guessed (X03).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub const ALPN: u8 = 0x01;
pub const AUTHORITY: u8 = 0x02;
pub const UNIQUE_ID: u8 = 0x05;
pub const SSL: u8 = 0x20;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// §2.1: the longest v1 line.
const V1_BYTES: usize = 107;
/// More than any set of TLVs that a proxy sends.
const V2_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyRead {
    NeedMore,
    Header(Header),
    Malformed(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the header; what follows is the connection's own.
    pub consumed: usize,
    source: Option<SocketAddr>,
}

impl Header {
    /// Whom the proxy speaks for; `None` for LOCAL, UNKNOWN and UNSPEC, and for what is not TCP, where the peer itself is meant.
    pub fn source(&self) -> Option<SocketAddr> {
        self.source
    }
}

/// True if a header begins here, of either version: whoever sends one to a peer that takes none should be told so.
pub fn begins(buf: &[u8]) -> bool {
    buf.starts_with(SIGNATURE) || buf.starts_with(b"PROXY ")
}

/// Reads a header from the first bytes of a connection.
pub fn read(buf: &[u8]) -> ProxyRead {
    let n = buf.len().min(SIGNATURE.len());
    if buf.get(..n) == SIGNATURE.get(..n) && n > 0 {
        return if n < SIGNATURE.len() { ProxyRead::NeedMore } else { v2(buf) };
    }
    let n = buf.len().min(6);
    match buf.get(..n) == b"PROXY ".get(..n) {
        true => v1(buf),
        false => ProxyRead::Malformed("no PROXY header"),
    }
}

fn v1(buf: &[u8]) -> ProxyRead {
    let head = buf.get(..buf.len().min(V1_BYTES)).unwrap_or_default();
    let Some(end) = head.iter().position(|b| *b == b'\n') else {
        return if buf.len() < V1_BYTES { ProxyRead::NeedMore } else { ProxyRead::Malformed("v1 line too long") };
    };
    let line = head.get(..end).and_then(|l| l.strip_suffix(b"\r")).and_then(|l| std::str::from_utf8(l).ok());
    let consumed = end + 1;
    let parts: Vec<&str> = line.unwrap_or_default().split(' ').collect();
    match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => ProxyRead::Header(Header { consumed, source: None }),
        ["PROXY", family @ ("TCP4" | "TCP6"), src, dst, from, to] => {
            let ip = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (*family == "TCP4"));
            let port = |text: &str| {
                let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
                text.parse::<u16>().ok().filter(|_| plain)
            };
            match (ip(src), ip(dst), port(from), port(to)) {
                (Some(ip), Some(_), Some(port), Some(_)) => {
                    ProxyRead::Header(Header { consumed, source: Some(SocketAddr::new(ip, port)) })
                }
                _ => ProxyRead::Malformed("v1 addresses"),
            }
        }
        _ => ProxyRead::Malformed("v1 line"),
    }
}

fn v2(buf: &[u8]) -> ProxyRead {
    let [command, family, a, b, rest @ ..] = buf.get(SIGNATURE.len()..).unwrap_or_default() else {
        return ProxyRead::NeedMore;
    };
    let len = usize::from(*a) << 8 | usize::from(*b);
    if command >> 4 != 2 || len > V2_BYTES {
        return ProxyRead::Malformed("v2 head");
    }
    let Some(body) = rest.get(..len) else { return ProxyRead::NeedMore };
    let consumed = SIGNATURE.len() + 4 + len;
    // §2.2: what we have no use for, datagrams and Unix sockets, is read as UNSPEC is; no other value may be sent.
    let (source, speaks, size) = match family {
        0x11 => (four(body), true, 12),
        0x21 => (six(body), true, 36),
        0x12 => (None, false, 12),
        0x22 => (None, false, 36),
        0x31 | 0x32 => (None, false, 216),
        0x00 => (None, false, 0),
        _ => return ProxyRead::Malformed("v2 family"),
    };
    let local = match command & 15 {
        0 => true,
        1 => false,
        _ => return ProxyRead::Malformed("v2 command"),
    };
    if !local && ((speaks && source.is_none()) || body.len() < size) {
        return ProxyRead::Malformed("v2 addresses");
    }
    if !local && !tlvs_fit(body.get(size..).unwrap_or_default()) {
        return ProxyRead::Malformed("v2 TLVs");
    }
    ProxyRead::Header(Header { consumed, source: source.filter(|_| !local) })
}

fn four(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 4] = body.get(..4)?.try_into().ok()?;
    let port: [u8; 2] = body.get(8..10)?.try_into().ok()?;
    body.get(..12)?;
    Some(SocketAddr::new(Ipv4Addr::from(ip).into(), u16::from_be_bytes(port)))
}

fn six(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 16] = body.get(..16)?.try_into().ok()?;
    let port: [u8; 2] = body.get(32..34)?.try_into().ok()?;
    body.get(..36)?;
    Some(SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes(port)))
}

fn tlvs_fit(mut rest: &[u8]) -> bool {
    while let [_, a, b, tail @ ..] = rest {
        match tail.get(usize::from(*a) << 8 | usize::from(*b)..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Appends a v2 header for a proxied stream. A value longer than a TLV can hold is left out.
pub fn write_v2(out: &mut Vec<u8>, src: SocketAddr, dst: SocketAddr, tlvs: &[(u8, &[u8])]) {
    out.extend_from_slice(SIGNATURE);
    let mut body = Vec::with_capacity(64);
    let family = match (src.ip(), dst.ip()) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            body.extend_from_slice(&s.octets());
            body.extend_from_slice(&d.octets());
            0x11
        }
        (s, d) => {
            for ip in [s, d] {
                let six = match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                body.extend_from_slice(&six.octets());
            }
            0x21
        }
    };
    body.extend_from_slice(&src.port().to_be_bytes());
    body.extend_from_slice(&dst.port().to_be_bytes());
    for (kind, value) in tlvs {
        if let Ok(len) = u16::try_from(value.len())
            && value.len() <= 1024
        {
            body.push(*kind);
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(value);
        }
    }
    out.extend_from_slice(&[0x21, family]);
    out.extend_from_slice(&u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&body);
}

/// The value of an [`SSL`] TLV (§2.2.5), for a connection whose TLS ended at the sender. `shown` says whether the client
/// showed a certificate that was verified, and whether in this connection's own handshake. Whose it is is not told: the
/// protocol knows the common name alone, and that is no name (RFC 9525 §6.3).
pub fn ssl(version: &str, cipher: &str, shown: Option<bool>) -> Vec<u8> {
    let client = 1 | shown.map_or(0, |here| if here { 2 | 4 } else { 4 });
    let mut out = vec![client];
    out.extend_from_slice(&u32::from(shown.is_none()).to_be_bytes());
    for (kind, value) in [(0x21, version), (0x23, cipher)] {
        if let Ok(len) = u16::try_from(value.len()) {
            out.push(kind);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
        }
    }
    out
}
