//! Whether a token is its issuer's, for us, and valid now: the algorithm by the issuer's list and by the key's family, the
//! signature, then each claim that RFC 8725 §3 wants looked at. Read next: `claims.rs`.

use crate::No;
use crate::algorithm::Algorithm;
use crate::claims::Claims;
use crate::form::{Token, bare};
use crate::keys::{Key, KeySet};
use serde_json::Value;

/// Of a token that names no key at most so many are tried.
const MOST_TRIED: usize = 4;
/// The year 9999 and more is no time that anybody meant.
const LAST_S: f64 = 253_402_300_800.0;

/// Of which type an issuer's tokens say to be (`typ`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None, `JWT`, or `at+jwt`.
    Either,
    /// None or `JWT`.
    Jwt,
    /// An access token (RFC 9068): `at+jwt`, and it must say so.
    Access,
}

/// What an issuer's tokens must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Exactly so in `iss`.
    pub issuer: String,
    /// One of them in `aud`.
    pub audience: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub kind: Kind,
    /// How far clocks may be apart.
    pub leeway_s: u32,
}

impl Token<'_> {
    /// Believes it. `now_s` is Unix time.
    pub fn judged(self, rules: &Rules, keys: &KeySet, now_s: i64) -> Result<Claims, No> {
        if self.issuer() != Some(rules.issuer.as_str()) {
            return Err(No::Issuer);
        }
        if !rules.algorithms.contains(&self.algorithm) {
            return Err(No::Algorithm);
        }
        self.is_signed(keys)?;
        if !self.is_of(rules.kind) {
            return Err(No::Type);
        }
        self.is_for(&rules.audience)?;
        let exp_s = self.holds(rules, now_s)?;
        Ok(Claims { all: self.claims, exp_s })
    }

    pub(crate) fn is_signed(&self, keys: &KeySet) -> Result<(), No> {
        let named = |key: &&Key| self.kid.is_none() || key.kid == self.kid;
        let mut tried = 0;
        for key in keys.keys.iter().filter(named).filter_map(|key| key.of(self.algorithm)) {
            tried += 1;
            if tried > MOST_TRIED {
                break;
            }
            if key.verify_sig(self.signed, &self.signature).is_ok() {
                return Ok(());
            }
        }
        match tried {
            0 => Err(No::UnknownKey),
            _ if tried > MOST_TRIED => Err(No::UnknownKey),
            _ => Err(No::Signature),
        }
    }

    fn is_of(&self, kind: Kind) -> bool {
        let is = |it: &str| self.typ.as_deref().map(bare).is_some_and(|typ| typ.eq_ignore_ascii_case(it));
        let plain = self.typ.is_none() || is("jwt");
        match kind {
            Kind::Either => plain || is("at+jwt"),
            Kind::Jwt => plain,
            Kind::Access => is("at+jwt"),
        }
    }

    fn is_for(&self, audience: &[String]) -> Result<(), No> {
        let ours = |it: &Value| it.as_str().is_some_and(|it| audience.iter().any(|our| our == it));
        let fits = match self.claims.get("aud") {
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => all.iter().any(ours),
            Some(Value::Array(_)) => return Err(No::Malformed),
            Some(one) => ours(one),
            None => false,
        };
        if fits { Ok(()) } else { Err(No::Audience) }
    }

    /// It is valid now; until when.
    fn holds(&self, rules: &Rules, now_s: i64) -> Result<i64, No> {
        let leeway = i64::from(rules.leeway_s);
        let exp_s = self.time("exp")?.ok_or(No::NoEnd)?.floor();
        if now_s >= whole(exp_s).saturating_add(leeway) {
            return Err(No::Expired);
        }
        for begins in ["nbf", "iat"] {
            if let Some(at) = self.time(begins)?
                && now_s.saturating_add(leeway) < whole(at.ceil())
            {
                return Err(No::NotYet);
            }
        }
        Ok(whole(exp_s))
    }

    /// Seconds since 1970, perhaps with a fraction (RFC 7519 §2).
    fn time(&self, name: &str) -> Result<Option<f64>, No> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(it) => match it.as_f64().filter(|at| (0.0..LAST_S).contains(at)) {
                Some(at) => Ok(Some(at)),
                None => Err(No::Malformed),
            },
        }
    }
}

/// Of a number of seconds below [`LAST_S`].
fn whole(at: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and far from the limit")]
    let at = at as i64;
    at
}
