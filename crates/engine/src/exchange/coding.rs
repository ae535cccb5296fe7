//! In which coding a client would have an answer: by its Accept-Encoding (RFC 9110 §12.5.3), of those that the route offers.
//! Pure. Read next: `shape.rs`, which judges the answer, and `compress.rs`, which writes it.

use everyhop_plan::Coding;

/// What a request comes to by its route's compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codes {
    pub(crate) with: Option<Coding>,
    /// It takes an answer as it is, too.
    pub(crate) takes_plain: bool,
    /// Also what tells of credentials.
    pub(crate) with_credentials: bool,
}

/// Of a longer list the rest says nothing.
const CODINGS: usize = 32;

impl Codes {
    /// The one of `offered` that the client wants most, and of several that it wants alike the first. None where it says
    /// nothing: every server has taken that for a client that knows none.
    pub(crate) fn of(accept: &[u8], offered: &[Coding], with_credentials: bool) -> Codes {
        let mut weights = Weights::default();
        for element in accept.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty()).take(CODINGS) {
            let mut parts = element.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            weights.put(name, weight(parts));
        }
        let plain = weights.plain.unwrap_or(if weights.others == Some(0) { 0 } else { 1 });
        let mut best = (0, None);
        for coding in offered {
            let weight = weights.of(*coding).or(weights.others).unwrap_or(0);
            if weight > best.0 {
                best = (weight, Some(*coding));
            }
        }
        // Whoever says that it would rather have it plain gets it plain.
        let with = best.1.filter(|_| best.0 >= plain);
        Codes { with, takes_plain: plain > 0, with_credentials }
    }
}

#[derive(Default)]
struct Weights {
    zstd: Option<u16>,
    br: Option<u16>,
    gzip: Option<u16>,
    plain: Option<u16>,
    others: Option<u16>,
}

impl Weights {
    fn of(&self, coding: Coding) -> Option<u16> {
        match coding {
            Coding::Zstd => self.zstd,
            Coding::Br => self.br,
            Coding::Gzip => self.gzip,
        }
    }

    /// What is said twice counts as it is said first.
    fn put(&mut self, name: &[u8], weight: u16) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let at = match name {
            _ if is("zstd") => &mut self.zstd,
            _ if is("br") => &mut self.br,
            // RFC 9110 §8.4.1.3.
            _ if is("gzip") || is("x-gzip") => &mut self.gzip,
            _ if is("identity") => &mut self.plain,
            b"*" => &mut self.others,
            _ => return,
        };
        at.get_or_insert(weight);
    }
}

/// In thousandths (RFC 9110 §12.4.2); what is no weight is none.
pub(crate) fn weight<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> u16 {
    let Some(q) = parameters.find_map(|p| p.strip_prefix(b"q=").or(p.strip_prefix(b"Q="))) else { return 1000 };
    let (whole, digits) = match q {
        [b'0'] => (0, &b""[..]),
        [b'1'] => (1000, &b""[..]),
        [b'0', b'.', digits @ ..] if digits.len() <= 3 => (0, digits),
        [b'1', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(|b| *b == b'0') => (1000, &b""[..]),
        _ => return 0,
    };
    let mut unit = 100;
    digits
        .iter()
        .try_fold(whole, |sum, b| {
            let more = b.is_ascii_digit().then(|| u16::from(b - b'0') * unit)?;
            unit /= 10;
            Some(sum + more)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Br, Gzip, Zstd};

    #[test]
    fn what_is_wanted_most_is_taken_of_what_is_offered_and_nothing_that_is_refused() {
        const ALL: &[Coding] = &[Zstd, Br, Gzip];
        for (accept, offered, with, takes_plain) in [
            ("", ALL, None, true),
            ("gzip", ALL, Some(Gzip), true),
            ("X-GZIP", ALL, Some(Gzip), true),
            ("gzip, deflate, br, zstd", ALL, Some(Zstd), true),
            ("gzip, deflate, br", &[Gzip, Br], Some(Gzip), true),
            ("gzip;q=0.5, br;q=0.8", ALL, Some(Br), true),
            ("gzip;q=0", ALL, None, true),
            ("gzip;q=0.001", ALL, Some(Gzip), true),
            ("gzip ; q=0.5 , identity;q=0.6", ALL, None, true),
            ("gzip;q=0.5, identity;q=0.5", ALL, Some(Gzip), true),
            ("*", ALL, Some(Zstd), true),
            ("*;q=0", ALL, None, false),
            ("gzip, *;q=0", ALL, Some(Gzip), false),
            ("identity;q=0", ALL, None, false),
            ("identity;q=0, *", ALL, Some(Zstd), false),
            ("identity, *;q=0", ALL, None, true),
            ("zstd;q=0, *", ALL, Some(Br), true),
            ("gzip;q=2, br;q=x", ALL, None, true),
            ("gzip;q=0, gzip", ALL, None, true),
            ("deflate, compress, exi", ALL, None, true),
            (",;=,/,*;", ALL, Some(Zstd), true),
        ] {
            let found = Codes::of(accept.as_bytes(), offered, false);
            assert_eq!((found.with, found.takes_plain), (with, takes_plain), "{accept:?}");
        }
    }

    #[test]
    fn a_list_without_end_is_read_to_its_bound() {
        let long = "x,".repeat(100_000) + "gzip";
        assert_eq!(Codes::of(long.as_bytes(), &[Gzip], false).with, None);
    }
}
