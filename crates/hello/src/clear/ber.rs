//! As much of BER (X.690) as LDAP's messages before TLS take: definite lengths alone (RFC 4511 §5.1), in as many octets as
//! the sender likes, since some always take four.

use crate::bytes::Bytes;

/// A beginning that may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole<'a> {
    NeedMore,
    Bad,
    /// Tag, content, and what comes behind it.
    Is(u8, &'a [u8], &'a [u8]),
}

/// The first value of `bytes`, of at most `most` bytes with its tag and length.
pub(super) fn whole(bytes: &[u8], most: usize) -> Whole<'_> {
    let [tag, length, rest @ ..] = bytes else { return Whole::NeedMore };
    // Tags above 30 take more octets, and LDAP has none.
    if tag & 0x1f == 0x1f {
        return Whole::Bad;
    }
    let (octets, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let Some((size, rest)) = rest.split_at_checked(usize::from(length & 0x7f)) else { return Whole::NeedMore };
            (size.iter().fold(0, |all, b| all << 8 | usize::from(*b)), rest)
        }
        _ => return Whole::Bad,
    };
    if bytes.len() - rest.len() + octets > most {
        return Whole::Bad;
    }
    rest.split_at_checked(octets).map_or(Whole::NeedMore, |(value, more)| Whole::Is(*tag, value, more))
}

/// The next value within one that is whole.
pub(super) fn next<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, &'a [u8])> {
    match whole(bytes.0, bytes.0.len()) {
        Whole::Is(tag, value, more) => {
            bytes.0 = more;
            Some((tag, value))
        }
        _ => None,
    }
}

/// A value in its shortest form, of less than 64 KiB.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
    let head = match length {
        [0, short @ ..0x80] => vec![tag, short],
        [0, one] => vec![tag, 0x81, one],
        [a, b] => vec![tag, 0x82, a, b],
    };
    [head, content.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_more_octets_is_refused_before_its_length_is_read_and_every_other_is_one() {
        for tag in 0..=255u8 {
            let of_more = tag & 0b1_1111 == 0b1_1111;
            let alone = if of_more { Whole::Bad } else { Whole::Is(tag, &[], b"x") };
            assert_eq!(whole(&[tag, 0, b'x'], 3), alone, "{tag:#x}");
            assert_eq!(whole(&[tag, 1], 3), if of_more { Whole::Bad } else { Whole::NeedMore }, "{tag:#x}");
        }
    }
}
