//! A line in the combined format, byte for byte as nginx writes it:
//! `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`.
//!
//! The time is UTC, and no query is in it. What is no request, such as a connection that passed through, has `-` for one, and
//! `000` where nobody was answered a status, as nginx writes it. Read next: `json.rs`, whose dates it has.

use crate::json::{FIELD_BYTES, civil, padded};
use crate::line::{Line, OfConn};
use everyhop_http1::write::number;
use std::cell::RefCell;

/// What it keeps of a request, in the order of [`write()`].
pub(crate) const HEADERS: &[&str] = &["referer", "user-agent"];

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

pub(crate) fn write(line: &Line<'_>, out: &mut Vec<u8>, micros: u64) {
    let client = line.conn.written().value(OfConn::Client);
    out.extend_from_slice(client.get(1..client.len().saturating_sub(1)).unwrap_or_default());
    match line.user {
        None => out.extend_from_slice(b" - - ["),
        Some(user) => {
            out.extend_from_slice(b" - ");
            escaped(out, user.as_bytes());
            out.extend_from_slice(b" [");
        }
    }
    time(out, micros / 1_000_000);
    out.extend_from_slice(b"] \"");
    request(line, out);
    out.extend_from_slice(b"\" ");
    padded(out, u64::from(line.status), 3);
    out.push(b' ');
    number(out, line.bytes_out);
    for index in 0..HEADERS.len() {
        out.extend_from_slice(b" \"");
        match line.kept.and_then(|kept| kept.get(index)) {
            Some(value) => escaped(out, value),
            None => out.push(b'-'),
        }
        out.push(b'"');
    }
}

/// As far as it is known of one that is refused.
fn request(line: &Line<'_>, out: &mut Vec<u8>) {
    match (line.method, line.path) {
        (Some(method), path) => {
            escaped(out, method);
            out.push(b' ');
            escaped(out, path.unwrap_or(b"-"));
            let version: &[u8] = if line.protocol == Some("h2") { b" HTTP/2.0" } else { b" HTTP/1.1" };
            out.extend_from_slice(version);
        }
        (None, _) => out.push(b'-'),
    }
}

/// As nginx escapes a variable: `"`, `\` and what is not printable ASCII as `\xXX`. Texts without end are cut and marked.
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |digit: u8| HEX.get(usize::from(digit & 15)).copied().unwrap_or(b'0');
    let mut left = value.get(..value.len().min(FIELD_BYTES)).unwrap_or_default();
    while let Some(at) = left.iter().position(|b| !matches!(b, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~')) {
        let (plain, rest) = left.split_at(at);
        out.extend_from_slice(plain);
        let Some((&b, rest)) = rest.split_first() else { break };
        out.extend_from_slice(&[b'\\', b'x', hex(b >> 4), hex(b)]);
        left = rest;
    }
    out.extend_from_slice(left);
    if value.len() > FIELD_BYTES {
        out.extend_from_slice(b"...");
    }
}

thread_local! {
    /// The second that was last written.
    static SECOND: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// `10/Oct/2000:13:55:36 +0000`.
fn time(out: &mut Vec<u8>, secs: u64) {
    SECOND.with_borrow_mut(|(at, text)| {
        if *at != secs {
            *at = secs;
            text.clear();
            second(text, secs);
        }
        out.extend_from_slice(text);
    });
}

fn second(out: &mut Vec<u8>, secs: u64) {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);
    padded(out, day, 2);
    out.push(b'/');
    let month = usize::try_from(month).ok().and_then(|m| MONTHS.get(m.wrapping_sub(1)));
    out.extend_from_slice(month.copied().unwrap_or_default());
    out.push(b'/');
    padded(out, year, 4);
    for value in [rest / 3600, rest / 60 % 60, rest % 60] {
        out.push(b':');
        padded(out, value, 2);
    }
    out.extend_from_slice(b" +0000");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &[u8]) -> String {
        let mut out = Vec::new();
        escaped(&mut out, value);
        String::from_utf8(out).expect("ASCII")
    }

    /// What nginx would write, read back.
    fn read(text: &str) -> Vec<u8> {
        let (mut out, mut left) = (Vec::new(), text.as_bytes());
        while let Some((&b, rest)) = left.split_first() {
            left = rest;
            if b == b'\\' {
                let digits = std::str::from_utf8(&left[1..3]).expect("two digits");
                assert_eq!((left[0], digits.to_ascii_uppercase().as_str()), (b'x', digits));
                out.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
                left = &left[3..];
            } else {
                out.push(b);
            }
        }
        out
    }

    #[test]
    fn any_bytes_are_one_quoted_text_on_one_line_that_can_be_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        let all = written(&every);
        assert!(all.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"'));
        assert_eq!(read(&all), every);
        for b in 0..=255u8 {
            let plain = (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
            let expected = if plain { char::from(b).to_string() } else { format!("\\x{b:02X}") };
            assert_eq!(written(&[b]), expected);
        }
        assert_eq!(written(b"a\\x22b"), "a\\x5Cx22b", "what looks like an escape is escaped");
    }

    #[test]
    fn texts_without_end_are_cut_and_marked() {
        assert_eq!(written(&[b'a'; 5000]).len(), FIELD_BYTES + 3);
    }

    #[test]
    fn a_time_is_the_utc_second() {
        for (secs, expected) in [
            (971_186_136, "10/Oct/2000:13:55:36 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_798_761_599, "31/Dec/2026:23:59:59 +0000"),
        ] {
            let mut out = Vec::new();
            time(&mut out, secs);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
