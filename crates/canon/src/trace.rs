//! W3C Trace Context, Level 1: which trace a request says that it is part of. Strict, as the recommendation asks: what is not
//! in its form is none, and never a part of one. Reading only; who is believed in it is not decided here.

/// What `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// Whoever sent it keeps its own span.
    pub sampled: bool,
}

/// The length of version 00, and of what every later one begins with (§3.2.2).
pub const TRACEPARENT_BYTES: usize = 55;

/// Reads the value of `traceparent` (§3.2). A later version than ours is read as far as ours goes (§4.3).
pub fn traceparent(value: &[u8]) -> Option<Parent> {
    let (ours, more) = value.split_at_checked(TRACEPARENT_BYTES)?;
    let dashes = [ours.get(2), ours.get(35), ours.get(52)];
    if dashes.iter().any(|d| *d != Some(&b'-')) {
        return None;
    }
    let version: [u8; 1] = hex(ours.get(..2)?)?;
    match (version, more.first()) {
        ([0], None) | ([1..=0xfe], None | Some(b'-')) => {}
        _ => return None,
    }
    let trace: [u8; 16] = hex(ours.get(3..35)?)?;
    let span: [u8; 8] = hex(ours.get(36..52)?)?;
    let [flags]: [u8; 1] = hex(ours.get(53..)?)?;
    (trace != [0; 16] && span != [0; 8]).then_some(Parent { trace, span, sampled: flags & 1 == 1 })
}

/// Digits in lower case alone (§3.2.1).
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    if digits.len() != N * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(out)
}

/// Writes what goes on: version 00, with the span that it goes on from.
pub fn write_traceparent(out: &mut Vec<u8>, it: &Parent) {
    out.extend_from_slice(b"00-");
    write_hex(out, &it.trace);
    out.push(b'-');
    write_hex(out, &it.span);
    out.extend_from_slice(if it.sampled { b"-01" } else { b"-00" });
}

/// In lower case.
pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
}

/// Most members of a list (§3.3.1.1).
const MEMBERS: usize = 32;
/// As long as a list may be that goes on; 512 must (§3.3.1.5).
pub const TRACESTATE_BYTES: usize = 4096;

/// Reads the values of `tracestate`, one after the other as one list (§3.3.1); `into` has what goes on. False where they are none:
/// then nothing goes on.
pub fn tracestate<'a>(values: impl IntoIterator<Item = &'a [u8]>, into: &mut String) -> bool {
    into.clear();
    let fine = members(values, into);
    if !fine {
        into.clear();
    }
    fine
}

fn members<'a>(values: impl IntoIterator<Item = &'a [u8]>, into: &mut String) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in values.into_iter().flat_map(|v| v.split(|b| *b == b',')).map(trimmed) {
        if member.is_empty() {
            continue;
        }
        let Some(at) = memchr(member) else { return false };
        let (key, value) = (member.get(..at).unwrap_or_default(), member.get(at + 1..).unwrap_or_default());
        // The same key twice is no list (§3.3.1.3).
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MEMBERS {
            return false;
        }
        keys.push(key);
        if !into.is_empty() {
            into.push(',');
        }
        into.extend(member.iter().map(|b| char::from(*b)));
        if into.len() > TRACESTATE_BYTES {
            return false;
        }
    }
    true
}

fn memchr(member: &[u8]) -> Option<usize> {
    member.iter().position(|b| *b == b'=')
}

fn trimmed(member: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = member.iter().position(|b| !is_space(b)).unwrap_or(member.len());
    let end = member.iter().rposition(|b| !is_space(b)).map_or(start, |at| at + 1);
    member.get(start..end).unwrap_or_default()
}

/// §3.3.1.3.1: a name of its own, or one within a tenant of a system.
fn is_key(key: &[u8]) -> bool {
    let may = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let named = |part: &[u8], most: usize, digit_first: bool| {
        let first = part.first().is_some_and(|b| b.is_ascii_lowercase() || (digit_first && b.is_ascii_digit()));
        first && part.len() <= most && part.iter().all(may)
    };
    match key.iter().position(|b| *b == b'@') {
        None => named(key, 256, false),
        Some(at) => {
            named(key.get(..at).unwrap_or_default(), 241, true)
                && named(key.get(at + 1..).unwrap_or_default(), 14, false)
        }
    }
}

/// §3.3.1.3.2.
fn is_value(value: &[u8]) -> bool {
    let may = |b: &u8| matches!(b, 0x20..=0x7e) && !matches!(b, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(may) && value.last() != Some(&b' ')
}
