//! Which requests of a route become spans, and when what was written for one collector may be sent to another.

use crate::kit::plan::*;
use everyhop_running::running::Running;
use everyhop_running::traces::{Share, TracesRun};
use serde_json::{Value, json};

/// With a collector at these places, below that path.
fn plan_to(under: &str, places: &[Value]) -> Value {
    let mut plan = plan();
    let backends: Vec<_> = places.iter().map(|at| hop(at.clone(), same_host())).collect();
    plan["collectors"] = json!([{"name": "otel", "under": under, "backends": backends}]);
    plan["traces"] = json!({
        "collector": "otel", "ppm": 10_000, "slow_ms": 1000, "service": "edge", "resource": [], "query": false,
    });
    plan
}

fn built(plan: &Value, before: Option<&Running>) -> Running {
    Material::new().built(plan, before).expect("a plan")
}

fn traces(running: &Running) -> &TracesRun {
    running.traces.as_ref().expect("traces")
}

#[test]
fn what_waits_to_be_sent_goes_on_waiting_over_a_reload_only_for_the_same_place() {
    let one = built(&plan_to("/otlp", &[literal()]), None);
    let of = |under: &str, places: &[Value]| {
        let next = built(&plan_to(under, places), Some(&one));
        let (a, b) = (traces(&one), traces(&next));
        assert_eq!(a.is_to_the_same(b), b.is_to_the_same(a), "{under} {places:?}");
        a.is_to_the_same(b)
    };
    assert!(of("/otlp", &[literal()]));
    assert!(!of("/other", &[literal()]), "another path");
    assert!(!of("/otlp", &[unix()]), "another backend");
    assert!(!of("/otlp", &[literal(), unix()]), "one more, which was not meant then");
    assert!(!of("/other", &[unix()]));
    let mut richer = plan_to("/otlp", &[literal()]);
    richer["traces"]["ppm"] = json!(1_000_000);
    assert!(traces(&one).is_to_the_same(traces(&built(&richer, Some(&one)))), "how many is no place");
}

#[test]
fn a_route_keeps_as_many_traces_as_the_file_says_or_as_it_says_itself_or_none() {
    for (said, share) in [
        (json!({"kind": "as_file"}), Some(Share::of(10_000))),
        (json!({"kind": "share", "ppm": 500_000}), Some(Share::of(500_000))),
        (json!({"kind": "never"}), None),
    ] {
        let mut plan = plan_to("", &[literal()]);
        plan["routes"][0]["traces"] = said.clone();
        let running = built(&plan, None);
        assert_eq!(running.routes[0].traces, share, "{said}");
        assert_eq!((running.routes[1].traces, traces(&running).share), (Some(Share::of(10_000)), Share::of(10_000)));
    }
    assert!(built(&plan(), None).routes.iter().all(|r| r.traces.is_none()), "without a collector none");
}

/// Of what nobody reads as requests there is nothing that a span could say.
#[test]
fn only_routes_whose_requests_the_edge_reads_have_traces_those_of_backends_that_speak_http_and_those_it_answers() {
    let here: Value = serde_json::from_str(include_str!("../../../../fuzz/plan.json")).expect("a plan");
    let mut plan = plan_to("", &[literal()]);
    plan["routes"].as_array_mut().expect("routes").push(here["routes"][2].clone());
    let of = |plan: &Value| built(plan, None).routes.iter().map(|r| r.traces.is_some()).collect::<Vec<_>>();
    assert_eq!(of(&plan), [true, true, true], "the third is answered by the edge itself");
    let mut stream = plan.clone();
    let mut site = plan["sites"][0].clone();
    (site["name"], site["hosts"], site["protocol"]) = (json!("stream"), json!(["b.test"]), json!("tcp"));
    site["alpn"] = json!([]);
    stream["sites"][0]["hosts"] = json!(["a.test", "c.test"]);
    stream["sites"].as_array_mut().expect("sites").push(site);
    *way(&mut stream, 1, "upstream_protocol") = json!("tcp");
    assert_eq!(of(&stream), [true, false, true], "bytes of any protocol");
    plan["routes"][1]["hosts"] = json!(["p.test"]);
    plan["routes"][1]["way"] = json!({"ends": "at_backend", "allow_networks": null, "send_proxy": "off", "starttls": null, "spread": null, "backends": [literal()]});
    assert_eq!(of(&plan), [true, false, true], "TLS that the edge does not end");
}
