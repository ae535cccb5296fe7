//! An issuer of tests: it signs whatever it is told, and forges as readily.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyhop_token::{Algorithm, Claims, KeySet, Kind, No, Rules, read};
use serde_json::{Value, json};
use std::sync::LazyLock;

pub const NOW: i64 = 1_800_000_000;
pub const ISSUER: &str = "https://login.test";

pub enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
}

pub static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"))));
pub static P256: LazyLock<Signer> = LazyLock::new(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"));
pub static P384: LazyLock<Signer> = LazyLock::new(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"));
pub static P521: LazyLock<Signer> = LazyLock::new(|| ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"));
pub static ED: LazyLock<Signer> = LazyLock::new(|| Signer::Ed(Ed25519KeyPair::generate().expect("a key")));

fn ec(by: &'static EcdsaSigningAlgorithm, crv: &'static str) -> Signer {
    Signer::Ec(EcdsaKeyPair::generate(by).expect("a key"), crv)
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The two numbers of an RSAPublicKey (RFC 8017 §A.1.1), without the zero that keeps the first positive.
fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn take(der: &[u8], tag: u8) -> (&[u8], &[u8]) {
        assert_eq!(der[0], tag);
        let (len, at) = match der[1] {
            n @ 0..0x80 => (usize::from(n), 2),
            n => {
                let bytes = usize::from(n & 0x7f);
                (der[2..2 + bytes].iter().fold(0, |sum, b| sum << 8 | usize::from(*b)), 2 + bytes)
            }
        };
        (&der[at..at + len], &der[at + len..])
    }
    let (inner, _) = take(der, 0x30);
    let (n, rest) = take(inner, 2);
    let (e, _) = take(rest, 2);
    let bare = |it: &[u8]| it.iter().copied().skip_while(|b| *b == 0).collect::<Vec<u8>>();
    (bare(n), bare(e))
}

impl Signer {
    /// The public key (RFC 7517), with `more` in it.
    pub fn jwk(&self, kid: Option<&str>, more: Value) -> Value {
        let mut jwk = match self {
            Signer::Rsa(key) => {
                let (n, e) = numbers(key.public_key().as_ref());
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
            Signer::Ec(key, crv) => {
                let point = key.public_key().as_ref();
                let half = (point.len() - 1) / 2;
                json!({"kty": "EC", "crv": crv, "x": b64(&point[1..=half]), "y": b64(&point[1 + half..])})
            }
            Signer::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())}),
        };
        let all = jwk.as_object_mut().expect("an object");
        if let Some(kid) = kid {
            all.insert("kid".into(), kid.into());
        }
        if let Value::Object(more) = more {
            all.extend(more);
        }
        jwk
    }

    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(key) => {
                let by: &'static dyn aws_lc_rs::signature::RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256 as &'static RsaSignatureEncoding,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(by, &random, message, &mut signature).expect("a signature");
                signature
            }
            Signer::Ec(key, _) => key.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Signer::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

/// Claims that pass.
pub fn fine() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "alice", "exp": NOW + 600, "iat": NOW - 10, "scope": "api.read api.write"})
}

/// The same with `more` in them; what is null is taken out.
pub fn with(more: Value) -> Value {
    let mut all = fine();
    let map = all.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.clone(), value.clone());
        }
    }
    all
}

/// A token of exactly these texts.
pub fn token_of(signer: &Signer, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let alg = serde_json::from_str::<Value>(header).ok();
    let alg = alg.and_then(|it| it.get("alg")?.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{signed}.{}", b64(signer.sign(&alg, signed.as_bytes())))
}

pub fn token(signer: &Signer, header: Value, claims: Value) -> String {
    token_of(signer, &header.to_string(), &claims.to_string())
}

pub fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({"keys": keys}).to_string().as_bytes()).expect("a set")
}

pub fn rules() -> Rules {
    Rules {
        issuer: ISSUER.into(),
        audience: vec!["api".into(), "other".into()],
        algorithms: Algorithm::ALL.to_vec(),
        kind: Kind::Either,
        leeway_s: 30,
    }
}

pub fn judged(text: &str, rules: &Rules, keys: &KeySet) -> Result<Claims, No> {
    read(text.as_bytes())?.judged(rules, keys, NOW)
}
