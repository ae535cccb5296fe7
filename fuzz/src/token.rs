//! Tokens and key sets: what is read is what a second, naive reading of the same JSON finds, and nothing passes that nobody
//! signed.

use crate::shown;
use everyhop_token::{Algorithm, KeySet, Kind, LONGEST, Rules, read};
use serde_json::Value;

/// Public keys whose private halves nobody kept.
const KEYS: &str = include_str!("../keys.json");

/// A token; or, where it begins as an object, the texts of a header and of claims, one in a line.
pub fn token(data: &[u8]) {
    let built = data.starts_with(b"{").then(|| {
        let mut lines = data.splitn(2, |b| *b == b'\n').map(base64url);
        let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        format!("{header}.{claims}.AAAA").into_bytes()
    });
    let text = built.as_deref().unwrap_or(data);
    let Ok(token) = read(text) else { return };
    assert!(text.len() <= LONGEST && text.iter().filter(|b| **b == b'.').count() == 2, "{}", shown(text));
    assert!(text.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)), "{}", shown(text));
    let parts: Vec<Value> = match built {
        Some(_) => data.splitn(2, |b| *b == b'\n').map(|p| serde_json::from_slice(p).expect("JSON")).collect(),
        None => Vec::new(),
    };
    if let [header, claims] = parts.as_slice() {
        let alg = header["alg"].as_str().expect("an algorithm");
        assert!(Algorithm::named(alg).is_some() && header.get("crit").is_none() && header.get("enc").is_none());
        assert_eq!(token.kid(), header["kid"].as_str());
        assert_eq!(token.issuer(), claims["iss"].as_str());
    }
    let keys = KeySet::read(KEYS.as_bytes()).expect("keys");
    let rules = Rules {
        issuer: token.issuer().unwrap_or_default().to_owned(),
        audience: vec!["api".into()],
        algorithms: Algorithm::ALL.to_vec(),
        kind: Kind::Either,
        leeway_s: 30,
    };
    assert!(token.judged(&rules, &keys, 0).is_err(), "nobody signed that: {}", shown(text));
}

fn base64url(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |sum, at| sum << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..=chunk.len() {
            out.push(char::from(SIGNS[(bits >> (18 - 6 * at) & 63) as usize]));
        }
    }
    out
}

/// A set of keys.
pub fn key_set(data: &[u8]) {
    let Ok(set) = KeySet::read(data) else { return };
    let naive: Value = serde_json::from_slice(data).expect("JSON");
    let all = naive["keys"].as_array().expect("keys");
    assert_eq!(set.len() + set.left_out.len(), all.len());
    assert!(set.left_out.iter().all(|it| it.kid.as_deref() == all[it.at]["kid"].as_str()));
    let is_used = |at: usize| !set.left_out.iter().any(|it| it.at == at);
    for key in all.iter().enumerate().filter(|(at, _)| is_used(*at)).map(|(_, key)| key) {
        assert!(["RSA", "EC", "OKP"].iter().any(|it| key["kty"] == *it), "{key}");
        assert!(key.get("d").is_none() && key.get("k").is_none(), "{key}");
    }
    assert_eq!(set.is_empty(), set.algorithms().is_empty());
}
