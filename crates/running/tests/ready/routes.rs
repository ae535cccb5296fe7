//! What becomes of each setting of a route and of a site, where nothing but that setting is there.

use crate::kit::plan::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_plan::{EjectOn, StartTls, UpstreamProtocol};
use everyhop_running::running::{RouteRun, Running};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn built(change: impl Fn(&mut Value)) -> Running {
    let mut plan = plan();
    change(&mut plan);
    Material::new().built(&plan, None).expect("a plan")
}

/// The first route with that.
fn route(key: &str, value: Value) -> Arc<RouteRun> {
    built(|plan| *way(plan, 0, key) = value.clone()).routes[0].clone()
}

#[test]
fn an_answer_passes_untouched_where_a_route_says_nothing_of_it() {
    assert!(built(|_| ()).routes.iter().all(|r| r.response.is_none() && r.request.is_none() && r.cors().is_none()));
}

#[test]
fn each_of_what_a_route_makes_of_answers_is_enough_for_it_to_look_at_them() {
    let cors = json!({"origins": ["https://app.test"], "methods": [], "headers": [], "expose": [], "max_age_s": 1, "credentials": false});
    let it = route("cors", cors);
    let shape = it.response.as_ref().expect("a shape");
    assert!(it.cors().is_some_and(|it| it.takes(b"https://app.test")));
    assert!(shape.compress.is_none() && shape.returned.is_none() && shape.edits.is_empty());
    let it = route("compress", json!({"codings": ["br"], "with_credentials": false}));
    let shape = it.response.as_ref().expect("a shape");
    assert!(shape.compress.is_some() && shape.cors.is_none() && shape.returned.is_none() && it.cors().is_none());
    let it = route("response", json!({"remove": ["x"], "set": [], "add": []}));
    let shape = it.response.as_ref().expect("a shape");
    assert!(!shape.edits.is_empty() && shape.compress.is_none() && shape.cors.is_none() && shape.returned.is_none());
}

#[test]
fn a_backend_is_left_alone_for_what_its_route_counts_and_its_answers_are_read_as_its_route_says() {
    for (words, counted) in [
        (json!([]), vec![]),
        (json!(["timeouts"]), vec![EjectOn::Timeouts]),
        (json!(["timeouts", "5xx"]), vec![EjectOn::Timeouts, EjectOn::Errors]),
    ] {
        assert_eq!(route("eject_on", words).eject_on, counted);
    }
    assert_eq!(route("slow_ms", json!(800)).slow, Some(Duration::from_millis(800)));
    assert_eq!(route("slow_ms", Value::Null).slow, None);
    for (word, lenient) in [("strict", false), ("lenient", true)] {
        let it = route("answers", json!(word));
        assert!(it.backends.iter().all(|b| b.lenient_answers == lenient), "{word}");
    }
}

#[test]
fn a_hop_without_tls_speaks_what_it_is_told_since_nothing_could_choose() {
    let mut auto = plan();
    *way(&mut auto, 0, "upstream_protocol") = json!("auto");
    let why = Material::new().built(&auto, None).err().expect("a refusal");
    assert_eq!(why, "the hop to unix:/run/b has no TLS in which it could choose its protocol");
    *way(&mut auto, 0, "backends") = json!([hop(literal(), reencrypt(verify(roots(None))))]);
    let it = Material::new().built(&auto, None).expect("a plan");
    assert_eq!(it.routes[0].backends[0].protocol, UpstreamProtocol::Auto);
}

/// Each thread has connections of its own.
#[test]
fn connections_to_a_backend_are_as_many_as_the_route_says_and_one_for_each_thread_at_the_least() {
    let of = |most: Value, idle: u32| {
        let running = built(|plan| {
            plan["engine"]["threads"] = json!({"count": "fixed", "threads": 4});
            plan["limits"]["upstream_idle_connections"] = json!(idle);
            *way(plan, 0, "most") = most.clone();
        });
        let it = &running.routes[0];
        (it.connections, it.limits.upstream_idle_connections, Arc::ptr_eq(&it.limits, &running.limits))
    };
    let most = |connections: Value| json!({"connections": connections, "requests": null, "waiting": 0, "wait_s": 5});
    for (connections, bound, each_keeps) in [(1, 4, 1), (4, 4, 1), (5, 5, 2), (8, 8, 2), (9, 9, 3), (4000, 4000, 1000)]
    {
        assert_eq!(of(most(json!(connections)), 1024), (Some(bound), each_keeps, false), "{connections}");
    }
    assert_eq!(of(most(json!(4000)), 10), (Some(4000), 10, false), "and no more than the file lets it keep");
    assert_eq!(of(most(Value::Null), 1024), (None, 1024, true));
    assert_eq!(of(Value::Null, 1024), (None, 1024, true));
}

/// The plan whose second route is a stream.
fn stream(change: impl Fn(&mut Value)) -> Running {
    built(|plan| {
        let mut site = plan["sites"][0].clone();
        for (key, value) in
            [("name", json!("stream")), ("hosts", json!(["b.test"])), ("protocol", json!("tcp")), ("alpn", json!([]))]
        {
            site[key] = value;
        }
        plan["sites"][0]["hosts"] = json!(["a.test"]);
        plan["sites"].as_array_mut().expect("sites").push(site);
        *way(plan, 1, "upstream_protocol") = json!("tcp");
        change(plan);
    })
}

