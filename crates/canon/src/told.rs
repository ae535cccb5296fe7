//! What a proxy tells of the request that it took: by which scheme, for which host, at which port, under which id, and
//! RFC 7239's list of all hops. Only what a trusted peer tells is asked for here. What cannot be read, or is told in two
//! ways, is [`Said::Apart`] and never half believed: whoever takes the one would not know of the other.
//! Read next: `forwarded.rs`, where the addresses are.

use crate::cidr::{Cidr, unmapped};
use crate::forwarded::address;
use crate::host;
use std::net::IpAddr;

/// What all who were heard say of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Said<T> {
    #[default]
    Nothing,
    /// One cannot be read, or two say different things.
    Apart,
    This(T),
}

impl<T: PartialEq> Said<T> {
    /// Hears another one.
    pub fn also(&mut self, other: Said<T>) {
        *self = match (std::mem::take(self), other) {
            (Said::Nothing, it) | (it, Said::Nothing) => it,
            (Said::This(a), Said::This(b)) if a == b => Said::This(a),
            _ => Said::Apart,
        };
    }

    pub fn this(self) -> Option<T> {
        match self {
            Said::This(it) => Some(it),
            Said::Nothing | Said::Apart => None,
        }
    }
}

impl<T> From<Option<T>> for Said<T> {
    /// What was there and could not be read is no silence.
    fn from(read: Option<T>) -> Said<T> {
        read.map_or(Said::Apart, Said::This)
    }
}

