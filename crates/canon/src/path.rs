//! The target of a request (RFC 9112 §3.2) and the one form of its path (RFC 3986 §6.2.2): what is matched is what is
//! authorised, logged and forwarded. Dot segments, empty segments, encoded separators and double encodings are refused
//! rather than resolved, because backends differ in how they would read them (R01).

/// Why a target or path has no unambiguous form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPath {
    Form,
    Byte,
    Percent,
    /// `%2f`, `%5c`, `%00` or another encoded control.
    EncodedSeparator,
    DoubleEncoding,
    DotSegment,
    EmptySegment,
    Overlong,
}

/// A target in its parts, not yet canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Of an absolute-form target; it wins over Host.
    pub authority: Option<&'a [u8]>,
    /// Empty only for `*`.
    pub path: &'a [u8],
    /// Without its question mark.
    pub query: Option<&'a [u8]>,
}

/// Splits a target: origin-form, absolute-form with http or https, or `*`. Authority-form (CONNECT) is refused.
pub fn target(raw: &[u8]) -> Result<Target<'_>, BadPath> {
    if raw == b"*" {
        return Ok(Target { authority: None, path: b"", query: None });
    }
    let (authority, rest) = if raw.first() == Some(&b'/') {
        (None, raw)
    } else {
        let after = scheme(raw).ok_or(BadPath::Form)?;
        let end = after.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end).ok_or(BadPath::Form)?;
        if authority.is_empty() || authority.contains(&b'@') {
            return Err(BadPath::Form);
        }
        (Some(authority), rest)
    };
    let (path, query) = match rest.iter().position(|b| *b == b'?') {
        None => (rest, None),
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
    };
    if query.is_some_and(|q| !q.iter().all(|b| matches!(b, 0x21..=0x7e) && *b != b'#')) {
        return Err(BadPath::Byte);
    }
    Ok(Target { authority, path: if path.is_empty() { b"/" } else { path }, query })
}

fn scheme(raw: &[u8]) -> Option<&[u8]> {
    [&b"https://"[..], b"http://"].iter().find_map(|s| {
        let head = raw.get(..s.len())?;
        head.eq_ignore_ascii_case(s).then(|| raw.get(s.len()..)).flatten()
    })
}

const PLAIN: u8 = 0;
const SLASH: u8 = 1;
const PERCENT: u8 = 2;
const DOT: u8 = 3;
const BAD: u8 = 4;

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
    table
};

/// Appends the canonical form of `raw` to `out`.
///
/// Percent-encoded unreserved characters are decoded, other encodings get upper-case digits, all else stays.
pub fn path_into(raw: &[u8], out: &mut String) -> Result<(), BadPath> {
    if raw.first() != Some(&b'/') {
        return Err(BadPath::Form);
    }
    out.reserve(raw.len());
    let start = out.len();
    let (mut dots, mut percents) = (false, false);
    let mut at = 0;
    while let Some(&b) = raw.get(at) {
        match KIND.get(usize::from(b)).copied().unwrap_or(BAD) {
            PLAIN => out.push(char::from(b)),
            SLASH => {
                if at > 0 && out.ends_with('/') {
                    return Err(BadPath::EmptySegment);
                }
                out.push('/');
            }
            DOT => {
                dots = true;
                out.push('.');
            }
            PERCENT => {
                let byte = encoded(raw, at).ok_or(BadPath::Percent)?;
                judge(raw, at, byte)?;
                percents |= byte == b'%';
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    dots |= byte == b'.';
                    out.push(char::from(byte));
                } else {
                    const HEX: &[u8; 16] = b"0123456789ABCDEF";
                    let digit = |n: u8| char::from(HEX.get(usize::from(n)).copied().unwrap_or(b'0'));
                    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
                at += 2;
            }
            _ => return Err(BadPath::Byte),
        }
        at += 1;
    }
    let written = out.get(start..).unwrap_or_default();
    if dots && written.split('/').any(is_dots) {
        return Err(BadPath::DotSegment);
    }
    if percents && encodes_twice(written) {
        return Err(BadPath::DoubleEncoding);
    }
    Ok(())
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

fn hex(b: Option<&u8>) -> Option<u8> {
    char::from(*b?).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn encoded(raw: &[u8], at: usize) -> Option<u8> {
    Some(hex(raw.get(at + 1))? << 4 | hex(raw.get(at + 2))?)
}

/// Refuses what one reader would decode and another would not.
fn judge(raw: &[u8], at: usize, byte: u8) -> Result<(), BadPath> {
    let next = || if raw.get(at + 3) == Some(&b'%') { encoded(raw, at + 3) } else { None };
    match byte {
        0..=0x1f | 0x7f | b'/' | b'\\' => Err(BadPath::EncodedSeparator),
        // Overlong UTF-8, which some decoders read as ASCII.
        0xc0 | 0xc1 | 0xf5..=0xff => Err(BadPath::Overlong),
        0xe0 if next().is_some_and(|n| n < 0xa0) => Err(BadPath::Overlong),
        0xf0 if next().is_some_and(|n| n < 0x90) => Err(BadPath::Overlong),
        _ => Ok(()),
    }
}

/// True if no reader, however lenient, takes `path` for another: it has no encoding, no parameter, no capital, and no
/// segment that ends in a dot.
pub fn reads_one_way(path: &str) -> bool {
    let mut last = b'/';
    let plain = path.bytes().fold(true, |plain, b| {
        let odd = matches!(b, b'A'..=b'Z' | b'%' | b';') | ((last == b'.') & (b == b'/'));
        last = b;
        plain & !odd
    });
    plain && last != b'.'
}

/// Writes the loosest reading of a canonical path to `out`: decoded until nothing is left to decode, in lower case,
/// without parameters and what trails a segment, dot segments resolved. It begins and ends with a slash.
///
/// No backend reads all of that; some read each of it (R01). It is never forwarded, only compared.
pub fn loosest_into(path: &str, out: &mut Vec<u8>) {
    out.clear();
    out.push(b'/');
    for b in path.bytes() {
        out.push(b.to_ascii_lowercase());
        // Again and again: what was decoded may end an encoding.
        while let [.., b'%', a, b] = out.as_slice()
            && let Some(byte) = hex(Some(a)).zip(hex(Some(b))).map(|(a, b)| a << 4 | b)
        {
            out.truncate(out.len() - 3);
            out.push(byte.to_ascii_lowercase());
        }
        match out.last() {
            Some(b'/' | b'\\') => {
                out.pop();
                close_segment(out);
            }
            Some(b'?' | b'#' | 0) => {
                out.pop();
                break;
            }
            _ => {}
        }
    }
    close_segment(out);
}

/// Judges the segment that `out` ends with, and leaves a slash at the end.
fn close_segment(out: &mut Vec<u8>) {
    let last_slash = |out: &[u8]| out.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let start = last_slash(out);
    let segment = out.get(start..).unwrap_or_default();
    let segment = segment.split(|b| *b == b';').next().unwrap_or_default();
    match segment {
        b"" | b"." => out.truncate(start),
        b".." => {
            out.truncate(start.saturating_sub(1));
            out.truncate(last_slash(out).max(1));
        }
        _ => {
            let trailing = segment.iter().rev().take_while(|b| matches!(b, b'.' | b' ')).count();
            let end = start + segment.len() - if trailing < segment.len() { trailing } else { 0 };
            out.truncate(end);
            out.push(b'/');
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
}

/// The canonical path alone.
pub fn path(raw: &[u8]) -> Result<String, BadPath> {
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
