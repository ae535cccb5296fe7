//! What is left of a path when a prefix of it is taken away before it goes on. Nothing else of it changes: encodings stay as
//! they came. What any backend could take for the name of a server, or follow out of the root, is not left (R01, R02).
//! Read next: `readings.rs`.

use crate::path::{encoded, push_encoded};
use crate::readings;

/// What is left of `sent`, a path that has a canonical form, without `prefix`, which is canonical: `/` where nothing is.
/// `None` where it is not there at the boundary of a segment, or where what is left cannot go on: by itself if `alone`,
/// else behind another prefix.
pub fn without<'a>(sent: &'a str, prefix: &str, alone: bool) -> Option<&'a str> {
    let rest = behind(sent, prefix)?;
    let rest = if rest.is_empty() { "/" } else { rest };
    (rest.starts_with('/') && (is_plain(rest) || goes_on(rest, alone))).then_some(rest)
}

/// A path that goes on by itself: nobody who reads it takes it out of the root, or for the name of a server.
pub(crate) fn is_onward(path: &str) -> bool {
    path.starts_with('/') && (is_plain(path) || goes_on(path, true))
}

/// Nothing in it is read in another way by anybody who reads it as a path.
fn is_plain(rest: &str) -> bool {
    !rest.contains(['%', ';', '\\']) && !rest.contains("//") && !rest.contains("/.")
}

#[cold]
fn goes_on(rest: &str, alone: bool) -> bool {
    readings::each(rest.as_bytes(), &[], |read, _| readings::stays(read) && !(alone && read.starts_with(b"//")))
}

/// The part of `sent` behind what is `prefix` in its canonical form, whichever way it is written there.
fn behind<'a>(sent: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(rest) = sent.strip_prefix(prefix) {
        return Some(rest);
    }
    let raw = sent.as_bytes();
    let (mut at, mut left, mut unit) = (0, prefix, String::new());
    while !left.is_empty() {
        let byte = *raw.get(at)?;
        unit.clear();
        match (byte, encoded(raw, at)) {
            (b'%', Some(of)) if of.is_ascii_alphanumeric() || matches!(of, b'-' | b'.' | b'_' | b'~') => {
                unit.push(char::from(of));
            }
            (b'%', of) => push_encoded(&mut unit, of?),
            _ if byte.is_ascii() => unit.push(char::from(byte)),
            _ => push_encoded(&mut unit, byte),
        }
        left = left.strip_prefix(unit.as_str())?;
        at += if byte == b'%' { 3 } else { 1 };
    }
    sent.get(at..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_path_is_byte_for_byte_as_it_came() {
        for (sent, prefix, left) in [
            ("/v1", "/v1", "/"),
            ("/v1/", "/v1", "/"),
            ("/v1/a%2Fb%2f/%7E", "/v1", "/a%2Fb%2f/%7E"),
            ("/%76%31/x", "/v1", "/x"),
            ("/caf%c3%a9/x", "/caf%C3%A9", "/x"),
            ("/caf\u{e9}/x", "/caf%C3%A9", "/x"),
            ("/a%3a/x", "/a%3A", "/x"),
            ("/v1/x//y", "/v1", "/x//y"),
            ("/v1/app.min.js", "/v1", "/app.min.js"),
            ("/v1/a/../b", "/v1", "/a/../b"),
        ] {
            assert_eq!(without(sent, prefix, true), Some(left), "{sent}");
        }
    }

    #[test]
    fn nothing_is_taken_away_that_is_not_there_or_ends_within_a_segment() {
        for (sent, prefix) in
            [("/v1x", "/v1"), ("/v", "/v1"), ("/V1/x", "/v1"), ("/v1%2Fx", "/v1"), ("/a:/x", "/a%3A"), ("*", "/v1")]
        {
            assert_eq!(without(sent, prefix, true), None, "{sent}");
        }
    }

    #[test]
    fn what_is_left_names_no_server_and_stays_within_the_root() {
        for sent in [
            "/v1//evil.test/x",
            "/v1/%2Fevil.test",
            "/v1/%5cevil.test",
            "/v1/.//evil.test",
            "/v1/;a//evil.test",
            "/v1/..;/x",
        ] {
            assert_eq!(without(sent, "/v1", true), None, "{sent}");
        }
        assert_eq!(without("/v1//x", "/v1", false), Some("//x"), "behind another prefix it names nobody");
        assert_eq!(without("/v1/../x", "/v1", false), None);
    }
}
