//! Where copies of a route's requests go: hops of their own, kept and counted over reloads. And which backends are in the
//! edge's own zone.

use crate::kit::plan::*;
use everyhop_running::mirror::Outcome;
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::sync::Arc;

/// The first route, with copies to what is its own backend.
fn mirrored(at_once: u32) -> Value {
    let mut plan = plan();
    *way(&mut plan, 0, "backends") = json!([hop(literal(), same_host())]);
    let request = json!({"remove": ["cookie"], "set": [], "add": []});
    *way(&mut plan, 0, "mirror") = json!({
        "share_per_million": 500_000, "upstream_protocol": "http/1.1", "request": request, "body_bytes": 9,
        "at_once": at_once, "timeout_s": 3, "backends": [hop(literal(), same_host())],
    });
    plan
}

fn built(plan: &Value, before: Option<&Running>) -> Running {
    Material::new().built(plan, before).expect("a plan")
}

#[test]
fn copies_share_neither_a_connection_nor_how_it_fares_with_a_backend_at_the_same_address() {
    let running = built(&mirrored(2), None);
    let route = &running.routes[0];
    let mirror = route.mirror.as_ref().expect("a mirror");
    let (own, other) = (&route.backends[0], &mirror.to.backends[0]);
    assert!(own.at == other.at && own.hop_id != other.hop_id && !Arc::ptr_eq(own, other));
    assert!(running.uses_hop(own.hop_id) && running.uses_hop(other.hop_id));
    assert!(running.backends().any(|b| Arc::ptr_eq(b, other)), "its name is followed as any other's");
    assert!(mirror.request.is_some() && mirror.to.mirror.is_none());
    assert!(running.routes[1].mirror.is_none());
}

#[test]
fn what_is_told_of_requests_shares_no_connection_and_no_health_with_them_at_the_same_address() {
    let mut plan = mirrored(2);
    plan["collectors"] = json!([{"name": "otel", "under": "", "backends": [hop(literal(), same_host())]}]);
    plan["traces"] = json!({
        "collector": "otel", "ppm": 10_000, "slow_ms": 1000, "service": "edge", "resource": [], "query": false,
    });
    let running = built(&plan, None);
    let (own, other) = (&running.routes[0].backends[0], &running.traces.as_ref().expect("traces").backends[0]);
    assert!(own.at == other.at && own.hop_id != other.hop_id && !Arc::ptr_eq(own, other));
    assert!(running.backends().any(|b| Arc::ptr_eq(b, other)), "its name is followed as any other's");
}

#[test]
fn no_more_copies_are_begun_than_are_let_and_what_ends_is_counted_by_what_became_of_it() {
    let running = built(&mirrored(2), None);
    let mirror = running.routes[0].mirror.as_ref().expect("a mirror");
    let counted = || mirror.counted().filter(|(_, n)| *n > 0).collect::<Vec<_>>();
    let (first, second) = (mirror.begin(), mirror.begin());
    assert!(first.is_some() && second.is_some() && mirror.begin().is_none() && mirror.under_way() == 2);
    assert_eq!(counted(), [("busy", 1)]);
    let mut first = first.expect("a copy");
    first.is(Outcome::Answered);
    drop((first, second));
    mirror.count(Outcome::Unfit);
    assert_eq!(counted(), [("answered", 1), ("busy", 1), ("incomplete", 1), ("unfit", 1)]);
    assert_eq!(mirror.under_way(), 0);
}

#[test]
fn a_reload_keeps_what_is_under_way_and_counted_and_the_hop_where_it_is_the_same() {
    let before = built(&mirrored(2), None);
    let was = before.routes[0].mirror.as_ref().expect("a mirror");
    was.count(Outcome::Late);
    let held = was.begin();
    was.to.sends_to(&was.to.backends[0]);
    let after = built(&mirrored(1), Some(&before));
    let now = after.routes[0].mirror.as_ref().expect("a mirror");
    assert!(Arc::ptr_eq(&was.to.backends[0], &now.to.backends[0]));
    assert!(now.under_way() == 1 && now.begin().is_none(), "by the bound that holds now");
    assert!(now.counted().any(|it| it == ("late", 1)));
    assert_eq!(now.to.sent[0].load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(held);
    assert_eq!(now.under_way(), 0);
}

/// Three backends: in zone a, in zone b, and a backup in zone a.
fn zoned(zone: Option<&'static str>) -> Running {
    let mut plan = plan();
    let backends = json!([hop(unix(), same_host()), hop(literal(), same_host()), hop(name(), same_host())]);
    *way(&mut plan, 0, "backends") = backends;
    let share = |zone: &str, backup: bool| json!({"weight": 2, "backup": backup, "zone": zone});
    *way(&mut plan, 0, "spread") = json!({
        "by": {"kind": "turns"}, "shares": [share("a", false), share("b", false), share("a", true)],
        "sticky": null, "health": null, "slow_start_s": 0,
    });
    Material { zone, ..Material::new() }.built(&plan, None).expect("a plan")
}

#[test]
fn zones_count_where_the_edge_is_in_one_of_several_and_by_those_that_are_no_backups() {
    assert!(zoned(None).routes[0].stays_ppm(0).is_none());
    assert!(zoned(Some("c")).routes[0].stays_ppm(0).is_none());
    let running = zoned(Some("a"));
    assert_eq!(running.zone.as_deref(), Some("a"));
    let route = &running.routes[0];
    let of = |backups| route.zones(0, backups).map(|it| (it.near, it.near_up, it.far_up));
    assert_eq!(of(false), Some((2, 2, 2)));
    assert_eq!((of(true).map(|it| it.0), route.stays_ppm(0)), (Some(2), Some(1_000_000)));
    let near = &route.backends[0];
    near.addresses.load()[0].fares.eject(u64::MAX, 1, 3);
    near.sum_up();
    assert_eq!((of(false), route.stays_ppm(0)), (Some((2, 0, 2)), Some(0)));
}
