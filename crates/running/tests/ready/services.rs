//! Backends that a service's records name, over new answers of the resolver.

use crate::kit::plan::*;
use everyhop_running::address::Found;
use everyhop_running::backend::BackendRun;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

const SERVICE: &str = "_http._tcp.b.test";

fn target(at_: &str, priority: u16, weight: u16) -> Found {
    Found::Target(at(at_).expect("an address"), priority, weight)
}

fn said(backend: &BackendRun) -> Vec<(String, u16, u16)> {
    let all = backend.addresses.load();
    all.iter().map(|a| (a.at.expect("an address").to_string(), a.rank.priority, a.rank.weight)).collect()
}

#[test]
fn an_address_has_the_priority_and_weight_that_it_was_given_last_and_fares_as_it_did() {
    let mut plan = plan();
    *way(&mut plan, 1, "backends") = json!([hop(json!({"kind": "service", "service": SERVICE}), same_host())]);
    let mut material = Material::new();
    let named = |all: Vec<Found>| HashMap::from([(format!("srv:{SERVICE}"), all)]);
    material.names.extend(named(vec![target("10.0.0.1:1", 0, 5), target("10.0.0.2:1", 1, 5)]));
    let running = material.built(&plan, None).expect("a plan");
    let it = &running.routes[1].backends[0];
    assert_eq!(said(it), [("10.0.0.1:1".into(), 0, 5), ("10.0.0.2:1".into(), 1, 5)]);
    let fares = it.addresses.load()[0].fares.clone();
    running.resolve(&named(vec![target("10.0.0.1:1", 2, 9), target("10.0.0.3:1", 1, 7)]));
    assert_eq!(said(it), [("10.0.0.1:1".into(), 2, 9), ("10.0.0.3:1".into(), 1, 7)]);
    assert!(Arc::ptr_eq(&fares, &it.addresses.load()[0].fares), "whoever failed there is not forgotten");
}
