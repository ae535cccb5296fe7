//! A certificate that was shown and not believed, in the words of a line: whose it is, who signed it, until when, its names
//! and its fingerprint. Every byte of it is a stranger's: lengths are checked, texts are cut. Nothing is decided by it.
//! Read next: `der.rs`, then `failure.rs`.

use crate::der::{Read, emails, take};
use crate::digest::sha256_hex;
use crate::json::{field, text};
use rustls::pki_types::CertificateDer;

/// Most names, and the longest subject or issuer, that get into a line.
const NAMES: usize = 16;
const DN_BYTES: usize = 256;

/// What a line says of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub names: Vec<String>,
    pub subject: Option<String>,
    pub issuer: Option<String>,
    pub not_after: Option<String>,
    pub sha256: String,
}

impl Shown {
    /// What cannot be read is left out; the fingerprint is of the bytes, whatever they are.
    pub fn of(der: &[u8]) -> Shown {
        let read = Read::of(der);
        let leaf = CertificateDer::from(der);
        let names = webpki::EndEntityCert::try_from(&leaf)
            .map(|cert| {
                // As they stand: whoever looks for what is wrong with them must see it.
                let all = cert.valid_dns_names().chain(cert.valid_uri_names()).chain(emails(der));
                all.take(NAMES + 1).map(str::to_owned).collect()
            })
            .unwrap_or_default();
        Shown {
            names,
            subject: read.as_ref().map(|r| distinguished(r.subject)),
            issuer: read.as_ref().map(|r| distinguished(r.issuer)),
            not_after: read.and_then(|r| moment(r.not_after)),
            sha256: sha256_hex(der),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"names\":[");
        for (i, name) in self.names.iter().take(NAMES).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            text(out, name.as_bytes());
        }
        if self.names.len() > NAMES {
            out.extend_from_slice(b",\"...\"");
        }
        out.push(b']');
        field(out, "subject", self.subject.as_deref());
        field(out, "issuer", self.issuer.as_deref());
        field(out, "not_after", self.not_after.as_deref());
        field(out, "sha256", Some(&self.sha256));
        out.push(b'}');
    }
}

/// A client's certificate that was not believed, and why in more words than a slug has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub certificate: Shown,
    pub detail: Option<String>,
}

impl Refused {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"certificate\":");
        self.certificate.write(out);
        field(out, "detail", self.detail.as_deref());
        out.push(b'}');
    }
}

/// `CN=..., O=...`, with what could be taken for more of it escaped (RFC 4514 §2.4), cut where it is long.
fn distinguished(mut rdns: &[u8]) -> String {
    let mut out = String::new();
    while let Some(set) = take(&mut rdns) {
        let mut set = set.inner;
        while let Some(pair) = take(&mut set) {
            let mut pair = pair.inner;
            let (Some(kind), Some(value)) = (take(&mut pair), take(&mut pair)) else { continue };
            let Some(word) = attribute(kind.inner) else { continue };
            if !out.is_empty() {
                out.push_str(", ");
            }
            out.push_str(word);
            for c in String::from_utf8_lossy(value.inner).chars() {
                if matches!(c, ',' | '+' | '=' | '\\' | '"' | ';' | '<' | '>') {
                    out.push('\\');
                }
                // A control character or a letter that a terminal turns round is none of a name's.
                out.push(if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
                if out.len() >= DN_BYTES {
                    out.push_str("...");
                    return out;
                }
            }
        }
    }
    out
}

fn attribute(oid: &[u8]) -> Option<&'static str> {
    match oid {
        [0x55, 4, 3] => Some("CN="),
        [0x55, 4, 6] => Some("C="),
        [0x55, 4, 10] => Some("O="),
        [0x55, 4, 11] => Some("OU="),
        _ => None,
    }
}

/// UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 has them, in the form of a line's time.
fn moment((tag, digits): (u8, &[u8])) -> Option<String> {
    let all = digits.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        0x17 => {
            let (yy, rest) = all.split_at_checked(2)?;
            let yy = number(yy)?;
            (if yy < 50 { 2000 + yy } else { 1900 + yy }, rest)
        }
        0x18 => {
            let (yyyy, rest) = all.split_at_checked(4)?;
            (number(yyyy)?, rest)
        }
        _ => return None,
    };
    let parts: Vec<u64> = rest.chunks(2).map(number).collect::<Option<_>>()?;
    let [month, day, hour, minute, second] = parts.as_slice() else { return None };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n: u64, d| d.is_ascii_digit().then(|| n * 10 + u64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_told_of_without_a_panic() {
        for der in [&b""[..], b"\x30", b"\x30\x83\xff\xff\xff", b"\x30\x03\x30\x01\xa0", &[0x30; 300]] {
            let it = Shown::of(der);
            assert_eq!((it.subject, it.not_after, it.sha256.len()), (None, None, 64));
        }
    }

    #[test]
    fn a_name_cannot_pretend_to_be_two() {
        // One RDN: CN = "a, O=b\n".
        let rdn = b"\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07a, O=b\n";
        assert_eq!(distinguished(rdn), "CN=a\\, O\\=b?");
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(moment((0x17, b"490102030405Z")).as_deref(), Some("2049-01-02T03:04:05Z"));
        assert_eq!(moment((0x17, b"500102030405Z")).as_deref(), Some("1950-01-02T03:04:05Z"));
        assert_eq!(moment((0x18, b"20600102030405Z")).as_deref(), Some("2060-01-02T03:04:05Z"));
        assert_eq!(moment((0x17, b"4901020304Z")), None);
    }
}
