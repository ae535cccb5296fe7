//! The token that a route asks for: found in one place, verified by its issuer's keys, for us, valid now, and with the claims
//! that the route wants. What was verified once is remembered by the thread, by the whole token, until it ends, its issuer's
//! keys change or five minutes are over. Read next: `everyhop-token`, which judges.

use crate::admit::Shows;
use everyhop_canon::cookie;
use everyhop_decide::Headers;
use everyhop_plan::TokenFrom;
use everyhop_record::refusal::Refusal;
use everyhop_running::token::{IssuerRun, JwtRun, Verified};
use everyhop_token::{No, Remembered, read};
use std::cell::RefCell;
use std::sync::Arc;

/// How long what was verified is believed without asking again.
const REMEMBERED_S: i64 = 300;

/// The one that a route wants; nothing where the question says nothing of one.
#[inline(never)]
pub(crate) fn token(
    jwt: &JwtRun,
    (shows, headers): (Shows<'_>, &dyn Headers),
    now_s: i64,
) -> Result<Option<Arc<Verified>>, Refusal> {
    match shows {
        Shows::Anything => Ok(None),
        Shows::Token(text) => judged(jwt, text.as_bytes(), now_s).map(Some),
        Shows::InRequest => {
            let text = found(headers, &jwt.at)?;
            judged(jwt, &text, now_s).map(Some)
        }
    }
}

/// The one token that a request has.
fn found(headers: &dyn Headers, from: &TokenFrom) -> Result<Vec<u8>, Refusal> {
    let mut found: Option<Vec<u8>> = None;
    let mut several = false;
    let mut take = |token: &[u8]| {
        several |= found.is_some();
        found = Some(token.to_vec());
    };
    match from {
        TokenFrom::Authorization {} => {
            let mut fields = 0;
            headers.each_value("authorization", &mut |value| {
                fields += 1;
                bearer(value).map(&mut take);
            });
            // Of two fields a backend may believe the other one.
            several |= fields > 1;
        }
        TokenFrom::Field { name } => headers.each_value(name, &mut take),
        TokenFrom::Cookie { name } => headers.each_value("cookie", &mut |value| {
            value.split(|b| *b == b';').filter_map(|pair| cookie::named(pair, name)).for_each(&mut take);
        }),
    }
    if several {
        return Err(Refusal::TokenSeveral);
    }
    found.filter(|it| !it.is_empty()).ok_or(Refusal::TokenMissing)
}

/// What follows the scheme, whose case does not matter (RFC 9110 §11.1); nothing where it is another one.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b" ").map(<[u8]>::trim_ascii)
}

thread_local! {
    static KNOWN: RefCell<Remembered<Known>> = RefCell::default();
}

#[derive(Clone)]
struct Known {
    until_s: i64,
    token: Arc<Verified>,
}

/// Verifies it, or knows that it was.
fn judged(jwt: &JwtRun, text: &[u8], now_s: i64) -> Result<Arc<Verified>, Refusal> {
    let known = KNOWN.with_borrow_mut(|all| all.get(text));
    let token = match known.filter(|it| now_s < it.until_s && jwt.believes(&it.token)) {
        Some(it) => it.token,
        None => {
            let token = Arc::new(verified(jwt, text, now_s)?);
            let until_s = token.ends_s().min(now_s.saturating_add(REMEMBERED_S));
            KNOWN.with_borrow_mut(|all| all.put(text, Known { until_s, token: token.clone() }));
            token
        }
    };
    stands(jwt, &token, now_s)?;
    Ok(token)
}