#[test]
fn only_what_is_not_read_begins_with_words_of_another_protocol_or_of_who_the_client_is() {
    for route in [0, 1] {
        let running = stream(|plan| {
            *way(plan, route, "send_proxy") = json!("v2");
            *way(plan, route, "starttls") = json!("smtp");
        });
        let it = &running.routes[route];
        assert_eq!((it.send_proxy, it.starttls), (route == 1, (route == 1).then_some(StartTls::Smtp)));
        let other = &running.routes[1 - route];
        assert_eq!((other.send_proxy, other.starttls), (false, None));
        assert_eq!(running.sites.iter().map(|s| s.is_streaming).collect::<Vec<_>>(), [false, true]);
    }
}

#[test]
fn a_site_has_its_browsers_insist_only_where_it_says_so() {
    let of =
        |hsts: Value| built(|plan| plan["sites"][0]["hsts"] = hsts.clone()).sites[0].hsts.as_deref().map(str::to_owned);
    let it = of(json!({"max_age_s": 60, "subdomains": true, "preload": false}));
    assert_eq!(it.as_deref(), Some("max-age=60; includeSubDomains"));
    assert_eq!(of(Value::Null), None);
}

#[test]
fn a_backend_whose_bytes_are_not_opened_is_checked_and_asked_for_as_its_route_says() {
    let health = json!({"asks": {"kind": "connect"}, "every_s": 5, "timeout_s": 2, "down_after": 1, "up_after": 1});
    let spread = json!({"by": {"kind": "client_address"}, "shares": [{"weight": 1, "backup": false, "zone": null}], "sticky": null, "health": health, "slow_start_s": 0});
    let of = |spread: &Value, starttls: Value| {
        built(|plan| {
            plan["routes"][1]["hosts"] = json!(["p.test"]);
            plan["routes"][1]["way"] = json!({"ends": "at_backend", "allow_networks": null, "send_proxy": "off", "starttls": starttls, "spread": spread, "backends": [literal()]});
        })
    };
    let (checked, plain) = (of(&spread, json!("postgres")), of(&Value::Null, Value::Null));
    let (it, other) = (&checked.routes[1], &plain.routes[1]);
    assert_eq!((it.starttls, other.starttls), (Some(StartTls::Postgres), None));
    let checks = |it: &RouteRun| it.backends[0].check.is_some();
    assert_eq!((checks(it), checks(other)), (true, false));
    assert_eq!((it.spread.is_some(), other.spread.is_some()), (true, false));
    let ids = |it: &RouteRun| (it.backends[0].hop_id, it.backends[0].kin_id);
    let ((hop, kin), (other_hop, other_kin)) = (ids(it), ids(other));
    assert!(hop != other_hop && kin == other_kin && other_hop == other_kin, "the same hop, checked otherwise");
}

/// The plan with a third route, which answers itself.
fn here(body: Value) -> Value {
    let mut plan = plan();
    let mut own =
        serde_json::from_str::<Value>(include_str!("../../../../fuzz/plan.json")).expect("a plan")["routes"][2].take();
    own["way"]["gives"]["status"] = json!(200);
    own["way"]["gives"]["location"] = Value::Null;
    own["way"]["gives"]["body"] = body;
    plan["routes"].as_array_mut().expect("routes").push(own);
    plan
}

#[test]
fn what_the_edge_answers_itself_is_there_byte_for_byte_and_what_was_not_sent_makes_no_plan() {
    let mut it = Material::new();
    it.blob.pages.insert("page/one".into(), STANDARD.encode(b"\xff\0page"));
    it.blob.pages.insert("page/odd".into(), "*".into());
    for (body, bytes) in [
        (json!({"kind": "nothing"}), &b""[..]),
        (json!({"kind": "words", "text": "h\u{e9}"}), "h\u{e9}".as_bytes()),
        (json!({"kind": "page", "page": "page/one"}), b"\xff\0page"),
    ] {
        let running = it.built(&here(body), None).expect("a plan");
        let route = &running.routes[2];
        let given = route.given.as_ref().expect("an answer");
        assert_eq!((route.pattern, given.status, &*given.body), ("answered", 200, bytes));
        assert!(given.location.is_none() && route.backends.is_empty() && route.takers() == 0);
    }
    for (page, why) in
        [("page/none", "material \"page/none\" was not sent"), ("page/odd", "\"page/odd\" is not base64")]
    {
        let refused = it.built(&here(json!({"kind": "page", "page": page})), None);
        assert_eq!(refused.err().as_deref(), Some(why));
    }
}

#[test]
fn errors_are_told_by_the_plans_pages_where_it_has_any() {
    let mut it = Material::new();
    it.blob.pages.insert("page/one".into(), STANDARD.encode(b"down"));
    let mut told = plan();
    told["pages"] = json!([{"first": 502, "last": 503, "page": "page/one"}]);
    let pages = it.built(&told, None).expect("a plan").pages.expect("pages");
    let told = [501, 502, 503, 504].map(|status| pages.page(status).is_some());
    assert_eq!(told, [false, true, true, false]);
    assert!(it.built(&plan(), None).expect("a plan").pages.is_none());
}
