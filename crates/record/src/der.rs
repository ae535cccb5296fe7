//! What webpki does not tell of a certificate: its form, whose it is in its own words, its purposes, how long its key is.
//! Every byte is a stranger's: what cannot be read is nothing, never a guess. Chains are judged elsewhere.
//! Read next: `certificate.rs`.

/// rsaEncryption (RFC 8017 §A.1).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// extKeyUsage, and its serverAuth (RFC 5280 §4.2.1.12).
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// subjectAltName (RFC 5280 §4.2.1.6), and the tag of an rfc822Name in it.
const ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const RFC822_NAME: u8 = 0x81;
const URI: u8 = 0x86;
/// keyUsage (RFC 5280 §4.2.1.3), and its keyCertSign and cRLSign in the first octet of the bits.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SIGNS: u8 = 0x06;
/// The lengths from which and up to which an RSA key is believed: what aws-lc verifies by is called `RSA_*_2048_8192`.
const RSA_BITS: usize = 2048;
const MOST_RSA_BITS: usize = 8192;

/// The parts of a certificate (RFC 5280 §4.1) that are told, as they stand in it.
pub(crate) struct Read<'a> {
    /// As it is said: 1 for what says nothing.
    pub(crate) version: u8,
    pub(crate) issuer: &'a [u8],
    pub(crate) not_after: (u8, &'a [u8]),
    pub(crate) subject: &'a [u8],
    /// What is inside of SubjectPublicKeyInfo.
    key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Read<'a> {
    pub(crate) fn of(der: &'a [u8]) -> Option<Read<'a>> {
        let mut whole = inside(der, 0x30)?;
        let mut tbs = inside(take(&mut whole)?.whole, 0x30)?;
        let mut first = take(&mut tbs)?;
        let mut version = 1;
        if first.tag == 0xa0 {
            version = inside(first.inner, 2)?.first()?.saturating_add(1);
            first = take(&mut tbs)?;
        }
        // The serial number was that; then the algorithm.
        let (_, _) = (first, take(&mut tbs)?);
        let issuer = take(&mut tbs)?.inner;
        let mut validity = take(&mut tbs)?.inner;
        let _ = take(&mut validity)?;
        let end = take(&mut validity)?;
        let subject = take(&mut tbs)?.inner;
        let key = take(&mut tbs)?.inner;
        let mut extensions: &[u8] = &[];
        while let Some(it) = take(&mut tbs) {
            if it.tag == 0xa3 {
                extensions = inside(it.inner, 0x30)?;
            }
        }
        Some(Read { version, issuer, not_after: (end.tag, end.inner), subject, key, extensions })
    }

    /// What stands in the extension of that kind; `None` without one, `Err` where the extensions cannot be read so far.
    fn extension(&self, kind: &[u8]) -> Result<Option<&'a [u8]>, ()> {
        let mut left = self.extensions;
        while let Some(it) = take(&mut left) {
            let mut it = it.inner;
            let (Some(id), Some(mut value)) = (take(&mut it), take(&mut it)) else { return Err(()) };
            if id.inner != kind {
                continue;
            }
            if value.tag == 1 {
                // Whether it is critical, which changes nothing for who knows it.
                value = take(&mut it).ok_or(())?;
            }
            return Ok(Some(value.inner));
        }
        Ok(None)
    }

    /// It names no purpose, or names servers among its own.
    fn is_for_servers(&self) -> bool {
        match self.extension(EXTENDED_KEY_USAGE) {
            Ok(None) => true,
            Ok(Some(value)) => inside(value, 0x30)
                .is_some_and(|mut purposes| std::iter::from_fn(|| take(&mut purposes)).any(|p| p.inner == SERVER_AUTH)),
            Err(()) => false,
        }
    }

    /// The e-mail addresses among its names, as they stand.
    fn emails(&self) -> Vec<&'a str> {
        self.named(RFC822_NAME).into_iter().filter_map(|it| std::str::from_utf8(it).ok()).collect()
    }

    /// Its names of one kind.
    fn named(&self, kind: u8) -> Vec<&'a [u8]> {
        let Ok(Some(value)) = self.extension(ALT_NAME) else { return Vec::new() };
        let mut all = inside(value, 0x30).unwrap_or_default();
        std::iter::from_fn(|| take(&mut all)).filter(|it| it.tag == kind).map(|it| it.inner).collect()
    }

    fn signs_certificates(&self) -> bool {
        match self.extension(KEY_USAGE) {
            Ok(None) => false,
            // The first octet says how many bits of the last are unused.
            Ok(Some(value)) => {
                inside(value, 0x03).and_then(|bits| bits.get(1).copied()).is_none_or(|it| it & SIGNS != 0)
            }
            Err(()) => true,
        }
    }
}