/// What a route wants of a token that was verified, which it may be asked again of one that began a tunnel.
pub(super) fn stands(jwt: &JwtRun, token: &Verified, now_s: i64) -> Result<(), Refusal> {
    if now_s >= token.ends_s() {
        return Err(Refusal::TokenExpired);
    }
    if !jwt.takes(&token.claims) {
        return Err(Refusal::TokenClaims);
    }
    if !jwt.can_tell(&token.claims) {
        return Err(Refusal::TokenUntellable);
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn verified(jwt: &JwtRun, text: &[u8], now_s: i64) -> Result<Verified, Refusal> {
    let token = read(text).map_err(refusal)?;
    let issuer = token.issuer().and_then(|iss| jwt.issuer(iss)).ok_or(Refusal::TokenIssuer)?.clone();
    let claims = token.judged(&issuer.rules, &issuer.keys, now_s).map_err(|no| match no {
        No::UnknownKey if issuer.keys.is_empty() => Refusal::TokenKeysUnavailable,
        no => refusal(no),
    })?;
    Ok(Verified { issuer, claims })
}

/// Whose key is not there by which a request's token says to be signed, where somebody can be asked for it.
#[cold]
pub(super) fn lacking(jwt: &JwtRun, headers: &dyn Headers) -> Option<Arc<IssuerRun>> {
    let text = found(headers, &jwt.at).ok()?;
    let issuer = read(&text).ok()?.issuer().and_then(|iss| jwt.issuer(iss))?.clone();
    issuer.server.is_some().then_some(issuer)
}

fn refusal(no: No) -> Refusal {
    match no {
        No::TooLong => Refusal::TokenTooLong,
        No::Malformed => Refusal::TokenMalformed,
        No::Critical => Refusal::TokenCritical,
        No::Type => Refusal::TokenType,
        No::Algorithm => Refusal::TokenAlgorithm,
        No::UnknownKey => Refusal::TokenKey,
        No::Signature => Refusal::TokenSignature,
        No::Issuer => Refusal::TokenIssuer,
        No::Audience => Refusal::TokenAudience,
        No::NoEnd => Refusal::TokenNoEnd,
        No::Expired => Refusal::TokenExpired,
        No::NotYet => Refusal::TokenNotYet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn of(from: &TokenFrom, all: &[(&str, &str)]) -> Result<String, Refusal> {
        found(&pairs(all), from).map(|it| String::from_utf8(it).expect("text"))
    }

    #[test]
    fn a_request_has_one_token_in_one_place_or_none() {
        let (missing, several) = (Err(Refusal::TokenMissing), Err(Refusal::TokenSeveral));
        let from = TokenFrom::Authorization {};
        for (fields, token) in [
            (&[("authorization", "Bearer a.b.c")][..], Ok("a.b.c".to_owned())),
            (&[("Authorization", "bEARER  a.b.c ")], Ok("a.b.c".to_owned())),
            (&[("authorization", "Bearer a b")], Ok("a b".to_owned())),
            (&[], missing.clone()),
            (&[("authorization", "Bearer")], missing.clone()),
            (&[("authorization", "Bearer ")], missing.clone()),
            (&[("authorization", "Bearera.b.c")], missing.clone()),
            (&[("authorization", "Basic a.b.c")], missing.clone()),
            (&[("x-token", "a.b.c"), ("cookie", "t=a.b.c")], missing.clone()),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer a")], several.clone()),
            (&[("authorization", "Basic x"), ("authorization", "Bearer a")], several.clone()),
        ] {
            assert_eq!(of(&from, fields), token, "{fields:?}");
        }
        let from = TokenFrom::Cookie { name: "t".into() };
        for (fields, token) in [
            (&[("cookie", "a=1; t=x.y.z; b=2")][..], Ok("x.y.z".to_owned())),
            (&[("cookie", "a=1"), ("cookie", "t=x")], Ok("x".to_owned())),
            (&[("cookie", "T=x; tt=y")], missing.clone()),
            (&[("cookie", "t=")], missing.clone()),
            (&[("authorization", "Bearer x")], missing.clone()),
            (&[("cookie", "t=x; t=x")], several.clone()),
            (&[("cookie", "t=x"), ("cookie", "t=y")], several.clone()),
        ] {
            assert_eq!(of(&from, fields), token, "{fields:?}");
        }
        let from = TokenFrom::Field { name: "x-token".into() };
        for (fields, token) in [
            (&[("X-Token", "x.y.z")][..], Ok("x.y.z".to_owned())),
            (&[("x-token", "a"), ("x-token", "b")], several),
            (&[("authorization", "Bearer x")], missing),
        ] {
            assert_eq!(of(&from, fields), token, "{fields:?}");
        }
    }
}
