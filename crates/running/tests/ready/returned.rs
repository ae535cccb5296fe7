//! What a route makes of what its backends say of themselves: whom it knows as one of them.

use crate::kit::plan::*;
use everyhop_plan::Cookies;
use everyhop_running::returned::ReturnedRun;
use everyhop_running::running::Running;
use serde_json::{Value, json};

fn built(change: impl Fn(&mut Value)) -> Running {
    let mut plan = plan();
    change(&mut plan);
    Material::new().built(&plan, None).expect("a plan")
}

fn returned(running: &Running, route: usize) -> Option<&ReturnedRun> {
    running.routes[route].response.as_ref()?.returned.as_deref()
}

/// The backends of the first route: a Unix socket, and `b.test:1` at 10.0.0.1 and 10.0.0.2.
#[test]
fn a_backend_is_known_by_its_name_or_an_address_of_it_together_with_its_port() {
    let running = built(|plan| {
        *way(plan, 0, "locations") = json!("rewrite");
        *way(plan, 1, "locations") = json!("rewrite");
        *way(plan, 1, "backends") = json!([hop(json!({"kind": "ip", "ip": "::1", "port": 2}), same_host())]);
    });
    let it = returned(&running, 0).expect("it is rewritten");
    for (host, port) in
        [(Some("b.test"), 1), (Some("B.Test"), 1), (Some("10.0.0.1"), 1), (Some("10.0.0.2"), 1), (None, 1)]
    {
        assert!(it.is_backend(host, port), "{host:?} {port}");
    }
    for (host, port) in [
        (Some("b.test"), 2),
        (Some("c.test"), 1),
        (Some("10.0.0.1"), 2),
        (Some("10.0.0.3"), 1),
        (Some("/run/b"), 1),
        (Some(""), 1),
        (None, 2),
    ] {
        assert!(!it.is_backend(host, port), "{host:?} {port}");
    }
    let six = returned(&running, 1).expect("it is rewritten");
    assert!(six.is_backend(Some("[::1]"), 2) && six.is_backend(None, 2));
    assert!(
        !six.is_backend(Some("[::2]"), 2) && !six.is_backend(Some("[::1]"), 1) && !six.is_backend(Some("b.test"), 2)
    );
}

#[test]
fn what_a_backend_says_of_itself_is_looked_at_only_where_the_route_says_so() {
    let cookies = json!({"secure": true, "http_only": false, "same_site": null, "path": null});
    for (locations, cookies, looks) in [
        ("keep", Value::Null, false),
        ("rewrite", Value::Null, true),
        ("keep", cookies.clone(), true),
        ("rewrite", cookies, true),
    ] {
        let running = built(|plan| {
            *way(plan, 0, "locations") = json!(locations);
            *way(plan, 0, "cookies") = cookies.clone();
        });
        let it = returned(&running, 0);
        assert_eq!(it.is_some(), looks, "{locations} {cookies}");
        if let Some(it) = it {
            let guards = Cookies { secure: true, http_only: false, same_site: None, path: None };
            assert_eq!((it.locations, it.cookies == Some(guards)), (locations == "rewrite", !cookies.is_null()));
        }
    }
}

#[test]
fn what_was_taken_from_a_path_and_put_before_it_is_known_and_the_host_that_was_asked_for() {
    let of = |target: Value, host: Value| {
        let running = built(|plan| {
            *way(plan, 0, "locations") = json!("rewrite");
            *way(plan, 0, "target") = target.clone();
            *way(plan, 0, "host_header") = host.clone();
        });
        let it = returned(&running, 0).expect("it is rewritten");
        let route = &running.routes[0];
        assert_eq!(route.host_header.as_deref(), it.host.as_deref());
        assert_eq!(route.target.is_some(), target["kind"] != "as_it_came");
        (it.strip.to_string(), it.under.to_string(), it.host.as_deref().map(str::to_owned))
    };
    let moved = json!({"kind": "moved", "strip": "/v1", "under": "/api"});
    let none = (String::new(), String::new());
    assert_eq!(of(moved, json!("b.internal")), ("/v1".into(), "/api".into(), Some("b.internal".into())));
    for target in [
        json!({"kind": "as_it_came"}),
        json!({"kind": "fixed", "path": "/x"}),
        json!({"kind": "rewritten", "regex": "/a", "to": "/b"}),
    ] {
        assert_eq!(of(target, Value::Null), (none.0.clone(), none.1.clone(), None));
    }
}

#[test]
fn a_name_that_leads_nowhere_yet_is_known_as_a_backends_all_the_same() {
    let mut plan = plan();
    *way(&mut plan, 0, "locations") = json!("rewrite");
    let mut material = Material::new();
    material.names.clear();
    let running = material.built(&plan, None).expect("a plan");
    let it = returned(&running, 0).expect("it is rewritten");
    assert!(it.is_backend(Some("b.test"), 1) && it.is_backend(None, 1));
    assert!(!it.is_backend(Some("10.0.0.1"), 1) && !it.is_backend(None, 2));
}
