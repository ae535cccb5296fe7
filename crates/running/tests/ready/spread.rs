//! How a route that says so spreads its requests: whose turn comes first in each thread, and which client finds which backend
//! again.

use crate::kit::plan::*;
use everyhop_running::running::Running;
use everyhop_running::secret::Seal;
use everyhop_running::spread::{key, key_on, mixed, next_turn};
use serde_json::{Value, json};
use std::num::NonZeroU64;

const SEAL: &str = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";

/// Three backends of the first route with these weights, and what else is said of them.
fn plan_of(weights: [u16; 3], by: Value, sticky: Value) -> Value {
    let mut plan = plan();
    let backends = json!([hop(unix(), same_host()), hop(literal(), same_host()), hop(name(), same_host())]);
    *way(&mut plan, 0, "backends") = backends;
    let shares: Vec<_> =
        weights.iter().map(|weight| json!({"weight": weight, "backup": false, "zone": null})).collect();
    *way(&mut plan, 0, "spread") =
        json!({"by": by, "shares": shares, "sticky": sticky, "health": null, "slow_start_s": 0});
    plan
}

fn built(plan: &Value) -> Running {
    let mut it = Material::new();
    it.blob.sticky = serde_json::from_str::<Seal>(SEAL).ok();
    it.built(plan, None).expect("a plan")
}

#[test]
fn the_first_of_each_threads_requests_do_not_all_go_to_one_backend() {
    let plan = |weights| {
        let mut plan = plan_of(weights, json!({"kind": "turns"}), Value::Null);
        plan["engine"]["threads"] = json!({"count": "fixed", "threads": 4});
        plan
    };
    let firsts = |running: &Running| -> Vec<Option<usize>> {
        let spread = running.routes[0].spread.as_ref().expect("a spread");
        let mut lanes: Vec<_> = spread.lanes.iter().map(|lane| lane.lock().expect("a lane").clone()).collect();
        lanes.iter_mut().map(|lane| next_turn(lane, |i| u32::from(spread.shares[i].weight))).collect()
    };
    assert_eq!(firsts(&built(&plan([1, 1, 1]))), [Some(0), Some(1), Some(2), Some(0)]);
    assert_eq!(firsts(&built(&plan([0, 1, 1]))), [Some(1), Some(2), Some(1), Some(1)]);
}

#[test]
fn a_backend_without_a_weight_takes_nothing_new_and_counts_as_none_that_does() {
    let running = built(&plan_of([0, 2, 1], json!({"kind": "turns"}), Value::Null));
    let route = &running.routes[0];
    assert_eq!((route.takers(), running.routes[1].takers()), (2, 1));
    let used: Vec<_> = route.used().map(|b| b.at.as_str()).collect();
    assert_eq!(used, ["10.0.0.9:2", "b.test:1"]);
}

/// The same at every edge and in every version: an edge that is updated leads its clients to where they were.
#[test]
fn a_key_leads_to_the_same_backend_for_ever() {
    // The first output of splitmix64 from a state of 0, as its author prints it.
    assert_eq!(mixed(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    assert_eq!(mixed(0), 0);
    // FNV-1a's own test vectors for "", "a" and "foobar".
    for (text, sum) in
        [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
    {
        assert_eq!(key(text.as_bytes()).get(), mixed(sum), "{text}");
    }
    assert_eq!(key_on(0xcbf2_9ce4_8422_2325, b"foobar"), key(b"foobar"));
    assert_ne!(key_on(1, b"a"), key_on(2, b"a"));
}

#[test]
fn a_client_whose_bytes_are_not_read_is_known_by_its_address_only_where_the_route_says_so() {
    let of = |by: Value| built(&plan_of([1, 1, 1], by, Value::Null)).routes[0].key_of(ip("192.0.2.7"));
    assert_eq!(of(json!({"kind": "client_address"})), Some(key(b"192.0.2.7")));
    assert_eq!(of(json!({"kind": "turns"})), None);
    assert_eq!(built(&plan()).routes[0].key_of(ip("192.0.2.7")), None);
}

#[test]
fn a_client_is_told_where_it_comes_back_to_unless_it_told_so_itself() {
    let sticky = json!({"cookie": "__Host-edge"});
    let running = built(&plan_of([1, 1, 1], json!({"kind": "turns"}), sticky));
    let route = &running.routes[0];
    let spread = route.spread.as_ref().expect("a spread");
    assert!(route.response.is_some(), "its answers may say so");
    for (i, backend) in route.backends.iter().enumerate() {
        let told = |by: Option<NonZeroU64>| route.sticks(backend, by).expect("it sticks").sets;
        let it = spread.sticky.as_ref().and_then(|s| s.sets(i));
        assert!(it.is_some_and(|it| it.starts_with("__Host-edge=")));
        assert_eq!(told(None), it);
        assert_eq!(told(NonZeroU64::new(spread.shares[i].id)), None);
        assert_eq!(told(NonZeroU64::new(spread.shares[(i + 1) % 3].id)), it, "it came back to another");
    }
    assert!(route.sticks(&running.routes[1].backends[0], None).is_none(), "none of its own");
    let free = built(&plan_of([1, 1, 1], json!({"kind": "turns"}), Value::Null));
    assert!(free.routes[0].sticks(&free.routes[0].backends[0], None).is_none());
}
