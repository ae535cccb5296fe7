//! A host as a request names it (RFC 9110 §4.2.3, §7.2): lower case, without its trailing dot and port.
//! The rule for names is the one that the SNI is judged by; a test of `everyhop-decide` holds the two together.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a host is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoHost;

/// Writes the canonical host to `out`, which is cleared first; gives the port, if one is there.
pub fn host_into(raw: &[u8], out: &mut String) -> Result<Option<u16>, NoHost> {
    out.clear();
    if let Some(rest) = raw.strip_prefix(b"[") {
        let end = rest.iter().position(|b| *b == b']').ok_or(NoHost)?;
        let (inside, after) = rest.split_at_checked(end).ok_or(NoHost)?;
        let ip: Ipv6Addr = std::str::from_utf8(inside).ok().and_then(|t| t.parse().ok()).ok_or(NoHost)?;
        let written = match crate::cidr::unmapped(IpAddr::V6(ip)) {
            IpAddr::V4(v4) => write!(out, "{v4}"),
            IpAddr::V6(v6) => write!(out, "[{v6}]"),
        };
        written.map_err(|_| NoHost)?;
        return match after.get(1..).unwrap_or_default() {
            [] => Ok(None),
            [b':', digits @ ..] => port(digits),
            _ => Err(NoHost),
        };
    }
    let (name, port) = match raw.iter().position(|b| *b == b':') {
        None => (raw, None),
        Some(at) => {
            let (name, rest) = raw.split_at_checked(at).ok_or(NoHost)?;
            (name, port(rest.get(1..).unwrap_or_default())?)
        }
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > 253 {
        return Err(NoHost);
    }
    let (mut label, mut last, mut digits) = (0usize, b'-', true);
    for b in name.iter().copied().chain([b'.']) {
        match b {
            b'.' => {
                if label == 0 || label > 63 || last == b'-' {
                    return Err(NoHost);
                }
                if out.len() < name.len() {
                    out.push('.');
                    (label, digits) = (0, true);
                }
            }
            b'-' if label == 0 => return Err(NoHost),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                out.push(char::from(b.to_ascii_lowercase()));
                digits &= b.is_ascii_digit();
                label += 1;
            }
            _ => return Err(NoHost),
        }
        last = b;
    }
    // A last label of digits alone is an address, or to some readers another address (WHATWG URL §3.5).
    if digits && out.parse::<Ipv4Addr>().is_err() {
        return Err(NoHost);
    }
    Ok(port)
}

/// No digits at all are no port (RFC 3986 §3.2.3).
fn port(digits: &[u8]) -> Result<Option<u16>, NoHost> {
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NoHost);
    }
    std::str::from_utf8(digits).ok().and_then(|t| t.parse().ok()).map(Some).ok_or(NoHost)
}

/// The canonical host alone.
pub fn host(raw: &[u8]) -> Result<String, NoHost> {
    let mut out = String::new();
    host_into(raw, &mut out).map(|_| out)
}
