//! An issuer's public keys: a JWK Set (RFC 7517). A key is taken for signatures of its own family alone, and by `alg`, where it
//! says one, for that alone; what cannot be used is left out by name, so that whoever reads the set can say so.

use crate::algorithm::Algorithm;
use crate::strict::object;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A longer set is not read.
pub const MOST_BYTES: usize = 256 * 1024;
/// A set of more keys is none; large providers publish ten.
const MOST_KEYS: usize = 100;
const LEAST_RSA_BITS: usize = 2048;
const MOST_RSA_BITS: usize = 8192;

/// The keys of a set that can be used.
#[derive(Debug)]
pub struct KeySet {
    pub(crate) keys: Vec<Key>,
    pub left_out: Vec<LeftOut>,
}

pub(crate) struct Key {
    pub(crate) kid: Option<String>,
    /// By what it verifies.
    fits: Vec<(Algorithm, ParsedPublicKey)>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits: Vec<&str> = self.fits.iter().map(|(it, _)| it.name()).collect();
        f.debug_struct("Key").field("kid", &self.kid).field("fits", &fits).finish()
    }
}

impl Key {
    pub(crate) fn of(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.fits.iter().find(|(it, _)| *it == algorithm).map(|(_, key)| key)
    }
}

/// A key of a set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Counted from 0.
    pub at: usize,
    pub kid: Option<String>,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// `oct`: whoever verifies by it can issue by it.
    Symmetric,
    /// It holds the private half, which whoever reads the set now has.
    Private,
    /// RSA below 2048 bits.
    Weak,
    /// For encryption, by `use`, `key_ops` or `alg`.
    OtherUse,
    /// Of a family, on a curve or for an algorithm that is not known here.
    Unknown,
    /// It is no key.
    Unreadable,
}

impl Why {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Why::Symmetric => "symmetric",
            Why::Private => "private",
            Why::Weak => "weak",
            Why::OtherUse => "other-use",
            Why::Unknown => "unknown",
            Why::Unreadable => "unreadable",
        }
    }
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSet {
    TooLong,
    /// No JSON, not an object, or something in it is said twice.
    NotJson,
    /// It has no list of keys.
    NoList,
    TooMany,
}

impl NoSet {
    pub fn sentence(self) -> &'static str {
        match self {
            NoSet::TooLong => "it is longer than 256 KiB",
            NoSet::NotJson => "it is no object of JSON, or says something twice",
            NoSet::NoList => "it has no list \"keys\"",
            NoSet::TooMany => "it has more than 100 keys",
        }
    }
}

impl KeySet {
    /// Of an issuer whose keys are not known yet.
    pub fn empty() -> KeySet {
        KeySet { keys: Vec::new(), left_out: Vec::new() }
    }

    /// Reads a set. One without a key that can be used is read all the same: whoever asks says what that means.
    pub fn read(json: &[u8]) -> Result<KeySet, NoSet> {
        if json.len() > MOST_BYTES {
            return Err(NoSet::TooLong);
        }
        let set = object(json).ok_or(NoSet::NotJson)?;
        let all = set.get("keys").and_then(Value::as_array).ok_or(NoSet::NoList)?;
        if all.len() > MOST_KEYS {
            return Err(NoSet::TooMany);
        }
        let mut read = KeySet::empty();
        for (at, jwk) in all.iter().enumerate() {
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            match key(jwk, kid.clone()) {
                Ok(key) => read.keys.push(key),
                Err(why) => read.left_out.push(LeftOut { at, kid, why }),
            }
        }
        Ok(read)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// By what its keys verify, each once.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL.into_iter().filter(|it| self.keys.iter().any(|key| key.of(*it).is_some())).collect()
    }
}

fn key(jwk: &Value, kid: Option<String>) -> Result<Key, Why> {
    let jwk = jwk.as_object().ok_or(Why::Unreadable)?;
    let text = |name: &str| match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(it)) => Ok(Some(it.as_str())),
        Some(_) => Err(Why::Unreadable),
    };
    let kty = text("kty")?.ok_or(Why::Unreadable)?;
    text("kid")?;
    if kty == "oct" {
        return Err(Why::Symmetric);
    }
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"].iter().any(|it| jwk.contains_key(*it)) {
        return Err(Why::Private);
    }
    if text("use")?.is_some_and(|it| it != "sig") {
        return Err(Why::OtherUse);
    }
    if let Some(ops) = jwk.get("key_ops") {
        let ops = ops.as_array().ok_or(Why::Unreadable)?;
        if !ops.iter().any(|it| it == "verify") {
            return Err(Why::OtherUse);
        }
    }
    let mut fits = match kty {
        "RSA" => rsa(jwk)?,
        "EC" => ec(jwk)?,
        "OKP" => okp(jwk)?,
        _ => return Err(Why::Unknown),
    };
    if let Some(alg) = text("alg")? {
        let only = Algorithm::named(alg).ok_or(Why::OtherUse)?;
        fits.retain(|(it, _)| *it == only);
        if fits.is_empty() {
            return Err(Why::Unreadable);
        }
    }
    Ok(Key { kid, fits })
}

type Fits = Vec<(Algorithm, ParsedPublicKey)>;

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Why> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(Why::Unreadable)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Why::Unreadable)
}

/// Zeros before a number are none of it, whatever a provider's library writes.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, Why> {
    let all = bytes(jwk, name)?;
    let zeros = all.iter().take_while(|b| **b == 0).count();
    Ok(all.get(zeros..).unwrap_or_default().to_vec())
}

fn rsa(jwk: &Map<String, Value>) -> Result<Fits, Why> {
    let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if bits < LEAST_RSA_BITS {
        return Err(Why::Weak);
    }
    // Of 33 bits at most, as aws-lc has it, odd, and not 1, with which everything is its own signature.
    let exponent = e.iter().fold(0_u64, |sum, b| sum.saturating_mul(256).saturating_add(u64::from(*b)));
    if bits > MOST_RSA_BITS
        || n.last().is_none_or(|b| b % 2 == 0)
        || !(3..1 << 33).contains(&exponent)
        || exponent % 2 == 0
    {
        return Err(Why::Unreadable);
    }
    let key = RsaPublicKeyComponents { n: &*n, e: &*e };
    let made = Algorithm::of_rsa().into_iter().map(|(it, by)| Ok((it, key.to_parsed_public_key(by)?)));
    made.collect::<Result<_, aws_lc_rs::error::KeyRejected>>().map_err(|_| Why::Unreadable)
}

fn ec(jwk: &Map<String, Value>) -> Result<Fits, Why> {
    let crv = jwk.get("crv").and_then(Value::as_str).ok_or(Why::Unreadable)?;
    let (algorithm, by, length) = Algorithm::of_curve(crv).ok_or(Why::Unknown)?;
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Why::Unreadable);
    }
    // An uncompressed point (SEC 1 §2.3.3); that it lies on the curve is looked at by aws-lc.
    let point = [&[4][..], &x, &y].concat();
    Ok(vec![(algorithm, ParsedPublicKey::new(by, point).map_err(|_| Why::Unreadable)?)])
}

fn okp(jwk: &Map<String, Value>) -> Result<Fits, Why> {
    if jwk.get("crv").and_then(Value::as_str).ok_or(Why::Unreadable)? != "Ed25519" {
        return Err(Why::Unknown);
    }
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(Why::Unreadable);
    }
    Ok(vec![(Algorithm::EdDsa, ParsedPublicKey::new(&ED25519, x).map_err(|_| Why::Unreadable)?)])
}
