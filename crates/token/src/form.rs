//! What a token says, before anybody believes it: the three parts of a compact JWS (RFC 7515 §7.1), its header and its
//! claims. Fields of the header that name keys or where to find them (`jku`, `jwk`, `x5u`, `x5c`) are never looked at.
//! Read next: `judge.rs`.

use crate::No;
use crate::algorithm::Algorithm;
use crate::strict::object;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// A longer one is not read. Of those that are met, the longest list a person's groups.
pub const LONGEST: usize = 16 * 1024;
/// A longer name of a key is none.
const LONGEST_KID: usize = 512;

/// A token that was read, and not yet verified.
#[derive(Debug)]
pub struct Token<'a> {
    /// What was signed: header and claims as they came.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) claims: Map<String, Value>,
}

/// Reads a token.
///
/// Refuses: [`No::TooLong`], [`No::Malformed`], [`No::Critical`], [`No::Algorithm`], and [`No::Type`] for one around another
/// token.
pub fn read(text: &[u8]) -> Result<Token<'_>, No> {
    if text.len() > LONGEST {
        return Err(No::TooLong);
    }
    let mut dots = text.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else { return Err(No::Malformed) };
    let (signed, signature) = (text.get(..second), text.get(second + 1..));
    let (header, claims) = (text.get(..first), text.get(first + 1..second));
    let (Some(signed), Some(signature), Some(header), Some(claims)) = (signed, signature, header, claims) else {
        return Err(No::Malformed);
    };
    let header = object(&decoded(header)?).ok_or(No::Malformed)?;
    let (algorithm, kid, typ) = judged(&header)?;
    let signature = decoded(signature)?;
    let claims = object(&decoded(claims)?).ok_or(No::Malformed)?;
    Ok(Token { signed, signature, algorithm, kid, typ, claims })
}

/// Without padding and without bits that mean nothing: each part has one form (RFC 7515 §2).
fn decoded(part: &[u8]) -> Result<Vec<u8>, No> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| No::Malformed)
}

fn judged(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>, Option<String>), No> {
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(it)) => Ok(Some(it.as_str())),
        Some(_) => Err(No::Malformed),
    };
    // Whatever must be understood is not (RFC 7515 §4.1.11). Claims that are not encoded (RFC 7797) are said by `b64`, which
    // some take without its `crit`.
    if header.contains_key("crit") || header.get("b64").is_some_and(|it| *it != Value::Bool(true)) {
        return Err(No::Critical);
    }
    // Those of encryption (RFC 7516): a JWE is no JWS.
    if header.contains_key("enc") || header.contains_key("zip") {
        return Err(No::Malformed);
    }
    let algorithm = text("alg")?.ok_or(No::Malformed)?;
    let algorithm = Algorithm::named(algorithm).ok_or(No::Algorithm)?;
    if text("cty")?.is_some_and(|it| bare(it).eq_ignore_ascii_case("jwt")) {
        return Err(No::Type);
    }
    let kid = text("kid")?;
    if kid.is_some_and(|it| it.len() > LONGEST_KID) {
        return Err(No::Malformed);
    }
    Ok((algorithm, kid.map(str::to_owned), text("typ")?.map(str::to_owned)))
}

/// A media type without the `application/` that may be left out (RFC 7515 §4.1.9).
pub(crate) fn bare(media: &str) -> &str {
    match media.get(..12) {
        Some(start) if start.eq_ignore_ascii_case("application/") => media.get(12..).unwrap_or_default(),
        _ => media,
    }
}

impl Token<'_> {
    /// Who says to have issued it.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The name of the key by which it says to be signed.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}
