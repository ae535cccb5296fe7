//! The ways in which backends read a path (R01): as sent, decoded once or again, slashes merged, dot segments resolved,
//! parameters cut, and each of them before or after each other, since backends differ in the order too. None of them is
//! ever forwarded; they are only compared.

use crate::path::{BadPath, hex, push_encoded};

/// A path with more readings than this, or whose readings are longer than this together, was not made to be read.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 * 1024;

/// What one reader does to a path and another does not, and the bytes of which one must be there for it to change anything.
type Step = (fn(&[u8]) -> Vec<u8>, &'static [u8]);

const STEPS: [Step; 8] = [
    (decoded, b"%"),
    (overlong_decoded, b"\xc0\xc1\xe0\xf0"),
    (slashed, b"\\"),
    (merged, b"/"),
    (resolved, b"."),
    (without_parameters, b";"),
    (cut, b"?#\0"),
    (trimmed, b". "),
];

/// Hands each reading of `path` to `see`, with `keys` read in the same way, until it gives false.
///
/// The first is the path as it was sent, but for the case of hexadecimal digits, which nobody tells apart. Gives false if
/// `see` did, or if there are too many readings to look at.
pub fn each(path: &[u8], keys: &[&str], mut see: impl FnMut(&[u8], &[Vec<u8>]) -> bool) -> bool {
    let mut known: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    let mut next = vec![(sent(path), keys.iter().map(|k| k.as_bytes().to_vec()).collect::<Vec<_>>())];
    let mut bytes = 0;
    while let Some((path, keys)) = next.pop() {
        if known.iter().any(|(p, k)| *p == path && *k == keys) {
            continue;
        }
        bytes += path.len() + keys.iter().map(Vec::len).sum::<usize>();
        if known.len() == MOST || bytes > MOST_BYTES || !see(&path, &keys) {
            return false;
        }
        let mut there = [false; 256];
        for b in keys.iter().flatten().chain(&path) {
            if let Some(it) = there.get_mut(usize::from(*b)) {
                *it = true;
            }
        }
        let is_there = |b: &u8| there.get(usize::from(*b)).is_some_and(|it| *it);
        for (step, _) in STEPS.iter().filter(|(_, of)| of.iter().any(is_there)) {
            let (read, alike) = (step(&path), keys.iter().map(|k| step(k)).collect());
            if read != path || alike != keys {
                next.push((read, alike));
            }
        }
        known.push((path, keys));
    }
    true
}

/// Refuses what some reader takes out of the root by its dot segments, or finds a control in; and what has too many
/// readings to tell.
pub(crate) fn judge(raw: &[u8]) -> Result<(), BadPath> {
    let mut why = BadPath::LeavesRoot;
    let fine = each(raw, &[], |path, _| {
        if path.iter().any(u8::is_ascii_control) {
            why = BadPath::Control;
        }
        why != BadPath::Control && stays(path)
    });
    if fine { Ok(()) } else { Err(why) }
}

pub(crate) fn stays(path: &[u8]) -> bool {
    let mut depth = 0usize;
    path.split(|b| *b == b'/').skip(1).all(|segment| {
        match segment {
            b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
        true
    })
}

/// Encodings with upper-case digits, what is beyond ASCII encoded.
fn sent(raw: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&b) = raw.get(at) {
        match byte_at(raw, at) {
            Some(byte) => {
                push_encoded(&mut out, byte);
                at += 2;
            }
            None if b.is_ascii() => out.push(char::from(b)),
            None => push_encoded(&mut out, b),
        }
        at += 1;
    }
    out.into_bytes()
}

/// What `%XX` at this place stands for.
fn byte_at(path: &[u8], at: usize) -> Option<u8> {
    (path.get(at) == Some(&b'%')).then(|| Some(hex(path.get(at + 1))? << 4 | hex(path.get(at + 2))?))?
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&b) = path.get(at) {
        let byte = byte_at(path, at);
        out.push(byte.unwrap_or(b));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// ASCII in UTF-8 that is longer than it may be (RFC 3629 §3).
fn overlong_decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let (zeros, low) = match first {
            0xc0 | 0xc1 => (0, usize::from(first & 1)),
            0xe0 => (1, 0),
            0xf0 => (2, 0),
            _ => (9, 0),
        };
        let last = match (zeros, tail) {
            (0, [last @ 0x80..=0xbf, ..]) => Some((low << 6 | usize::from(last & 0x3f), 2)),
            (1, [a @ 0x80..=0x81, last @ 0x80..=0xbf, ..]) => {
                Some((usize::from(a & 1) << 6 | usize::from(last & 0x3f), 3))
            }
            (2, [0x80, a @ 0x80..=0x81, last @ 0x80..=0xbf, ..]) => {
                Some((usize::from(a & 1) << 6 | usize::from(last & 0x3f), 4))
            }
            _ => None,
        };
        let (byte, taken) = last.and_then(|(b, n)| Some((u8::try_from(b).ok()?, n))).unwrap_or((*first, 1));
        out.push(byte);
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn slashed(path: &[u8]) -> Vec<u8> {
    path.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect()
}

fn merged(path: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    out.dedup_by(|b, a| *a == b'/' && *b == b'/');
    out
}

/// RFC 3986 §5.2.4.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in path.split(|b| *b == b'/').skip(1) {
        ends_open = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if ends_open {
        kept.push(b"");
    }
    kept.iter().flat_map(|s| std::iter::once(b'/').chain(s.iter().copied())).collect()
}

fn segments_cut(path: &[u8], cut: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
    path.split(|b| *b == b'/').map(cut).collect::<Vec<_>>().join(&b'/')
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    fn name(segment: &[u8]) -> &[u8] {
        segment.split(|b| *b == b';').next().unwrap_or_default()
    }
    segments_cut(path, name)
}

/// Up to what a reader that has decoded too early takes for a query, a fragment or the end.
fn cut(path: &[u8]) -> Vec<u8> {
    path.split(|b| matches!(b, b'?' | b'#' | 0)).next().unwrap_or_default().to_vec()
}

/// As comparisons that tell no capitals apart take it. Of all letters beyond ASCII, two fold to one of ASCII: the sign of the
/// Kelvin and the long s.
pub fn folded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (0xe2, [0x84, 0xaa, after @ ..]) => (b'k', after),
            (0xc5, [0xbf, after @ ..]) => (b's', after),
            _ => (first.to_ascii_lowercase(), tail),
        };
        out.push(byte);
        rest = after;
    }
    out
}

/// Without the dots and spaces that some file systems drop from the end of a name.
fn trimmed(path: &[u8]) -> Vec<u8> {
    fn name(segment: &[u8]) -> &[u8] {
        let end = segment.iter().rposition(|b| !matches!(b, b'.' | b' ')).map_or(segment.len(), |at| at + 1);
        segment.get(..end).unwrap_or_default()
    }
    segments_cut(path, name)
}
