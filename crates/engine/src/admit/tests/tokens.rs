//! Which tokens are believed, at which route, and for how long. Read next: `passwords.rs`.

use super::*;
use crate::admit::jwt::token;
use crate::admit::lacking;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyhop_running::token::{JwtRun, Verified};

fn key(of: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[of; 32]).expect("a seed")
}

fn keys(of: u8) -> String {
    let x = URL_SAFE_NO_PAD.encode(key(of).public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string()
}

fn signed(issuer: &str, kid: &str, more: &Value) -> String {
    let mut claims = json!({"iss": format!("https://{issuer}.test"), "aud": "api", "exp": END_S});
    claims.as_object_mut().expect("claims").extend(more.as_object().expect("claims").clone());
    let part = |it: Value| URL_SAFE_NO_PAD.encode(it.to_string());
    let text = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": kid})), part(claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(key(7).sign(text.as_bytes()).as_ref()))
}

pub(super) fn good() -> String {
    signed("corp", "k", &json!({}))
}

pub(super) fn bearer(text: &str) -> Sent {
    fields(&[("authorization", &format!("Bearer {text}"))])
}

fn issuer(name: &str, keys: &Value) -> Value {
    json!({
        "name": name, "issuer": format!("https://{name}.test"), "audience": ["api"], "algorithms": ["EdDSA"],
        "type": null, "leeway_s": LEEWAY_S, "keys": keys,
    })
}

fn file() -> Value {
    json!({"kind": "file", "path": "/keys.json"})
}

fn server() -> Value {
    let hop = json!({"tls": "plaintext", "reach": {"kind": "same_host"}});
    let backend = json!({"at": {"kind": "unix", "path": "/run/idp"}, "hop": hop});
    json!({"kind": "server", "authority": "idp.test", "path": "/jwks", "backend": backend})
}

/// Routes that ask for tokens: the one of a.test of `corp`, the one of b.test of `other`.
pub(super) fn of_tokens(change: impl Fn(&mut Value)) -> Value {
    let mut plan = plan();
    plan["issuers"] = json!([issuer("corp", &file()), issuer("other", &file())]);
    for (route, name) in [(0, "corp"), (1, "other")] {
        way(&mut plan, route)["jwt"] =
            json!({"issuers": [name], "at": {"kind": "authorization"}, "claims": [], "strip": false});
    }
    change(&mut plan);
    plan
}

pub(super) fn with_keys(plan: &Value, of: u8) -> Running {
    running(plan, &[("corp", keys(of)), ("other", keys(of))], None)
}

fn jwt(running: &Running, route: usize) -> &JwtRun {
    running.routes[route].jwt.as_deref().expect("it asks for a token")
}

pub(super) fn judged(running: &Running, route: usize, text: &str, now_s: i64) -> Result<Arc<Verified>, Refusal> {
    let found = token(jwt(running, route), (Shows::InRequest, &bearer(text)), now_s)?;
    Ok(found.expect("a token that was asked for"))
}

#[test]
fn a_route_that_asks_for_a_token_takes_whoever_shows_a_good_one_and_nobody_else() {
    let it = with_keys(&of_tokens(|_| ()), 7);
    assert_eq!(at_edge(&it, "a.test", &bearer(&good())), Ok(0));
    assert_eq!(at_edge(&it, "b.test", &bearer(&signed("other", "k", &json!({})))), Ok(1));
    assert_eq!(at_edge(&it, "a.test", &Vec::new()), by(0, Refusal::TokenMissing));
    assert_eq!(at_edge(&it, "b.test", &bearer(&good())), by(1, Refusal::TokenIssuer), "which another route believes");
    assert_eq!(at_edge(&it, "c.test", &Vec::new()), Ok(2), "which asks for none");
    // As a question says, whatever its fields have.
    let whole = |shows| admit(&it, &proved("public", shows), &of("a.test"), &Vec::new(), NOW_S);
    assert_eq!(whole(Shows::Anything), Ok(0));
    assert_eq!(whole(Shows::Token("x")), by(0, Refusal::TokenMalformed));
    let shown: &'static str = good().leak();
    assert_eq!(whole(Shows::Token(shown)), Ok(0));
}

#[test]
fn a_token_holds_up_to_its_last_second_and_no_longer_remembered_or_not() {
    let it = with_keys(&of_tokens(|_| ()), 7);
    let last = END_S + LEEWAY_S - 1;
    assert!(judged(&it, 0, &good(), last).is_ok());
    assert_eq!(judged(&it, 0, &good(), last + 1).err(), Some(Refusal::TokenExpired));
    assert_eq!(judged(&it, 0, &signed("corp", "k", &json!({"n": 1})), last + 1).err(), Some(Refusal::TokenExpired));
}

#[test]
fn what_was_verified_is_believed_for_five_minutes_without_asking_again() {
    let it = with_keys(&of_tokens(|_| ()), 7);
    let first = judged(&it, 0, &good(), NOW_S).expect("a good one");
    assert_eq!(first.claims.exp_s, END_S);
    for (after_s, same) in [(0, true), (299, true), (300, false)] {
        let again = judged(&it, 0, &good(), NOW_S + after_s).expect("a good one");
        assert_eq!(Arc::ptr_eq(&first, &again), same, "after {after_s} s");
    }
}

#[test]
fn what_was_verified_is_nothing_to_another_route_and_to_other_keys() {
    let plan = of_tokens(|_| ());
    let it = with_keys(&plan, 7);
    assert!(judged(&it, 0, &good(), NOW_S).is_ok());
    assert_eq!(judged(&it, 1, &good(), NOW_S).err(), Some(Refusal::TokenIssuer));
    assert_eq!(judged(&with_keys(&plan, 8), 0, &good(), NOW_S).err(), Some(Refusal::TokenSignature));
}

#[test]
fn a_token_has_the_claims_that_its_route_wants_and_those_that_are_told_can_be_said() {
    let wants = with_keys(
        &of_tokens(|plan| {
            way(plan, 0)["jwt"]["claims"] = json!([{"path": ["role"], "any": [{"kind": "text", "text": "admin"}]}]);
        }),
        7,
    );
    let with = |it: &Running, claims: Value| judged(it, 0, &signed("corp", "k", &claims), NOW_S).err();
    assert_eq!(with(&wants, json!({"role": "admin"})), None);
    assert_eq!(with(&wants, json!({"role": "guest"})), Some(Refusal::TokenClaims));
    let tells = with_keys(
        &of_tokens(|plan| {
            let value = json!([{"kind": "claim", "path": ["sub"]}]);
            way(plan, 0)["request"]["set"] = json!([{"name": "x-user", "value": value}]);
        }),
        7,
    );
    assert_eq!(with(&tells, json!({"sub": "ann"})), None);
    assert_eq!(with(&tells, json!({"sub": "ann\nx: y"})), Some(Refusal::TokenUntellable));
}

#[test]
fn whose_key_is_not_there_is_told_apart_from_who_has_none_yet_and_is_asked_where_somebody_can_be() {
    let fetched = of_tokens(|plan| plan["issuers"][0] = issuer("corp", &server()));
    let (files, server) = (with_keys(&of_tokens(|_| ()), 7), running(&fetched, &[("other", keys(7))], None));
    let of_another = signed("corp", "new", &json!({}));
    assert_eq!(at_edge(&files, "a.test", &bearer(&of_another)), by(0, Refusal::TokenKey));
    assert_eq!(at_edge(&server, "a.test", &bearer(&of_another)), by(0, Refusal::TokenKeysUnavailable));

    let asks = |it: &Running, route: Option<usize>, why: Refusal, shown: &Sent| {
        lacking(it, Refused { route, why }, shown).map(|issuer| issuer.name.to_string())
    };
    let shown = bearer(&of_another);
    for why in [Refusal::TokenKey, Refusal::TokenKeysUnavailable] {
        assert_eq!(asks(&server, Some(0), why, &shown).as_deref(), Some("corp"));
    }
    assert_eq!(asks(&server, Some(0), Refusal::TokenSignature, &shown), None, "its key is there");
    assert_eq!(asks(&server, None, Refusal::TokenKey, &shown), None);
    assert_eq!(asks(&server, Some(2), Refusal::TokenKey, &shown), None, "which asks for no token");
    assert_eq!(asks(&files, Some(0), Refusal::TokenKey, &shown), None, "a file is all that there is");
}
