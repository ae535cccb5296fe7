//! Certificates, keys and revocation lists of the tests, each made when it is asked for, whatever is odd about it.

pub mod plan;
pub mod shake;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_running::material::Blob;
use rustls::pki_types::{CertificateDer, UnixTime};
use serde_json::{Map, Value, json};
use std::time::Duration;

const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const RSA_WITH_SHA256: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
const P256: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const ED25519: &[u8] = &[0x06, 3, 0x2b, 0x65, 0x70];
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];
/// Purposes (RFC 5280 §4.2.1.12).
pub const SERVERS: &[u8] = &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1];
pub const CLIENTS: &[u8] = &[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What every certificate of the tests is valid from and until, unless it is asked for otherwise.
pub const FROM: &str = "20260101000000Z";
pub const UNTIL: &str = "20991231235959Z";
pub const UNTIL_S: i64 = 4_102_444_799;
/// 2027-01-01.
pub const NOW_S: u64 = 1_798_761_600;

pub fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW_S))
}

pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(inner.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        Ok(longer) => out.extend([0x81, longer]),
        Err(_) => {
            out.push(0x82);
            out.extend(u16::try_from(inner.len()).expect("a short one").to_be_bytes());
        }
    }
    out.extend(inner);
    out
}

pub fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

fn named(name: &str) -> Vec<u8> {
    let one = tlv(0x30, &[COMMON_NAME, &tlv(0x0c, &[name.as_bytes()])]);
    tlv(0x30, &[&tlv(0x31, &[&one])])
}

/// An extension; `id` is the last byte of those of RFC 5280.
pub fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&[0x06, 3, 0x55, 0x1d, id], critical, &tlv(4, &[value])])
}

/// A key of P-256, or one of Ed25519, which signs no certificates here.
pub struct Key {
    signs: Option<EcdsaKeyPair>,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl Key {
    pub fn new() -> Key {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let pkcs8 = made.expect("a key").as_ref().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).expect("a key");
        let public = public(P256, pair.public_key().as_ref());
        Key { signs: Some(pair), pkcs8, public }
    }

    pub fn ed25519() -> Key {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pkcs8 = made.as_ref().to_vec();
        let public = public(ED25519, Ed25519KeyPair::from_pkcs8(&pkcs8).expect("a key").public_key().as_ref());
        Key { signs: None, pkcs8, public }
    }

    pub fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    fn signed(&self, tbs: &[u8]) -> Vec<u8> {
        let signature = self.signs.as_ref().expect("a key that signs").sign(&SystemRandom::new(), tbs);
        let signature = signature.expect("a signature");
        tlv(0x30, &[tbs, &tlv(0x30, &[ECDSA_WITH_SHA256]), &tlv(3, &[&[0], signature.as_ref()])])
    }
}

/// A SubjectPublicKeyInfo.
fn public(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x30, &[algorithm]), &tlv(3, &[&[0], key])])
}

/// What a certificate is to say.
#[derive(Clone)]
pub struct Says {
    pub subject: &'static str,
    pub serial: u8,
    pub names: Vec<&'static str>,
    pub authority: bool,
    pub purpose: Option<&'static [u8]>,
    pub from: &'static str,
    pub until: &'static str,
    pub version: u8,
    pub extension: Option<Vec<u8>>,
    /// Its key is one of RSA of so many bits, which nobody has.
    pub rsa_bits: Option<usize>,
    pub ed25519: bool,
}

impl Says {
    pub fn leaf(name: &'static str) -> Says {
        let (from, until) = (FROM, UNTIL);
        Says {
            subject: name,
            serial: 1,
            names: vec![name],
            authority: false,
            purpose: None,
            from,
            until,
            version: 3,
            extension: None,
            rsa_bits: None,
            ed25519: false,
        }
    }

    pub fn authority(name: &'static str) -> Says {
        Says { names: Vec::new(), authority: true, ..Says::leaf(name) }
    }

    fn public(&self, key: &Key) -> Vec<u8> {
        let Some(bits) = self.rsa_bits else { return key.public.clone() };
        let mut modulus = vec![0; bits / 8 + 1];
        modulus[1..].fill(0xd5);
        let numbers = tlv(0x30, &[&tlv(2, &[&modulus]), &tlv(2, &[&[1, 0, 1]])]);
        public(RSA, &numbers)
    }