/// The e-mail addresses among the names of a certificate, as they stand.
pub fn emails(der: &[u8]) -> Vec<&str> {
    Read::of(der).map(|it| it.emails()).unwrap_or_default()
}

/// The URIs among the names of a certificate, in whatever form.
pub fn uris(der: &[u8]) -> Vec<&[u8]> {
    Read::of(der).map(|it| it.named(URI)).unwrap_or_default()
}

/// Its key is one to sign certificates or revocation lists by, as it says. What cannot be read is taken for that.
pub fn signs_certificates(der: &[u8]) -> bool {
    Read::of(der).is_none_or(|it| it.signs_certificates())
}

/// It names no purpose, or names servers among its own. What cannot be read is for nobody.
pub fn is_for_servers(der: &[u8]) -> bool {
    Read::of(der).is_some_and(|it| it.is_for_servers())
}

/// It says of itself that it is its own issuer.
pub fn is_self_issued(der: &[u8]) -> bool {
    Read::of(der).is_some_and(|it| it.issuer == it.subject)
}

/// Who issued it, as it says.
pub fn issuer(der: &[u8]) -> Option<&[u8]> {
    Read::of(der).map(|it| it.issuer)
}

/// Whether it is in a form older than X.509 v3, which has no names (RFC 9525 §6.3) and which webpki does not read.
pub fn is_of_old_form(der: &[u8]) -> bool {
    Read::of(der).is_some_and(|it| it.version < 3)
}

/// Why nobody believes a signature by the key of this certificate, if it is for its length.
pub fn weakness(der: &[u8]) -> Option<String> {
    Read::of(der).and_then(|it| weak_key(it.key))
}

/// As [`weakness`], of what is inside of a SubjectPublicKeyInfo.
pub fn weak_key(mut key: &[u8]) -> Option<String> {
    let mut algorithm = take(&mut key)?.inner;
    if take(&mut algorithm)?.inner != RSA {
        return None;
    }
    let bits = take(&mut key)?.inner.get(1..)?;
    let mut numbers = inside(bits, 0x30)?;
    let modulus = take(&mut numbers)?.inner;
    let begins = modulus.iter().position(|b| *b != 0)?;
    let first = modulus.get(begins)?;
    let length = (modulus.len() - begins) * 8 - usize::try_from(first.leading_zeros()).ok()?;
    match length {
        ..RSA_BITS => Some(format!("an RSA key of {length} bits, where {RSA_BITS} are the least")),
        RSA_BITS..=MOST_RSA_BITS => None,
        _ => Some(format!("an RSA key of {length} bits, where {MOST_RSA_BITS} are the most")),
    }
}

/// One element of DER: its tag, what is in it, and all of it.
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) inner: &'a [u8],
    pub(crate) whole: &'a [u8],
}

/// Takes the first element off `from`.
pub(crate) fn take<'a>(from: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, rest) = from.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (inner, after) = rest.split_at_checked(length)?;
    let whole = from.get(..from.len() - after.len())?;
    *from = after;
    Some(Element { tag, inner, whole })
}

fn inside(mut der: &[u8], tag: u8) -> Option<&[u8]> {
    take(&mut der).filter(|e| e.tag == tag).map(|e| e.inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_rsa_are_believed_from_the_least_length_to_the_most() {
        fn element(tag: u8, inner: &[u8]) -> Vec<u8> {
            let [high, low] = u16::try_from(inner.len()).expect("short").to_be_bytes();
            [&[tag, 0x82, high, low], inner].concat()
        }
        let told = |bits: usize| {
            // The first bit of a whole byte is its sign.
            let modulus = [&[0][..], &[1 << ((bits - 1) % 8)], &vec![1; (bits - 1) / 8]].concat();
            let numbers = [element(2, &modulus), element(2, &[1, 0, 1])].concat();
            let bits = [&[0][..], &element(0x30, &numbers)].concat();
            weak_key(&[element(0x30, &element(6, RSA)), element(3, &bits)].concat())
        };
        assert_eq!([2048, 4096, 8192].map(told), [None, None, None]);
        assert_eq!(told(2047).as_deref(), Some("an RSA key of 2047 bits, where 2048 are the least"));
        assert_eq!(told(8193).as_deref(), Some("an RSA key of 8193 bits, where 8192 are the most"));
    }

    #[test]
    fn what_cannot_be_read_is_for_nobody() {
        for der in [&b""[..], b"\x30", b"\x30\x83\xff\xff\xff", b"\x30\x03\x30\x01\xa0", &[0x30; 300]] {
            assert!(!is_for_servers(der) && !is_self_issued(der) && !is_of_old_form(der));
            assert_eq!((weakness(der), weak_key(der), issuer(der)), (None, None, None));
        }
    }
}
