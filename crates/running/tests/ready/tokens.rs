//! Tokens of a route: whose are believed, which claims it wants, what of them is told, until when, and what a reload keeps.

use crate::kit::NOW_S;
use crate::kit::plan::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everyhop_running::running::Running;
use everyhop_running::token::{JwtRun, Verified};
use everyhop_token::read;
use serde_json::{Value, json};
use std::sync::Arc;

const END_S: i64 = 1_798_765_200;

/// The one key by which tokens of the tests are signed.
fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed")
}

fn keys() -> String {
    let x = URL_SAFE_NO_PAD.encode(key().public_key().as_ref());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string()
}

fn issuer(name: &str, keys: Value) -> Value {
    json!({
        "name": name, "issuer": format!("https://{name}.test"), "audience": ["api"], "algorithms": ["EdDSA"],
        "type": null, "leeway_s": 30, "keys": keys,
    })
}

fn file() -> Value {
    json!({"kind": "file", "path": "/keys.json"})
}

fn server(path: &str) -> Value {
    let backend = hop(json!({"kind": "ip", "ip": "10.0.0.9", "port": 443}), reencrypt(verify(roots(None))));
    json!({"kind": "server", "authority": "idp.test", "path": path, "backend": backend})
}

/// With keys for `names`, each known by a digest of its own.
fn material(names: &[&str]) -> Material {
    let mut it = Material::new();
    for name in names {
        it.blob.issuers.insert(format!("issuer/{name}"), keys());
        it.listed.push(listed(&format!("issuer/{name}"), name, None));
    }
    it
}

/// The plan whose first route asks for a token of `issuers[0]`, and that has all of them.
fn plan_of(issuers: &[Value], change: impl Fn(&mut Value)) -> Value {
    let mut plan = plan();
    plan["issuers"] = json!(issuers);
    *way(&mut plan, 0, "jwt") =
        json!({"issuers": [issuers[0]["name"]], "at": {"kind": "authorization"}, "claims": [], "strip": false});
    change(&mut plan);
    plan
}

/// The route's, with two issuers of which it believes the first.
fn built(change: impl Fn(&mut Value)) -> Running {
    let plan = plan_of(&[issuer("corp", file()), issuer("other", file())], change);
    material(&["corp", "other"]).built(&plan, None).expect("a plan")
}

fn jwt(running: &Running) -> &JwtRun {
    running.routes[0].jwt.as_deref().expect("it asks for a token")
}

/// A token of that issuer with these claims, as the engine verifies it.
fn verified(running: &Running, issuer: &str, more: Value) -> Verified {
    let found = running.issuers.iter().find(|it| *it.name == *issuer).expect("an issuer");
    let mut claims = json!({"iss": format!("https://{issuer}.test"), "aud": "api", "exp": END_S});
    claims.as_object_mut().expect("claims").extend(more.as_object().expect("claims").clone());
    let part = |it: Value| URL_SAFE_NO_PAD.encode(it.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "k"})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).as_ref());
    let text = format!("{signed}.{signature}");
    let now_s = i64::try_from(NOW_S).expect("a time");
    let token = read(text.as_bytes()).expect("a token");
    Verified { claims: token.judged(&found.rules, &found.keys, now_s).expect("a good one"), issuer: found.clone() }
}

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

#[test]
fn a_route_believes_the_issuers_that_it_names_by_what_their_tokens_call_them_and_nobody_else() {
    let running = built(|_| ());
    let it = jwt(&running);
    assert_eq!(it.issuers.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["corp"]);
    assert!(it.issuer("https://corp.test").is_some_and(|it| &*it.name == "corp"));
    for other in ["https://other.test", "https://corp.test/", "corp", ""] {
        assert!(it.issuer(other).is_none(), "{other:?}");
    }
    assert!(it.believes(&verified(&running, "corp", json!({}))));
    assert!(!it.believes(&verified(&running, "other", json!({}))), "another route's issuer verified it");
    let nobody = plan_of(&[issuer("corp", file())], |plan| way(plan, 0, "jwt")["issuers"] = json!(["gone"]));
    assert!(material(&["corp"]).built(&nobody, None).is_err_and(|why| why.contains("gone")));
}

#[test]
fn a_token_is_believed_until_its_end_and_as_long_again_as_clocks_of_its_issuer_may_be_apart() {
    let running = built(|_| ());
    assert_eq!(verified(&running, "corp", json!({})).ends_s(), END_S + 30);
    let strict = built(|plan| plan["issuers"][0]["leeway_s"] = json!(0));
    assert_eq!(verified(&strict, "corp", json!({})).ends_s(), END_S);
}

#[test]
fn every_claim_that_a_route_names_must_be_one_of_what_it_wants() {
    let running = built(|plan| {
        way(plan, 0, "jwt")["claims"] = json!([
            {"path": ["role"], "any": [{"kind": "text", "text": "admin"}, {"kind": "text", "text": "owner"}]},
            {"path": ["org", "id"], "any": [{"kind": "whole", "whole": 7}]},
            {"path": ["staff"], "any": [{"kind": "truth", "truth": true}]},
        ]);
    });
    let takes = |claims: Value| jwt(&running).takes(&verified(&running, "corp", claims).claims);
    assert!(takes(json!({"role": "admin", "org": {"id": 7}, "staff": true})));
    assert!(takes(json!({"role": ["guest", "owner"], "org": {"id": 7}, "staff": true})));
    for less in [
        json!({}),
        json!({"role": "guest", "org": {"id": 7}, "staff": true}),
        json!({"role": "admin", "org": {"id": 8}, "staff": true}),
        json!({"role": "admin", "org": {"id": 7}, "staff": false}),
        json!({"role": "admin", "org": {"id": 7}}),
    ] {
        assert!(!takes(less.clone()), "{less}");
    }
    let any = built(|_| ());
    assert!(jwt(&any).takes(&verified(&any, "corp", json!({})).claims), "a route that names none wants none");
}

