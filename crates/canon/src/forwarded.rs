//! Who a request comes from, as proxies say it: X-Forwarded-For and RFC 7239. Only what a trusted peer says is asked
//! for here, and of that only up to the first hop that nobody trusted vouches for (X01). Read next: `told.rs`.

use crate::cidr::{Cidr, unmapped};
use std::net::{IpAddr, SocketAddr};

/// Appends the addresses of one X-Forwarded-For field to `out`; false if any entry is no address.
pub fn addresses(value: &[u8], out: &mut Vec<IpAddr>) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    for entry in text.split(',') {
        let Some(ip) = address(entry.trim_matches([' ', '\t'])) else { return false };
        out.push(unmapped(ip));
    }
    true
}

pub(crate) fn address(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}

/// Where the chain becomes trustworthy: the index of the rightmost address that is not a trusted proxy.
///
/// If all are trusted, the first. `None` for an empty chain.
pub fn client_in(chain: &[IpAddr], trusted: &[Cidr]) -> Option<usize> {
    let unknown = chain.iter().rposition(|ip| !trusted.iter().any(|net| net.contains(*ip)));
    unknown.or(if chain.is_empty() { None } else { Some(0) })
}

/// Writes a node as RFC 7239 §6 spells it.
pub fn write_node(out: &mut Vec<u8>, ip: IpAddr) {
    use std::io::Write;
    let _ = match unmapped(ip) {
        IpAddr::V4(v4) => write!(out, "{v4}"),
        IpAddr::V6(v6) => write!(out, "\"[{v6}]\""),
    };
}
