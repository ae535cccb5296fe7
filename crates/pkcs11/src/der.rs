//! What a token gives and takes otherwise than TLS: ECDSA's two numbers side by side, where TLS has a SEQUENCE of them (RFC 3279
//! §2.2.3), and a digest for PKCS#1 v1.5 with the name of its hash before it (RFC 8017 §9.2).

/// Two numbers of equal length as a SEQUENCE; nothing where they are none.
pub(crate) fn sequence(both: &[u8]) -> Option<Vec<u8>> {
    let half = both.len() / 2;
    if half == 0 || half * 2 != both.len() || both.len() > 132 {
        return None;
    }
    let (r, s) = both.split_at(half);
    let body = [integer(r), integer(s)].concat();
    let mut out = vec![0x30];
    length(&mut out, body.len());
    out.extend(body);
    Some(out)
}

fn integer(number: &[u8]) -> Vec<u8> {
    let begin = number.iter().position(|b| *b != 0).unwrap_or(number.len() - 1);
    let number = number.get(begin..).unwrap_or_default();
    let sign = number.first().is_some_and(|b| *b >= 0x80);
    let mut out = vec![0x02];
    length(&mut out, number.len() + usize::from(sign));
    out.extend(sign.then_some(0));
    out.extend_from_slice(number);
    out
}

/// Of what is shorter than 256 bytes, as all of these are.
fn length(out: &mut Vec<u8>, len: usize) {
    let len = u8::try_from(len).unwrap_or(u8::MAX);
    out.extend((len >= 0x80).then_some(0x81));
    out.push(len);
}

/// A digest with the name of SHA-256, 384 or 512, told by its length.
pub(crate) fn named(digest: &[u8]) -> Option<Vec<u8>> {
    let which: u8 = match digest.len() {
        32 => 1,
        48 => 2,
        64 => 3,
        _ => return None,
    };
    let len = u8::try_from(digest.len()).ok()?;
    let head = [
        0x30,
        17 + len,
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        which,
        0x05,
        0x00,
        0x04,
        len,
    ];
    Some([&head[..], digest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_never_negative() {
        assert_eq!(sequence(&[1, 2]).as_deref(), Some(&[0x30, 6, 2, 1, 1, 2, 1, 2][..]));
        assert_eq!(sequence(&[0x80, 0, 0, 5]).as_deref(), Some(&[0x30, 8, 2, 3, 0, 0x80, 0, 2, 1, 5][..]));
        assert_eq!(sequence(&[0, 0, 0, 0]).as_deref(), Some(&[0x30, 6, 2, 1, 0, 2, 1, 0][..]));
        let long = sequence(&[0xff; 132]).expect("a SEQUENCE");
        assert_eq!((long.len(), &long[..3]), (3 + 2 * 69, &[0x30, 0x81, 138][..]));
        assert_eq!((sequence(&[]), sequence(&[1, 2, 3]), sequence(&[1; 134])), (None, None, None));
    }

    #[test]
    fn a_digest_has_the_name_of_its_hash_before_it() {
        let sha256 = named(&[7; 32]).expect("a digest");
        assert_eq!((sha256.len(), sha256[1], sha256[14], sha256[18]), (51, 49, 1, 32));
        assert_eq!(named(&[7; 20]), None);
    }
}