/// A field's value, which proxies append to after a comma: all entries must say the same.
pub fn list<T: PartialEq>(value: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Said<T> {
    let mut said = Said::Nothing;
    for entry in value.split(|b| *b == b',') {
        said.also(read(entry.trim_ascii()).into());
    }
    said
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// RFC 9110 §4.2.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Some proxies name a WebSocket's own schemes.
pub fn scheme(text: &[u8]) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    if is("https") || is("wss") {
        Some(Scheme::Https)
    } else if is("http") || is("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

/// A host in its canonical form, and the port that stood behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub host: String,
    pub port: Option<u16>,
}

pub fn named(text: &[u8]) -> Option<Named> {
    let mut host = String::new();
    let port = host::host_into(text, &mut host).ok()?;
    (port != Some(0)).then_some(Named { host, port })
}

pub fn port(text: &[u8]) -> Option<u16> {
    let all_digits = (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let port = std::str::from_utf8(text).ok().filter(|_| all_digits)?.parse().ok()?;
    (port != 0).then_some(port)
}

/// Longer than every form in use (a trace's, a ULID's, a UUID's, two of them); it stands in each line of several logs.
const ID_BYTES: usize = 128;

/// What may stand in any log, shell or query as it is.
pub fn request_id(text: &[u8]) -> Option<String> {
    const FITS: [bool; 256] = letters_digits_and(b"-._~:/+=@");
    if !(1..=ID_BYTES).contains(&text.len()) || !text.iter().fold(true, |fine, b| fine & FITS[usize::from(*b)]) {
        return None;
    }
    std::str::from_utf8(text).ok().map(str::to_owned)
}

/// A set of bytes to look up in: to look for each byte in a list takes longer than all else of a field.
const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric();
        b += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Longer than any path that an application is mounted at.
const PREFIX_BYTES: usize = 512;

/// Where a proxy took a path's beginning away: a path in its canonical form, and never one that links could be led elsewhere by,
/// such as `//evil.test`.
pub fn prefix(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.len() <= PREFIX_BYTES)?;
    let canonical = text.starts_with('/') && crate::path::path(text.as_bytes()).is_ok_and(|it| it == text);
    (canonical && text.len() > 1 && !text.contains("//")).then_some(text)
}

/// A certificate as RFC 9440 §2.2 writes it: a byte sequence (RFC 8941 §3.3.5) with something in it. What it says is not read.
pub fn certificate(value: &[u8]) -> Option<&[u8]> {
    let inside = value.strip_prefix(b":")?.strip_suffix(b":")?;
    let digits = inside.strip_suffix(b"==").or_else(|| inside.strip_suffix(b"=")).unwrap_or(inside);
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    (!digits.is_empty() && inside.len() % 4 == 0 && digits.iter().all(is_digit)).then_some(value)
}

/// A list of them, in one field.
pub fn certificates(value: &[u8]) -> Option<&[u8]> {
    value.split(|b| *b == b',').all(|it| certificate(it.trim_ascii()).is_some()).then_some(value)
}

/// One element of Forwarded: what one proxy says of the request that it took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hop {
    /// Whom it took the request from, where it names an address (RFC 7239 §6 knows `unknown` and `_anything` too).
    pub from: Option<IpAddr>,
    pub scheme: Said<Scheme>,
    pub host: Said<Named>,
}

/// Appends the elements of one Forwarded field; false if it is not one (RFC 7239 §4), whole.
///
/// Read a little wider than the grammar, where that can be read in one way only: an address with its port or a host with
/// one without quotes, and white space around a semicolon, are what proxies send.
pub fn hops(value: &[u8], out: &mut Vec<Hop>) -> bool {
    /// RFC 9110 §5.6.2.
    const TOKEN: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");
    let mut rest = value;
    loop {
        let (mut hop, mut any, mut has_for) = (Hop::default(), false, false);
        loop {
            rest = rest.trim_ascii_start();
            let end = rest.iter().position(|b| !TOKEN[usize::from(*b)]);
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            if let Some(after) = after.strip_prefix(b"=").filter(|_| !name.is_empty()) {
                let Some((told, after)) = value_of(after) else { return false };
                let once = if name.eq_ignore_ascii_case(b"for") {
                    hop.from = told.and_then(address).map(unmapped);
                    !std::mem::replace(&mut has_for, true)
                } else if name.eq_ignore_ascii_case(b"proto") {
                    std::mem::replace(&mut hop.scheme, told.and_then(scheme).into()) == Said::Nothing
                } else if name.eq_ignore_ascii_case(b"host") {
                    std::mem::replace(&mut hop.host, told.and_then(named).into()) == Said::Nothing
                } else {
                    true
                };
                if !once {
                    return false;
                }
                (any, rest) = (true, after.trim_ascii_start());
            } else if !name.is_empty() {
                return false;
            }
            match rest.split_first() {
                Some((b';', after)) if any => rest = after,
                Some((b',', after)) if any => {
                    rest = after;
                    break;
                }
                None if any => {
                    out.push(hop);
                    return true;
                }
                _ => return false,
            }
        }
        out.push(hop);
    }
}

/// A value and what follows it: what was told, or `None` where a quoted string has a backslash, which nothing that is read
/// here needs.
#[allow(clippy::type_complexity)]
fn value_of(text: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let Some(inside) = text.strip_prefix(b"\"") else {
        let ends = |b: &u8| !b.is_ascii_graphic() || matches!(b, b',' | b';' | b'"' | b'\\');
        let (told, after) = text.split_at(text.iter().position(ends).unwrap_or(text.len()));
        let goes_on = after.first().is_none_or(|b| matches!(b, b',' | b';' | b' ' | b'\t'));
        return (goes_on && !told.is_empty()).then_some((Some(told), after));
    };
    let (mut escaped, mut plain) = (false, true);
    for (at, b) in inside.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => (escaped, plain) = (true, false),
            b'"' => {
                let (told, after) = inside.split_at_checked(at)?;
                return Some((plain.then_some(told), after.get(1..)?));
            }
            _ => {}
        }
    }
    None
}

/// Which element speaks of the client: the rightmost one that took its request from nobody who is trusted, or that does
/// not say from whom. What stands before it, the client may have written.
pub fn of_client(hops: &[Hop], trusted: &[Cidr]) -> Option<usize> {
    let is_trusted = |hop: &Hop| hop.from.is_some_and(|ip| trusted.iter().any(|net| net.contains(ip)));
    hops.iter().rposition(|hop| !is_trusted(hop)).or(if hops.is_empty() { None } else { Some(0) })
}