    /// By `issuer`, `None` for one that signs for itself.
    pub fn by(self, issuer: Option<&Cert>) -> Cert {
        let key = if self.ed25519 { Key::ed25519() } else { Key::new() };
        let above = issuer.map_or(&key, |it| &it.key);
        // Whoever has a key of RSA cannot sign: the signature is of the right form, and false.
        let unsigned = issuer.map_or(self.rsa_bits, |it| it.says.rsa_bits);
        let mut extensions = Vec::new();
        if self.authority {
            extensions.push(extension(19, true, &tlv(0x30, &[&[1, 1, 0xff]])));
        }
        if !self.names.is_empty() {
            let names: Vec<u8> = self.names.iter().flat_map(|n| tlv(0x82, &[n.as_bytes()])).collect();
            extensions.push(extension(17, false, &tlv(0x30, &[&names])));
        }
        if let Some(purpose) = self.purpose {
            extensions.push(extension(37, false, &tlv(0x30, &[purpose])));
        }
        extensions.extend(self.extension.clone());
        let algorithm = tlv(0x30, &[if unsigned.is_some() { RSA_WITH_SHA256 } else { ECDSA_WITH_SHA256 }]);
        let v3 = self.version == 3;
        let tbs = tlv(
            0x30,
            &[
                &if v3 { tlv(0xa0, &[&[2, 1, 2]]) } else { Vec::new() },
                &tlv(2, &[&[self.serial]]),
                &algorithm,
                &named(issuer.map_or(self.subject, |it| it.says.subject)),
                &tlv(0x30, &[&tlv(0x18, &[self.from.as_bytes()]), &tlv(0x18, &[self.until.as_bytes()])]),
                &named(self.subject),
                &self.public(&key),
                &if v3 { tlv(0xa3, &[&tlv(0x30, &[&extensions.concat()])]) } else { Vec::new() },
            ],
        );
        let der = match unsigned {
            Some(bits) => tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0], &vec![0x55; bits / 8]])]),
            None => above.signed(&tbs),
        };
        Cert { der: der.into(), key, says: self }
    }
}

/// A certificate with its key.
pub struct Cert {
    pub der: CertificateDer<'static>,
    pub key: Key,
    pub says: Says,
}

impl Cert {
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        self.says.public(&self.key)
    }

    /// As the supervisor sends it.
    pub fn pair(&self) -> Value {
        json!({"chain": self.pem(), "key": self.key.pem()})
    }

    /// Its list of revoked serial numbers, from 2026 until `until`.
    pub fn list(&self, revoked: &[u8], until: &str) -> String {
        self.odd_list(1, revoked, until, &[])
    }

    /// As [`Cert::list`], of any form: `extensions` beside the number of the list.
    pub fn odd_list(&self, version: u8, revoked: &[u8], until: &str, extensions: &[u8]) -> String {
        self.list_of(version, &revoked.iter().map(|it| (*it, None)).collect::<Vec<_>>(), until, extensions)
    }

    /// Each revoked number with an extension of its own.
    pub fn list_of(&self, version: u8, revoked: &[(u8, Option<Vec<u8>>)], until: &str, extensions: &[u8]) -> String {
        let entry = |(serial, more): &(u8, Option<Vec<u8>>)| {
            let more = more.as_ref().map_or_else(Vec::new, |it| tlv(0x30, &[it]));
            tlv(0x30, &[&tlv(2, &[&[*serial]]), &tlv(0x18, &[FROM.as_bytes()]), &more])
        };
        let entries: Vec<u8> = revoked.iter().flat_map(entry).collect();
        let tbs = tlv(
            0x30,
            &[
                &tlv(2, &[&[version]]),
                &tlv(0x30, &[ECDSA_WITH_SHA256]),
                &named(self.says.subject),
                &tlv(0x18, &[FROM.as_bytes()]),
                &tlv(0x18, &[until.as_bytes()]),
                &if entries.is_empty() { Vec::new() } else { tlv(0x30, &[&entries]) },
                &tlv(0xa0, &[&tlv(0x30, &[&extension(20, false, &tlv(2, &[&[1]])), extensions])]),
            ],
        );
        pem("X509 CRL", &self.key.signed(&tbs))
    }
}

/// What the supervisor sends: chains with keys, roots, lists.
pub fn blob(pairs: &[(&str, &Cert)], roots: &[(&str, String)], lists: &[(&str, String)]) -> Blob {
    let texts = |all: &[(&str, String)]| all.iter().map(|(id, text)| ((*id).to_owned(), json!(text))).collect();
    let certs: Map<String, Value> = pairs.iter().map(|(id, it)| ((*id).to_owned(), it.pair())).collect();
    let (cas, crls): (Map<String, Value>, Map<String, Value>) = (texts(roots), texts(lists));
    serde_json::from_str(&json!({"certs": certs, "cas": cas, "crls": crls}).to_string()).expect("a blob")
}
