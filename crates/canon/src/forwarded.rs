//! Who a request comes from, as proxies say it: X-Forwarded-For and RFC 7239. Only what a trusted peer says is asked
//! for here, and of that only up to the first hop that nobody trusted vouches for (X01). Read next: `told.rs`.

use crate::cidr::{Cidr, unmapped};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Appends the addresses of one X-Forwarded-For field to `out`; false if any entry is no address.
pub fn addresses(value: &[u8], out: &mut Vec<IpAddr>) -> bool {
    for entry in value.split(|b| *b == b',') {
        let Some(ip) = address(trimmed(entry)) else { return false };
        out.push(unmapped(ip));
    }
    true
}

/// Without blanks and tabs, and nothing else, around it.
fn trimmed(mut entry: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = entry {
        entry = rest;
    }
    entry
}

pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = dotted(text) {
        return Some(IpAddr::V4(v4));
    }
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if let Ok(with_port) = text.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}

/// What nearly every entry is, read without the general parser; `None` for all that is not surely one.
fn dotted(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut which, mut digits, mut value) = ([0u8; 4], 0, 0, 0u16);
    for b in text {
        if b.is_ascii_digit() {
            // No zero in front, which some read as octal.
            if digits == 3 || (digits > 0 && value == 0) {
                return None;
            }
            (value, digits) = (value * 10 + u16::from(b - b'0'), digits + 1);
        } else if *b == b'.' && digits > 0 && which < 3 {
            *octets.get_mut(which)? = u8::try_from(value).ok()?;
            (which, digits, value) = (which + 1, 0, 0);
        } else {
            return None;
        }
    }
    if which != 3 || digits == 0 {
        return None;
    }
    octets[3] = u8::try_from(value).ok()?;
    Some(Ipv4Addr::from(octets))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_numbers_are_read_as_the_general_parser_reads_them() {
        let octets = [
            "0", "1", "9", "10", "99", "100", "127", "199", "255", "256", "300", "999", "1000", "", "00", "01", "-1",
            " 1", "1a",
        ];
        for a in octets {
            for b in octets {
                for c in octets {
                    for text in [format!("{a}.{b}.{c}.7"), format!("7.{c}.{b}.{a}"), format!("{a}.{b}.{c}")] {
                        assert_eq!(dotted(text.as_bytes()), text.parse().ok(), "{text}");
                    }
                }
            }
        }
        for text in ["", ".", "1.2.3.4.", ".1.2.3.4", "1.2.3.4.5", "1..2.3", "1.2.3.4:80", "::1"] {
            assert_eq!(dotted(text.as_bytes()), None, "{text}");
        }
    }
}