#[test]
fn a_field_says_a_claim_as_the_token_has_it_and_nothing_where_it_has_none() {
    let running = built(|_| ());
    let claims =
        json!({"sub": "ann", "n": 7, "org": {"name": "a b"}, "groups": ["x", "y"], "odd": "a\nb", "none": null});
    let it = verified(&running, "corp", claims);
    for (name, told) in
        [("sub", "ann"), ("n", "7"), ("org.name", "a b"), ("groups", "x, y"), ("odd", ""), ("none", ""), ("gone", "")]
    {
        assert_eq!(it.told(&path(name)), told, "{name}");
    }
}

#[test]
fn a_token_does_for_a_route_only_if_all_that_its_backends_are_told_of_it_can_stand_in_a_field() {
    let edit = |claim: &str| json!([{"name": "x-told", "value": [{"kind": "claim", "path": path(claim)}]}]);
    for list in ["set", "add"] {
        let running = built(|plan| way(plan, 0, "request")[list] = edit("org.name"));
        let can_tell = |claims: Value| jwt(&running).can_tell(&verified(&running, "corp", claims).claims);
        assert!(can_tell(json!({"org": {"name": "a"}})) && can_tell(json!({})), "{list}");
        assert!(can_tell(json!({"name": "a\nb"})), "{list}: nobody is told that one");
        assert!(!can_tell(json!({"org": {"name": "a\nb"}})), "{list}");
        assert!(!can_tell(json!({"org": {"name": {"of": "a"}}})), "{list}");
    }
}

#[test]
fn of_cookies_the_tokens_own_stays_here_where_it_goes_no_further() {
    let of = |at: Value, strip: bool| {
        let running =
            built(|plan| (way(plan, 0, "jwt")["at"], way(plan, 0, "jwt")["strip"]) = (at.clone(), json!(strip)));
        jwt(&running).kept_cookie().map(str::to_owned)
    };
    let cookie = json!({"kind": "cookie", "name": "sign-in"});
    assert_eq!(of(cookie.clone(), true).as_deref(), Some("sign-in"));
    assert_eq!(of(cookie, false), None);
    for elsewhere in [json!({"kind": "authorization"}), json!({"kind": "field", "name": "x-token"})] {
        assert_eq!(of(elsewhere, true), None);
    }
}

#[test]
fn what_was_verified_is_believed_over_a_reload_unless_its_issuer_or_its_keys_are_others() {
    let plan = plan_of(&[issuer("corp", file()), issuer("other", file())], |_| ());
    let material = material(&["corp", "other"]);
    let before = material.built(&plan, None).expect("a plan");
    let token = verified(&before, "corp", json!({}));
    let same = material.built(&plan, Some(&before)).expect("a plan");
    assert!(jwt(&same).believes(&token));
    let others = material.built_by(&plan, Some(&before), material.with("issuer/corp", "rotated")).expect("a plan");
    assert!(!jwt(&others).believes(&token), "its key may have been taken back");
    assert!(Arc::ptr_eq(&others.issuers[1], &before.issuers[1]), "and nothing of another issuer");
    let mut less = plan.clone();
    less["issuers"][0]["leeway_s"] = json!(0);
    let less = material.built(&less, Some(&before)).expect("a plan");
    assert!(!jwt(&less).believes(&token));
}

/// Else a reload would let whoever makes up names of keys ask once more.
#[test]
fn when_keys_were_asked_for_is_known_over_a_reload_as_long_as_the_same_server_is_asked_for_the_same_issuer() {
    let two = [issuer("corp", server("/keys")), issuer("other", server("/keys"))];
    let plan = plan_of(&two, |_| ());
    let material = Material::new();
    let before = material.built(&plan, None).expect("a plan");
    let after = |change: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        change(&mut plan["issuers"]);
        material.built(&plan, Some(&before)).expect("a plan")
    };
    let server_of = |running: &Running, i: usize| running.issuers[i].server.clone().expect("a server");
    assert!(!Arc::ptr_eq(&server_of(&before, 0), &server_of(&before, 1)), "each issuer is asked by itself");
    let is_kept = |now: &Running, i: usize| Arc::ptr_eq(&server_of(now, i), &server_of(&before, i));
    let now = after(&|all| (all[0]["leeway_s"], all[1]["leeway_s"]) = (json!(1), json!(1)));
    assert!(is_kept(&now, 0) && is_kept(&now, 1), "another leeway is no reason to ask");
    let now = after(&|all| all[1]["keys"] = server("/elsewhere"));
    assert!(is_kept(&now, 0) && !is_kept(&now, 1), "another server was never asked");
    assert!(before.issuers.iter().all(|it| it.keys.is_empty()), "no keys came yet");
}
