//! The target of a request (RFC 9112 §3.2) and the one form of its path (RFC 3986 §6.2.2), by which it is matched. The
//! target itself goes to the backend byte for byte, so a path that backends read in more ways than one is told as such
//! (R01). Read next: `readings.rs`, which knows the ways.

use crate::readings;

/// Why a target is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    Form,
    /// A byte that stands in no target, or bytes that are no UTF-8.
    Byte,
    Percent,
    /// `%00` or another encoded control.
    Control,
    /// Some reader would leave the root by its dot segments.
    LeavesRoot,
}

/// Why not every backend reads a path in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd {
    /// `%2f` or `%5c`.
    EncodedSeparator,
    DoubleEncoding,
    DotSegment,
    EmptySegment,
    /// An encoding that some decoders take for another character.
    Overlong,
}

/// A target in its parts, not yet canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Of an absolute-form target; it wins over Host.
    pub authority: Option<&'a [u8]>,
    /// Empty only for `*`.
    pub path: &'a str,
    /// Without its question mark.
    pub query: Option<&'a str>,
}

/// Splits a target: origin-form, absolute-form with http or https, or `*`. Authority-form (CONNECT) is refused.
pub fn target(raw: &[u8]) -> Result<Target<'_>, BadPath> {
    if raw == b"*" {
        return Ok(Target { authority: None, path: "", query: None });
    }
    let raw = std::str::from_utf8(raw).map_err(|_| BadPath::Byte)?;
    let (authority, rest) = if raw.starts_with('/') {
        (None, raw)
    } else {
        let after = scheme(raw).ok_or(BadPath::Form)?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end).ok_or(BadPath::Form)?;
        if authority.is_empty() || authority.contains('@') {
            return Err(BadPath::Form);
        }
        (Some(authority.as_bytes()), rest)
    };
    let (path, query) = match rest.bytes().position(|b| b == b'?') {
        None => (rest, None),
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
    };
    let fine = |q: &str| q.bytes().all(|b| matches!(b, 0x21..=0x7e | 0x80..) && b != b'#');
    if query.is_some_and(|q| !fine(q)) {
        return Err(BadPath::Byte);
    }
    Ok(Target { authority, path: if path.is_empty() { "/" } else { path }, query })
}

fn scheme(raw: &str) -> Option<&str> {
    ["https://", "http://"].iter().find_map(|s| {
        let head = raw.get(..s.len())?;
        head.eq_ignore_ascii_case(s).then(|| raw.get(s.len()..)).flatten()
    })
}

const PLAIN: u8 = 0;
const SLASH: u8 = 1;
const PERCENT: u8 = 2;
const DOT: u8 = 3;
const BAD: u8 = 4;
/// Of a character beyond ASCII.
const HIGH: u8 = 5;

/// What each byte of a path is.
const KIND: [u8; 256] = {
    let mut table = [BAD; 256];
    let mut b = 0x21;
    while b < 0x7f {
        table[b] = PLAIN;
        b += 1;
    }
    table[b'/' as usize] = SLASH;
    table[b'%' as usize] = PERCENT;
    table[b'.' as usize] = DOT;
    let bad = *b"\\#?\"<>`";
    let mut i = 0;
    while i < bad.len() {
        table[bad[i] as usize] = BAD;
        i += 1;
    }
    let mut b = 0x80;
    while b < 256 {
        table[b] = HIGH;
        b += 1;
    }
    table
};

/// Appends the canonical form of `raw` to `out`, and tells whether backends differ in how they would read it.
///
/// Percent-encoded unreserved characters are decoded, other encodings get upper-case digits, characters beyond ASCII are
/// encoded, all else stays.
///
/// Refuses: what is no path, has a control, or leaves the root to any reader.
pub fn form_into(path: &str, out: &mut String) -> Result<Option<Odd>, BadPath> {
    let raw = path.as_bytes();
    if raw.first() != Some(&b'/') {
        return Err(BadPath::Form);
    }
    if is_simple(raw) {
        out.push_str(path);
        return Ok(None);
    }
    out.reserve(raw.len());
    let start = out.len();
    let (mut dots, mut percents, mut odd) = (false, false, None);
    let mut at = 0;
    while let Some(&b) = raw.get(at) {
        match KIND.get(usize::from(b)).copied().unwrap_or(BAD) {
            PLAIN => out.push(char::from(b)),
            SLASH => {
                if at > 0 && out.ends_with('/') {
                    odd = odd.or(Some(Odd::EmptySegment));
                }
                out.push('/');
            }
            DOT => {
                dots = true;
                out.push('.');
            }
            PERCENT => {
                let byte = encoded(raw, at).ok_or(BadPath::Percent)?;
                odd = odd.or(judge(raw, at, byte)?);
                percents |= byte == b'%';
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    dots |= byte == b'.';
                    out.push(char::from(byte));
                } else {
                    push_encoded(out, byte);
                }
                at += 2;
            }
            HIGH => push_encoded(out, b),
            _ => return Err(BadPath::Byte),
        }
        at += 1;
    }
    let written = out.get(start..).unwrap_or_default();
    if dots && written.split('/').any(is_dots) {
        odd = odd.or(Some(Odd::DotSegment));
    }
    if percents && encodes_twice(written) {
        odd = odd.or(Some(Odd::DoubleEncoding));
    }
    if odd.is_some() {
        readings::judge(raw)?;
    }
    Ok(odd)
}

