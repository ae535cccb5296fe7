//! Lines of a head: found once, in order, however the bytes arrive; each either the first line or one field.

use crate::Refused;
use crate::names::{FieldId, field_id};

/// Bytes of the caller's buffer, by offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        // A head is bounded far below 4 GiB; a span that does not fit is empty.
        Span { start: u32::try_from(start).unwrap_or(0), end: u32::try_from(end).unwrap_or(0) }
    }

    /// Its first `len` bytes.
    pub(crate) fn first(&self, len: usize) -> Span {
        Span::new(self.start as usize, self.start as usize + len)
    }

    pub fn of<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        buf.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub id: FieldId,
    pub name: Span,
    /// Without the white space around it.
    pub value: Span,
}

/// What a head may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub head_bytes: usize,
    pub fields: usize,
    pub target_bytes: usize,
}

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    NeedMore,
    /// Complete; its bytes are the first `len`.
    Head {
        len: usize,
    },
    Refused(Refused),
}

/// Where reading stands.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    at: usize,
    seen: usize,
}

pub(crate) enum Line {
    NeedMore,
    /// Without its CRLF.
    One(usize, usize),
}

impl Lines {
    pub(crate) fn reset(&mut self) {
        *self = Lines::default();
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next whole line of `buf`; `bare_lf`: LF alone ends one too.
    #[inline]
    pub(crate) fn next(&mut self, buf: &[u8], limit: usize, bare_lf: bool) -> Result<Line, Refused> {
        let fresh = buf.get(self.seen..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', fresh) else {
            self.seen = buf.len();
            return if buf.len() >= limit { Err(Refused::HeadTooLong) } else { Ok(Line::NeedMore) };
        };
        let (start, lf) = (self.at, self.seen + found);
        if lf >= limit {
            return Err(Refused::HeadTooLong);
        }
        if lf == start || buf.get(lf - 1) != Some(&b'\r') {
            if !bare_lf {
                return Err(Refused::BareLf);
            }
            (self.at, self.seen) = (lf + 1, lf + 1);
            return Ok(Line::One(start, lf));
        }
        (self.at, self.seen) = (lf + 1, lf + 1);
        Ok(Line::One(start, lf - 1))
    }
}

const TOKEN: u8 = 1;
const VALUE: u8 = 2;

/// RFC 9110 §5.6.2 tokens and §5.5 field content.
const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut b = 0x20;
    while b < 0x100 {
        if b != 0x7f {
            table[b] = VALUE;
        }
        b += 1;
    }
    table[b'\t' as usize] = VALUE;
    let tokens = *b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut i = 0;
    while i < tokens.len() {
        table[tokens[i] as usize] |= TOKEN;
        i += 1;
    }
    table
};

fn all(bytes: &[u8], class: u8) -> bool {
    // Without a branch a byte, so that the compiler can take several at once.
    bytes.iter().fold(true, |fine, b| fine & (CLASS[usize::from(*b)] & class != 0))
}

/// RFC 9110 §5.6.2.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

/// Eight bytes at a time, since values are short and many; what is left of eight is looked at together with what is before.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let (eights, rest) = bytes.as_chunks::<8>();
    eights.iter().all(is_plain)
        && (rest.is_empty() || bytes.last_chunk::<8>().map_or_else(|| all(rest, VALUE), is_plain))
}

/// True if none of eight bytes is a control but a tab.
fn is_plain(eight: &[u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // True if a byte of `w` is below `n`, which is at most 0x80: only such a byte borrows from its own top bit.
    let below = |w: u64, n: u64| w.wrapping_sub(ONES * n) & !w & HIGH != 0;
    let w = u64::from_ne_bytes(*eight);
    (!below(w, 0x20) && !below(w ^ (ONES * 0x7f), 1)) || all(eight, VALUE)
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// One field line, from `start` to `end` of `buf`.
pub(crate) fn field(buf: &[u8], start: usize, end: usize) -> Result<Field, Refused> {
    let line = buf.get(start..end).unwrap_or_default();
    if line.first().is_some_and(|b| is_space(*b)) {
        return Err(Refused::Fold);
    }
    // Names are short: looking for the first byte that is none of a token is cheaper than two passes.
    let colon = line.iter().position(|b| CLASS[usize::from(*b)] & TOKEN == 0).unwrap_or(0);
    let (name, rest) = line.split_at(colon);
    let [b':', raw @ ..] = rest else { return Err(Refused::FieldName) };
    if name.is_empty() {
        return Err(Refused::FieldName);
    }
    if !is_value(raw) {
        return Err(if raw.contains(&b'\r') { Refused::BareCr } else { Refused::FieldValue });
    }
    let leading = raw.iter().take_while(|b| is_space(**b)).count();
    let value = trim(raw.get(leading..).unwrap_or_default());
    let from = start + colon + 1 + leading;
    Ok(Field { id: field_id(name), name: Span::new(start, start + colon), value: Span::new(from, from + value.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_judged_the_same_at_every_length_and_place() {
        for len in 1..=40 {
            for at in 0..len {
                for b in 0..=255u8 {
                    let mut value = vec![b'v'; len];
                    value[at] = b;
                    let plain = b == b'\t' || (b >= 0x20 && b != 0x7f);
                    assert_eq!(is_value(&value), plain, "{b:#x} at {at} of {len}");
                }
            }
        }
        assert!(is_value(b""));
        assert!(is_value(b"\t\t\t\t\t\t\t\t\t"));
        assert!(!is_value(b"\xff\xff\xff\xff\xff\xff\xff\x00"));
    }

    #[test]
    fn of_two_bytes_in_one_value_neither_hides_the_other() {
        let plain = |b: u8| b == b'\t' || (b >= 0x20 && b != 0x7f);
        for (one, other) in [(0, 7), (3, 4), (7, 0)] {
            for a in 0..=255u8 {
                for b in 0..=255u8 {
                    let mut value = *b"vvvvvvvv";
                    (value[one], value[other]) = (a, b);
                    assert_eq!(is_value(&value), plain(a) && plain(b), "{a:#x} {b:#x}");
                }
            }
        }
    }
}
