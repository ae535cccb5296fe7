//! What a route is told of those beside it: who decides for it, who takes copies, and what goes no further than the edge.

use crate::kit::plan::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_running::running::{RouteRun, Running};
use serde_json::{Value, json};
use std::sync::Arc;

fn policy_of_rules(name: &str, mode: &str) -> Value {
    json!({
        "name": name, "mode": mode, "paranoia": 1, "extra": [], "exclude": [], "body_bytes": 1024, "over_body": "refuse",
        "when_down": {"kind": "refuse"}, "deadline_ms": 1000, "at_once": 8,
    })
}

/// The first route, with these settings beside policies of both kinds, an authorizer and a file of users.
fn built(settings: &[(&str, Value)]) -> Result<Running, String> {
    let mut plan = plan();
    plan["wafs"] = json!([policy_of_rules("detects", "detect"), policy_of_rules("blocks", "block")]);
    plan["authorizers"] = json!([{
        "name": "auth", "speaks": {"kind": "http", "target": "/verify"}, "sends": ["cookie"], "takes": ["x-user"],
        "when_down": {"kind": "refuse"}, "deadline_ms": 1500, "at_once": 2, "backends": [hop(literal(), same_host())],
    }]);
    for (key, value) in settings {
        *way(&mut plan, 0, key) = value.clone();
    }
    let mut material = Material { inspector: Some("inspector"), ..Material::new() };
    let users = "ann:$2b$04$n4774HHL8WsI0JTO8zrC/eujrwfDJSRA0mUdeduwFt7akPEbhwtk2\n";
    let sent = json!(STANDARD.encode(users)).to_string();
    material.blob.users.insert("users/people".into(), serde_json::from_str(&sent).expect("a text"));
    material.built(&plan, None)
}

fn route(settings: &[(&str, Value)]) -> Arc<RouteRun> {
    built(settings).expect("a plan").routes[0].clone()
}

fn mirror() -> (&'static str, Value) {
    let it = json!({
        "share_per_million": 500_000, "upstream_protocol": "http/1.1", "request": {"remove": [], "set": [], "add": []},
        "body_bytes": 9, "at_once": 1, "timeout_s": 3, "backends": [hop(literal(), same_host())],
    });
    ("mirror", it)
}

#[test]
fn rules_that_block_decide_for_a_route_and_rules_that_only_detect_take_a_copy() {
    let (blocks, detects) = (("waf", json!("blocks")), ("waf", json!("detects")));
    let asks = ("ask", json!("auth"));
    for (settings, asked, copied, policy) in [
        (vec![], false, false, None),
        (vec![blocks.clone()], true, false, Some("blocks")),
        (vec![detects.clone()], false, true, Some("detects")),
        (vec![asks.clone()], true, false, None),
        (vec![asks.clone(), detects.clone()], true, true, Some("detects")),
        (vec![mirror()], false, true, None),
        (vec![mirror(), blocks], true, true, Some("blocks")),
        (vec![asks, mirror(), detects], true, true, Some("detects")),
    ] {
        let it = route(&settings);
        assert_eq!((it.asks_others, it.is_copied), (asked, copied), "{settings:?}");
        assert_eq!(it.waf.as_ref().map(|waf| waf.by.name.as_str()), policy, "{settings:?}");
    }
    assert_eq!(built(&[("waf", json!("none"))]).err().as_deref(), Some("waf \"none\" is not there"));
}

#[test]
fn a_route_that_asks_for_a_password_has_its_users_and_sends_it_on_only_if_it_says_so() {
    let removed = |strip: bool| {
        let it = route(&[("basic", json!({"file": "people", "names": ["ann"], "realm": null, "strip": strip}))]);
        let users = &it.basic.as_ref().expect("users").users.users;
        assert_eq!(users.each().map(|it| it.name.to_string()).collect::<Vec<_>>(), ["ann"]);
        it.request.as_ref().map(|edits| edits.remove.clone())
    };
    assert_eq!(removed(true), Some(vec!["authorization".to_owned()]));
    assert_eq!(removed(false), None);
}
