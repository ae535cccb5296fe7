//! What a field may be (RFC 9113 §8.2, §8.3), each by itself; what a message must have stands in `message.rs`. A name that
//! the static table has is known by its place there.

use crate::fault::Fault;
use crate::hpack::statics::at;

/// The one pseudo-field that the static table does not have (RFC 8441 §4).
pub(crate) const PROTOCOL: &[u8] = b":protocol";

const NAME: u8 = 1;
const VALUE: u8 = 2;
const METHOD: u8 = 4;
const SCHEME: u8 = 8;
const AUTHORITY: u8 = 16;
const PATH: u8 = 32;
const QUERY: u8 = 64;

const fn with(mut table: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= class;
        i += 1;
    }
    table
}

/// RFC 9110 §5.6.2 and §5.5; RFC 3986 §3.1, §3.2 and §3.3. Of a path and a query some more that are seen, as in HTTP/1.1, and
/// other scripts than Latin; never a `#`, which no target has (RFC 9113 §8.3.1).
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        if b >= 0x20 && b != 0x7f || b == 0x09 {
            table[b] |= VALUE;
        }
        if b >= 0x80 {
            table[b] |= PATH | QUERY;
        }
        b += 1;
    }
    let lower = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let upper = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    table = with(table, lower, NAME | METHOD | SCHEME | AUTHORITY | PATH | QUERY);
    table = with(table, upper, METHOD | SCHEME | AUTHORITY | PATH | QUERY);
    table = with(table, b"!#$%&'*+-.^_`|~", NAME | METHOD);
    table = with(table, b"+-.", SCHEME);
    table = with(table, b"-._~!$&'()*+,;=", AUTHORITY);
    table = with(table, b"!$%&'()*+,-./:;=@[\\]^_|~\"{}", PATH);
    with(table, b"!$%&'()*+,-./:;=?@[\\]^_`{|}~", QUERY)
};

#[inline]
fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|b| CLASS[usize::from(*b)] & class != 0)
}

fn only(bytes: &[u8], class: u8) -> bool {
    !bytes.is_empty() && all(bytes, class)
}

#[cfg(test)]
thread_local! {
    /// Bytes of names that were judged.
    pub(crate) static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A name as HTTP/2 has it: no pseudo-field's.
pub(crate) fn is_name(name: &[u8]) -> bool {
    #[cfg(test)]
    LOOKED_AT.set(LOOKED_AT.get() + name.len());
    only(name, NAME)
}

#[inline]
pub(crate) fn is_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    all(value, VALUE) && !blank(value.first()) && !blank(value.last())
}

/// A name or an address, and perhaps a port; no user (RFC 9113 §8.3.1), and nothing that is encoded (RFC 9110 §4.2.3).
fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(at) = rest.iter().position(|b| *b == b']') else { return false };
            let (address, behind) = rest.split_at(at);
            if !address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
                return false;
            }
            (address, behind.get(1..).unwrap_or_default())
        }
        _ => {
            let at = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
            let (name, port) = authority.split_at(at);
            if !all(name, AUTHORITY) {
                return false;
            }
            (name, port)
        }
    };
    let is_port = matches!(port, [] | [b':', ..]) && port.iter().skip(1).all(u8::is_ascii_digit);
    !host.is_empty() && is_port
}

fn is_path(path: &[u8]) -> bool {
    let at = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    let (before, query) = path.split_at(at);
    let is_target = matches!(before, [b'/', ..] | b"*");
    is_target && all(before, PATH) && all(query, QUERY) && (path.is_ascii() || std::str::from_utf8(path).is_ok())
}

/// A name, with a version or without (RFC 9110 §7.8).
fn is_protocol(value: &[u8]) -> bool {
    value.splitn(2, |b| *b == b'/').all(|it| only(it, METHOD))
}

/// What is wrong with a field, wherever it stands. `place`: its name's first one in the static table, or 0.
pub(crate) fn wrong(place: u8, name: &[u8], value: &[u8]) -> Option<Fault> {
    wrong_name(place, name).or_else(|| wrong_value(place, name, value))
}

fn wrong_name(place: u8, name: &[u8]) -> Option<Fault> {
    match place {
        1.. => None,
        0 if name == PROTOCOL => None,
        0 if name.first() == Some(&b':') => Some(Fault::PseudoField),
        0 => (!is_name(name)).then_some(Fault::FieldName),
    }
}

/// As [`wrong`], of a name that was looked at before: who names a long one again and again pays a byte or two each time.
pub(crate) fn wrong_again(before: Option<Fault>, place: u8, name: &[u8], value: &[u8]) -> Option<Fault> {
    match before {
        Some(Fault::PseudoField | Fault::FieldName) => before,
        _ => wrong_value(place, name, value),
    }
}

fn wrong_value(place: u8, name: &[u8], value: &[u8]) -> Option<Fault> {
    let target = |fine: bool| (!fine).then_some(Fault::Target);
    match place {
        at::AUTHORITY => target(is_authority(value)),
        at::METHOD => target(only(value, METHOD)),
        at::PATH => target(is_path(value)),
        at::SCHEME => target(only(value, SCHEME) && value.first().is_some_and(u8::is_ascii_alphabetic)),
        at::STATUS => status(value).is_none().then_some(Fault::Status),
        at::TRANSFER_ENCODING => Some(Fault::ConnectionField),
        0 if name == PROTOCOL => target(is_protocol(value)),
        _ if !is_value(value) => Some(Fault::FieldValue),
        0 => of_a_connection(name, value).then_some(Fault::ConnectionField),
        _ => None,
    }
}

/// Of those that the static table has not (RFC 9113 §8.2.2).
fn of_a_connection(name: &[u8], value: &[u8]) -> bool {
    match name.len() {
        2 => name == b"te" && value != b"trailers",
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        16 => name == b"proxy-connection",
        _ => false,
    }
}

/// Three digits, of which the first says what it is (RFC 9110 §15).
pub(crate) fn status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *value else { return None };
    let digit = |b: u8| u16::from(b - b'0');
    Some(digit(a) * 100 + digit(b) * 10 + digit(c))
}

/// A length as both codecs take it: up to 18 digits.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}
