//! JSON as a line has it, written byte by byte without a tree: texts, numbers, times, addresses. Whatever bytes a peer
//! sends, what comes out is one valid text on one line. Read next: `line.rs`.

use everyhop_http1::write::number;
use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Longest text of a peer's that gets into a field; the rest is cut and marked.
pub(crate) const FIELD_BYTES: usize = 1024;

/// A field whose value is text, or null.
pub fn field(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    bytes_field(out, name, value.map(str::as_bytes));
}

/// A word of our own, in which nothing needs escaping.
pub fn plain_field(out: &mut Vec<u8>, label: &[u8], value: Option<&'static str>) {
    out.extend_from_slice(label);
    match value {
        Some(word) => {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

pub fn bytes_field(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Some(v) => text(out, v),
        None => out.extend_from_slice(b"null"),
    }
}

/// A JSON string of any bytes. What is not printable ASCII is written `\u00XX` byte for byte, so that it is reversible.
pub fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let mut left = value.get(..value.len().min(FIELD_BYTES)).unwrap_or_default();
    // Nearly every text is plain from end to end: one look, one copy.
    while let Some(at) = escaped(left) {
        let (plain, rest) = left.split_at(at);
        out.extend_from_slice(plain);
        let Some((&b, rest)) = rest.split_first() else { break };
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b)]),
        }
        left = rest;
    }
    out.extend_from_slice(left);
    if value.len() > FIELD_BYTES {
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

/// Where the first byte is that cannot stand in a JSON string as it is; eight at a time.
fn escaped(text: &[u8]) -> Option<usize> {
    let (eights, _) = text.as_chunks::<8>();
    let from = eights.iter().position(|it| !is_plain(it)).unwrap_or(eights.len()) * 8;
    let within = text.get(from..)?.iter().position(|b| !matches!(b, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~'))?;
    Some(from + within)
}

/// True if each of eight bytes is printable ASCII, and neither a quotation mark nor a backslash.
fn is_plain(eight: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let w = u64::from_ne_bytes(*eight);
    // True if a byte of `w` is below `n`: only such a byte, below 0x80 itself, borrows from its own top bit.
    let below = |w: u64, n: u64| w.wrapping_sub(ONES * n) & !w & HIGH != 0;
    let is_there = |b: u8| below(w ^ (ONES * u64::from(b)), 1);
    let above = (w | w.wrapping_add(ONES)) & HIGH != 0;
    !(above || below(w, 0x20) || is_there(b'"') || is_there(b'\\'))
}

pub fn socket_address(out: &mut Vec<u8>, of: SocketAddr) {
    match of.ip() {
        IpAddr::V4(_) => {
            address(out, of.ip());
            out.push(b':');
            number(out, u64::from(of.port()));
        }
        IpAddr::V6(_) => _ = write!(out, "{of}"),
    }
}

/// As `Display` writes it, without its machinery for the common kind.
pub fn address(out: &mut Vec<u8>, of: IpAddr) {
    match of {
        IpAddr::V4(v4) => {
            // Room for the longest at once, and not a piece at a time.
            out.reserve("255.255.255.255".len());
            for (i, part) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(part));
            }
        }
        IpAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(digit & 15)).copied().unwrap_or(b'0')
}

/// Sixteen hexadecimal digits.
pub fn hex16(out: &mut Vec<u8>, id: u64) {
    let mut text = [0u8; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair.copy_from_slice(&[hex(byte >> 4), hex(byte)]);
    }
    out.extend_from_slice(&text);
}

thread_local! {
    /// The second that was last written, to its point.
    static SECOND: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// `2026-11-23T17:20:00.123456Z`.
pub fn stamp(out: &mut Vec<u8>, micros: u64) {
    let (secs, sub) = (micros / 1_000_000, micros % 1_000_000);
    SECOND.with_borrow_mut(|(at, text)| {
        if *at != secs {
            *at = secs;
            text.clear();
            second(text, secs);
        }
        out.extend_from_slice(text);
    });
    padded(out, sub, 6);
    out.push(b'Z');
}

fn second(out: &mut Vec<u8>, secs: u64) {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let (y, m, d) = civil(days);
    for (value, width, after) in [
        (y, 4, b'-'),
        (m, 2, b'-'),
        (d, 2, b'T'),
        (rest / 3600, 2, b':'),
        (rest / 60 % 60, 2, b':'),
        (rest % 60, 2, b'.'),
    ] {
        padded(out, value, width);
        out.push(after);
    }
}

/// Civil date from days since 1970, by Howard Hinnant's `civil_from_days`.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(m <= 2), m, doy - (153 * mp + 2) / 5 + 1)
}

/// The last `width` digits, at most 20.
pub fn padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    for digit in digits.iter_mut().rev().take(width) {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(digits.get(digits.len() - width.min(digits.len())..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_utc_time() {
        let mut out = Vec::new();
        stamp(&mut out, 1_795_449_600_000_042);
        assert_eq!(String::from_utf8_lossy(&out), "2026-11-23T16:00:00.000042Z");
        out.clear();
        stamp(&mut out, 951_782_400_000_000);
        assert_eq!(String::from_utf8_lossy(&out), "2000-02-29T00:00:00.000000Z");
    }

    /// G01.
    #[test]
    fn any_byte_in_a_field_gives_one_valid_json_string_that_can_be_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        text(&mut out, &every);
        let back: String = serde_json::from_slice(&out).expect("valid JSON");
        let back: Vec<u8> = back.chars().map(|c| u8::try_from(u32::from(c)).expect("one byte a character")).collect();
        assert_eq!(back, every);
        assert!(!out.contains(&b'\n'));
    }

    #[test]
    fn addresses_are_written_as_the_library_writes_them() {
        for text in ["0.0.0.0:1", "255.10.9.100:65535", "[::]:0", "[2001:db8::1]:443", "[fe80::1%3]:80"] {
            let one: SocketAddr = text.parse().expect("an address");
            let (mut whole, mut ip) = (Vec::new(), Vec::new());
            socket_address(&mut whole, one);
            address(&mut ip, one.ip());
            assert_eq!((whole, ip), (one.to_string().into_bytes(), one.ip().to_string().into_bytes()));
        }
    }

    #[test]
    fn each_byte_at_each_place_of_a_text_is_escaped_or_not_as_it_is_alone() {
        for b in 0..=255u8 {
            let mut alone = Vec::new();
            text(&mut alone, &[b]);
            let shown = alone.get(1..alone.len() - 1).unwrap_or_default();
            for len in 1..=20 {
                for at in 0..len {
                    let mut value = vec![b'v'; len];
                    value[at] = b;
                    let mut out = Vec::new();
                    text(&mut out, &value);
                    let wanted = [b"\"", &*vec![b'v'; at], shown, &*vec![b'v'; len - at - 1], b"\""].concat();
                    assert_eq!(out, wanted, "{b:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn a_long_field_is_cut_and_marked() {
        let mut out = Vec::new();
        text(&mut out, &[b'a'; 5000]);
        assert_eq!(out.len(), FIELD_BYTES + 5);
    }
}