/// Nothing in it is written in another way than in the canonical form, or read in another.
fn is_simple(raw: &[u8]) -> bool {
    let mut last = PLAIN;
    raw.iter().fold(true, |simple, b| {
        let kind = KIND.get(usize::from(*b)).copied().unwrap_or(BAD);
        let fine = (kind == PLAIN) | ((kind == SLASH) & (last != SLASH));
        last = kind;
        simple & fine
    })
}

/// A path that every backend reads in one way, in its canonical form, appended to `out`.
pub fn path_into(raw: &[u8], out: &mut String) -> Result<(), NotStrict> {
    let path = std::str::from_utf8(raw).map_err(|_| NotStrict::Bad(BadPath::Byte))?;
    match form_into(path, out) {
        Ok(None) => Ok(()),
        Ok(Some(odd)) => Err(NotStrict::Odd(odd)),
        Err(bad) => Err(NotStrict::Bad(bad)),
    }
}

/// Why a path is not one that every backend reads in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStrict {
    Bad(BadPath),
    Odd(Odd),
}

pub(crate) fn push_encoded(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| char::from(HEX.get(usize::from(n)).copied().unwrap_or(b'0'));
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// Dots alone, or before what some reader takes for the segment's end: parameters, or a query or fragment, encoded once
/// or more.
fn is_dots(segment: &str) -> bool {
    let rest = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.'));
    rest.is_some_and(|r| {
        r.is_empty() || r.starts_with(';') || ["%3B", "%3F", "%23", "%25"].iter().any(|end| r.starts_with(end))
    })
}

/// An encoded percent sign makes another encoding of what follows it. Judged by the canonical form, in which the digits
/// of `%25%32%66` stand as they are.
fn encodes_twice(written: &str) -> bool {
    written.match_indices("%25").any(|(at, sign)| {
        let inner = written.as_bytes().get(at + sign.len()..).unwrap_or_default();
        let byte = hex(inner.first()).zip(hex(inner.get(1))).map(|(a, b)| a << 4 | b);
        matches!(byte, Some(0..=0x1f | b'.' | b'/' | b'\\' | b'%' | b';' | 0x7f))
    })
}

pub(crate) fn hex(b: Option<&u8>) -> Option<u8> {
    char::from(*b?).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

pub(crate) fn encoded(raw: &[u8], at: usize) -> Option<u8> {
    Some(hex(raw.get(at + 1))? << 4 | hex(raw.get(at + 2))?)
}

/// What one reader would decode and another would not.
fn judge(raw: &[u8], at: usize, byte: u8) -> Result<Option<Odd>, BadPath> {
    let next = || if raw.get(at + 3) == Some(&b'%') { encoded(raw, at + 3) } else { None };
    match byte {
        0..=0x1f | 0x7f => Err(BadPath::Control),
        b'/' | b'\\' => Ok(Some(Odd::EncodedSeparator)),
        // Overlong UTF-8, which some decoders read as ASCII.
        0xc0 | 0xc1 | 0xf5..=0xff => Ok(Some(Odd::Overlong)),
        0xe0 if next().is_some_and(|n| n < 0xa0) => Ok(Some(Odd::Overlong)),
        0xf0 if next().is_some_and(|n| n < 0x90) => Ok(Some(Odd::Overlong)),
        _ => Ok(None),
    }
}

/// True if no reader, however lenient, takes a canonical path for another: it has no encoding, no parameter, no capital,
/// no empty segment, and no segment that ends in a dot.
pub fn reads_one_way(path: &str) -> bool {
    let mut last = b'-';
    let plain = path.bytes().fold(true, |plain, b| {
        let odd = matches!(b, b'A'..=b'Z' | b'%' | b';') | (matches!(last, b'.' | b'/') & (b == b'/'));
        last = b;
        plain & !odd
    });
    plain && last != b'.'
}

/// As [`path_into`], alone.
pub fn path(raw: &[u8]) -> Result<String, NotStrict> {
    let mut out = String::new();
    path_into(raw, &mut out).map(|()| out)
}

/// True if `prefix` is `path` or ends at one of its segments: `/v2` has `/v2` and `/v2/x`, not `/v2x` (R02).
pub fn has_prefix(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}
