//! Private keys between the supervisor's memory file and rustls: in memory that is wiped when it is dropped, in as few
//! copies as can be. Reading JSON or PEM by a library would leave copies in its own buffers, so both are undone here; what
//! the supervisor sends it has parsed before. Read next: `material.rs`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::value::RawValue;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A private key as PEM. `Debug` is not derived.
pub struct SecretPem(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for SecretPem {
    /// Out of the memory that is parsed, without a copy in the parser's scratch.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        unescaped(raw.get().as_bytes()).map(SecretPem).ok_or_else(|| D::Error::custom("a key is no text of PEM"))
    }
}

/// The bytes of a JSON string; `None` for escapes that no PEM needs.
fn unescaped(json: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // As much as it can become, so that it never moves and leaves nothing behind.
    let mut out = Zeroizing::new(Vec::with_capacity(inner.len()));
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                same @ (b'"' | b'\\' | b'/') => *same,
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(out)
}

/// What the edge's own cookies are signed with. `Debug` is not derived.
pub struct Seal(Zeroizing<[u8; SEAL_BYTES]>);

const SEAL_BYTES: usize = 32;

impl<'de> Deserialize<'de> for Seal {
    /// As that of a [`SecretPem`]: 32 bytes in base64.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let text = unescaped(raw.get().as_bytes());
        // The decoder asks for room in whole groups.
        let mut room = Zeroizing::new([0; SEAL_BYTES + 4]);
        let read = text.and_then(|text| STANDARD.decode_slice(&*text, &mut *room).ok());
        let mut key = Zeroizing::new([0; SEAL_BYTES]);
        match room.get(..SEAL_BYTES).filter(|_| read == Some(SEAL_BYTES)) {
            Some(bytes) => key.copy_from_slice(bytes),
            None => return Err(D::Error::custom("a key is not 32 bytes in base64")),
        }
        Ok(Seal(key))
    }
}

impl Seal {
    pub fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

/// A password, or what ticket keys are made of; all copies are one. `Debug` is not derived.
#[derive(Clone)]
pub struct SecretText(Arc<Zeroizing<Vec<u8>>>);

impl<'de> Deserialize<'de> for SecretText {
    /// As that of a [`SecretPem`]: in base64.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(from)?;
        let text = unescaped(raw.get().as_bytes()).ok_or_else(|| D::Error::custom("a secret is no base64"))?;
        // The decoder asks for room in whole groups.
        let mut room = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let len = STANDARD.decode_slice(&*text, &mut room).map_err(|_| D::Error::custom("a secret is no base64"))?;
        room.truncate(len);
        Ok(SecretText(Arc::new(room)))
    }
}

impl SecretText {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SecretPem {
    /// A copy of `pem` that is wiped when it is dropped.
    pub fn new(pem: &[u8]) -> SecretPem {
        SecretPem(Zeroizing::new(pem.to_vec()))
    }

    /// The first private key in it (RFC 7468); other sections, such as EC parameters, are passed over.
    pub fn key(&self) -> Option<Zeroizing<PrivateKeyDer<'static>>> {
        let mut lines = self.0.split(|b| matches!(b, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
        let (kind, end) =
            lines.find_map(|line| SECTIONS.iter().find(|(begin, ..)| line == *begin).map(|s| (s.2, s.1)))?;
        let mut text = Zeroizing::new(Vec::with_capacity(self.0.len()));
        loop {
            let line = lines.next()?;
            if line == end {
                break;
            }
            text.extend_from_slice(line);
        }
        let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let len = STANDARD.decode_slice(&*text, &mut der).ok()?;
        der.truncate(len);
        // Moved, not copied: from here on the key wipes it.
        Some(Zeroizing::new(kind(std::mem::take(&mut *der))))
    }
}

type Kind = fn(Vec<u8>) -> PrivateKeyDer<'static>;

const SECTIONS: [(&[u8], &[u8], Kind); 3] = [
    (b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----", |der| PrivateKeyDer::Pkcs8(der.into())),
    (b"-----BEGIN EC PRIVATE KEY-----", b"-----END EC PRIVATE KEY-----", |der| PrivateKeyDer::Sec1(der.into())),
    (b"-----BEGIN RSA PRIVATE KEY-----", b"-----END RSA PRIVATE KEY-----", |der| PrivateKeyDer::Pkcs1(der.into())),
];

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    fn read(pem: &str) -> Option<SecretPem> {
        let json = serde_json::to_string(pem).expect("JSON");
        serde_json::from_str(&json).ok()
    }

    fn body(kind: &str, end: &str) -> String {
        let text = STANDARD.encode((0..=255).cycle().take(600).collect::<Vec<u8>>());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).expect("ASCII")).collect();
        format!("-----BEGIN {kind}-----{end}{}{end}-----END {kind}-----{end}", lines.join(end))
    }

    #[test]
    fn a_key_is_read_as_the_library_reads_it() {
        for kind in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
            for end in ["\n", "\r\n", " \n"] {
                for before in [
                    "",
                    "a note\n",
                    "\t\"a\" \\ note\n",
                    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
                ] {
                    let pem = format!("{before}{}", body(kind, end));
                    let ours = read(&pem).and_then(|it| it.key()).expect("a key");
                    let theirs = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
                    assert_eq!(*ours, theirs, "{pem}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_read_however_its_json_is_written() {
        let pem = body("PRIVATE KEY", "\n");
        let json = serde_json::to_string(&pem).expect("JSON");
        let slashed: SecretPem = serde_json::from_str(&json.replace('/', "\\/")).expect("a key");
        assert!(json.contains('/') && *slashed.0 == pem.as_bytes());
    }

    #[test]
    fn what_is_no_key_is_none() {
        let whole = body("PRIVATE KEY", "\n");
        let cut = whole.replace("-----END", "-----FIN");
        for pem in
            ["", "x", &cut, &whole.replace('A', "*"), &body("CERTIFICATE", "\n"), &whole.replacen("AAEC", "AEC", 1)]
        {
            assert!(read(pem).is_none_or(|it| it.key().is_none()), "{pem}");
        }
        for json in ["1", "null", "{}", "\"\\u0041\""] {
            assert!(serde_json::from_str::<SecretPem>(json).is_err(), "{json}");
        }
    }
}
