//! What is carried over from the plan before, and what is another as soon as anything that it depends on is.

use crate::kit::plan::*;
use everyhop_plan::Place;
use everyhop_record::refusal::Refusal;
use everyhop_running::checked::Seen;
use everyhop_running::material::Listed;
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn what_did_not_change_is_carried_over_and_what_is_new_begins_anew() {
    let it = Material::new();
    let before = it.built(&plan(), None).expect("a plan");
    let mut changed = plan();
    changed["routes"][1]["name"] = json!("three");
    let after = it.built(&changed, Some(&before)).expect("a plan");
    assert_eq!((before.generation, after.generation), (1, 2));
    let same: Vec<_> = backends(&before).iter().zip(backends(&after)).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true; 3], "hops are those of no route");
    assert!(Arc::ptr_eq(&before.routes[0].stats, &after.routes[0].stats));
    assert!(!Arc::ptr_eq(&before.routes[1].stats, &after.routes[1].stats), "a route is known by its name");
    assert!(Arc::ptr_eq(&before.elsewhere, &after.elsewhere));
    let sent = |a: usize, b: usize| {
        let pairs = before.routes[a].sent.iter().zip(&after.routes[b].sent);
        pairs.map(|(x, y)| Arc::ptr_eq(x, y)).collect::<Vec<_>>()
    };
    assert_eq!((sent(0, 0), sent(1, 1)), (vec![true; 2], vec![false]));
    let mut turned = plan();
    way(&mut turned, 0, "backends").as_array_mut().expect("backends").reverse();
    let turned = it.built(&turned, Some(&before)).expect("a plan");
    for (from, to) in [(0, 1), (1, 0)] {
        assert!(Arc::ptr_eq(&before.routes[0].sent[from], &turned.routes[0].sent[to]), "each hop its own count");
    }
}

/// Which of two hops are one: those of the first plan and those of the second.
fn is_one_hop(it: &Material, plans: [&Value; 2], listed: Vec<Listed>) -> bool {
    let before = it.built(plans[0], None).expect("a plan");
    let after = it.built_by(plans[1], Some(&before), listed).expect("a plan");
    let (a, b) = (&before.routes[1].backends[0], &after.routes[1].backends[0]);
    assert_eq!(a.hop_id == b.hop_id, Arc::ptr_eq(a, b));
    Arc::ptr_eq(a, b)
}

#[test]
fn a_hop_is_another_as_soon_as_anything_that_its_connections_depend_on_is() {
    let it = Material::new();
    let of = |at: Value, how: Value| {
        let mut plan = plan();
        *way(&mut plan, 1, "backends") = json!([hop(at, how)]);
        plan
    };
    let pins = |digit: &str| json!({"kind": "pins", "sha256": [digit.repeat(64)], "name_too": true});
    let mut other_name = verify(roots(None));
    other_name["name"] = json!("c.test");
    let mut other_policy = reencrypt(verify(roots(None)));
    other_policy["policy"]["groups"] = json!(["secp256r1"]);
    let listed_roots = reencrypt(verify(roots(Some("crl/one"))));
    let ours = reencrypt(verify(roots(None)));
    let shown = mutual(verify(roots(None)), false);
    let same =
        |a: (Value, Value), b: (Value, Value)| is_one_hop(&it, [&of(a.0, a.1), &of(b.0, b.1)], it.listed.clone());
    for how in [&ours, &shown, &listed_roots, &same_host(), &accepted(2_000_000_000), &reencrypt(verify(pins("a")))] {
        assert!(same((literal(), how.clone()), (literal(), how.clone())), "{how}");
        assert!(!same((literal(), how.clone()), (name(), how.clone())), "another place: {how}");
        let mut h1 = of(literal(), how.clone());
        *way(&mut h1, 1, "upstream_protocol") = json!("http/1.1");
        assert!(!is_one_hop(&it, [&of(literal(), how.clone()), &h1], it.listed.clone()), "another protocol: {how}");
    }
    for (a, b) in [
        (&ours, &other_policy),
        (&ours, &reencrypt(other_name)),
        (&ours, &shown),
        (&ours, &listed_roots),
        (&ours, &same_host()),
        (&ours, &reencrypt(verify(pins("a")))),
        (&reencrypt(verify(pins("a"))), &reencrypt(verify(pins("b")))),
        (&shown, &mutual(verify(roots(None)), true)),
        (&same_host(), &accepted(2_000_000_000)),
        (&accepted(2_000_000_000), &accepted(2_000_000_001)),
    ] {
        assert!(!same((literal(), a.clone()), (literal(), b.clone())), "{a} {b}");
    }
    for (how, id, one) in [
        (&ours, "ca/one", false),
        (&ours, "identity/me", true),
        (&shown, "identity/me", false),
        (&listed_roots, "crl/one", false),
        (&ours, "crl/one", true),
        (&same_host(), "ca/one", true),
    ] {
        let plan = of(literal(), how.clone());
        assert_eq!(is_one_hop(&it, [&plan, &plan], it.with(id, "b")), one, "other bytes of {id}: {how}");
    }
}

#[test]
fn a_hop_that_several_routes_have_is_one() {
    let it = Material::new();
    let mut plan = plan();
    let shared = mutual(verify(roots(None)), true);
    *way(&mut plan, 0, "backends") = json!([hop(unix(), same_host()), hop(name(), shared.clone())]);
    *way(&mut plan, 1, "backends") = json!([hop(name(), shared)]);
    *way(&mut plan, 1, "upstream_protocol") = json!("http/1.1");
    let running = it.built(&plan, None).expect("a plan");
    let all = backends(&running);
    assert!(Arc::ptr_eq(all[1], all[2]) && !Arc::ptr_eq(all[0], all[1]));
    assert!(all[2].secured.as_ref().is_some_and(|s| s.demand_asks));
    running.routes[0].sends_to(all[1]);
    running.routes[0].sends_to(all[1]);
    running.routes[1].sends_to(all[2]);
    running.routes[1].sends_to(all[0]);
    let sent: Vec<Vec<_>> =
        running.routes.iter().map(|r| r.sent.iter().map(|n| n.load(Ordering::Relaxed)).collect()).collect();
    assert_eq!(sent, [vec![0, 2], vec![1]], "each route counts what went from it, to what it has");
}

#[test]
fn what_is_under_way_at_a_backend_counts_on_in_the_next_plan_and_ends_with_its_request() {
    let it = Material::new();
    let spread = |weights: &[u16]| {
        let shares: Vec<_> = weights.iter().map(|w| json!({"weight": w, "backup": false, "zone": null})).collect();
        let mut plan = plan();
        *way(&mut plan, 0, "spread") =
            json!({"by": {"kind": "least"}, "shares": shares, "sticky": null, "health": null, "slow_start_s": 0});
        plan
    };
    let before = it.built(&spread(&[1, 1]), None).expect("a plan");
    let held = before.routes[0].sends_to(&before.routes[0].backends[1]);
    assert!(held.is_some() && before.routes[1].sends_to(&before.routes[1].backends[0]).is_none());
    let mut turned = spread(&[0, 1]);
    way(&mut turned, 0, "backends").as_array_mut().expect("backends").reverse();
    let after = it.built(&turned, Some(&before)).expect("a plan");
    let under_way = || -> Vec<_> {
        let shares = after.routes[0].spread.iter().flat_map(|s| &s.shares);
        shares.map(|s| s.under_way.load(Ordering::Relaxed)).collect()
    };
    assert_eq!(under_way(), [1, 0]);
    drop(held);
    assert_eq!(under_way(), [0, 0]);
    let (drained, taking) = (after.routes[0].backends[0].hop_id, after.routes[0].backends[1].hop_id);
    assert!(!after.uses_hop(drained) && after.uses_hop(taking) && after.routes[0].takers() == 1);
    assert!(it.built(&spread(&[1]), None).is_err(), "a share for each backend");
}

/// The plan with its first route's two backends checked each so often.
fn checked(every_s: Value) -> Value {
    let mut plan = plan();
    let asks =
        json!({"kind": "http", "host": "a.test", "path": "/", "statuses": [{"first": 200, "last": 299}], "body": null});
    let mut health = json!({"asks": asks, "every_s": every_s, "timeout_s": 2, "down_after": 1, "up_after": 1});
    if every_s.is_null() {
        health = Value::Null;
    }
    let share = json!({"weight": 1, "backup": false, "zone": null});
    *way(&mut plan, 0, "spread") =
        json!({"by": {"kind": "turns"}, "shares": [share, share], "sticky": null, "health": health, "slow_start_s": 0});
    plan
}

#[test]
fn what_checks_found_of_a_backend_goes_on_in_the_next_plan_as_long_as_it_is_checked() {
    let it = Material::new();
    let before = it.built(&checked(json!(5)), None).expect("a plan");
    let of = |running: &Running, at: usize| running.routes[0].backends[at].clone();
    let check = of(&before, 0).check.clone().expect("a check");
    let seen = Seen { words: "answered 503".into(), refused: None, micros: 1 };
    for address in of(&before, 0).addresses.load().iter() {
        assert!(address.fares.checked.fail(&check, seen.clone()));
    }
    of(&before, 0).sum_up();
    assert!(of(&before, 0).health.is_down() && of(&before, 0).health.rests() && !of(&before, 1).health.rests());
    assert!(!before.routes[0].panics(0), "half of them are up");
    assert_eq!(of(&before, 0).health.back_ms.load(Ordering::Relaxed), 0, "it was never away before");
    let same = it.built(&checked(json!(5)), Some(&before)).expect("a plan");
    assert!(Arc::ptr_eq(&of(&same, 0), &of(&before, 0)));
    let other = it.built(&checked(json!(60)), Some(&before)).expect("a plan");
    assert!(!Arc::ptr_eq(&of(&other, 0), &of(&before, 0)) && of(&other, 0).health.is_down());
    assert!(!of(&other, 1).health.rests());
    let unasked = it.built(&checked(Value::Null), Some(&before)).expect("a plan");
    assert!(!of(&unasked, 0).health.rests(), "nobody would find it well again");
    for address in of(&before, 0).addresses.load().iter() {
        assert!(address.fares.checked.pass(&check));
    }
    of(&before, 0).sum_up();
    assert!(of(&before, 0).health.back_ms.load(Ordering::Relaxed) > 0 && !of(&before, 0).health.rests());
}

#[test]
fn a_route_panics_while_fewer_than_half_of_those_that_take_something_are_up_and_no_backup_is() {
    let it = Material::new();
    let built = |weights: [u16; 2], backup: bool| {
        let mut plan = checked(json!(5));
        let share = |weight: u16, backup: bool| json!({"weight": weight, "backup": backup, "zone": null});
        way(&mut plan, 0, "spread")["shares"] = json!([share(weights[0], false), share(weights[1], backup)]);
        let running = it.built(&plan, None).expect("a plan");
        let first = running.routes[0].backends[0].clone();
        for address in first.addresses.load().iter() {
            let seen = Seen { words: String::new(), refused: Some(Refusal::HopUntrusted), micros: 1 };
            address.fares.checked.fail(first.check.as_ref().expect("a check"), seen);
        }
        first.sum_up();
        assert_eq!(first.refused(), Some(Refusal::HopUntrusted));
        running.routes[0].panics(0)
    };
    assert!(!built([1, 1], false), "one of two");
    assert!(built([1, 0], false), "the other takes nothing");
    assert!(!built([1, 1], true), "the backup takes it");
    assert!(!it.built(&plan(), None).expect("a plan").routes[0].panics(0), "nobody asks");
}

/// Whether sessions of the first are taken up in the second.
fn is_one_promise(it: &Material, plans: [&Value; 2], listed: Vec<Listed>) -> bool {
    let before = it.built(plans[0], None).expect("a plan");
    let after = it.built_by(plans[1], Some(&before), listed).expect("a plan");
    let (a, b) = (&before.sites[0], &after.sites[0]);
    assert_eq!(a.promise == b.promise, a.resume_key == b.resume_key);
    let kept = Arc::ptr_eq(&a.config.ticketer, &b.config.ticketer);
    assert_eq!(
        (kept, Arc::ptr_eq(&a.config.session_storage, &b.config.session_storage)),
        (a.promise == b.promise, kept)
    );
    kept
}

#[test]
fn who_may_come_back_to_a_site_comes_back_over_a_reload_unless_what_was_asked_of_clients_changed() {
    let it = Material::new();
    let of = |clients: Value| {
        let mut plan = plan();
        plan["sites"][0]["clients"] = clients;
        plan
    };
    let demand = |mode: &str, crl: Option<&str>, stale: &str| json!({"mode": mode, "ca": "ca/one", "crl": crl, "stale_crl": stale});
    let nothing = of(json!({"mode": "nothing"}));
    let ask = of(demand("ask", None, "refuse"));
    let require = of(demand("require", Some("crl/one"), "refuse"));
    let allow = of(demand("require", Some("crl/one"), "allow"));
    let mut strict = nothing.clone();
    strict["sites"][0]["policy"]["versions"] = json!(["1.3"]);
    let mut renamed = nothing.clone();
    renamed["sites"][0]["name"] = json!("other");
    let mut wider = require.clone();
    wider["sites"][0]["hosts"] = json!(["a.test", "b.test", "c.test"]);
    let all = [&nothing, &ask, &require, &allow, &strict, &renamed];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_eq!(is_one_promise(&it, [a, b], it.listed.clone()), i == j, "{i} {j}");
        }
    }
    assert!(is_one_promise(&it, [&require, &wider], it.listed.clone()), "names alone change nothing of it");
    for (plan, id, same) in [
        (&require, "ca/one", false),
        (&require, "crl/one", false),
        (&require, "site/edge/0", true),
        (&ask, "ca/one", false),
        (&ask, "crl/one", true),
        (&nothing, "ca/one", true),
    ] {
        assert_eq!(is_one_promise(&it, [plan, plan], it.with(id, "b")), same, "other bytes of {id}");
    }
    let knows: Vec<_> =
        [&nothing, &ask, &require].map(|p| it.built(p, None).expect("a plan").sites[0].knows_clients).to_vec();
    assert_eq!(knows, [false, true, true]);
}

#[test]
fn names_of_backends_move_with_what_is_known_of_the_addresses_that_stay() {
    let it = Material::new();
    let running = it.built(&plan(), None).expect("a plan");
    let backend = &running.routes[0].backends[1];
    assert!(matches!(backend.place, Place::Name { .. }));
    let first = backend.addresses.load()[0].fares.clone();
    for address in backend.addresses.load().iter() {
        address.fares.ejected_until_ms.store(u64::MAX, Ordering::Relaxed);
    }
    backend.sum_up();
    assert!(backend.health.rests());
    running.resolve(&HashMap::from([("c.test".into(), vec![found("10.0.0.7")])]));
    assert_eq!(places(backend), [at("10.0.0.1:1"), at("10.0.0.2:1")], "another's name");
    running.resolve(&HashMap::from([("b.test".into(), vec![found("10.0.0.3"), found("10.0.0.1")])]));
    assert_eq!(places(backend), [at("10.0.0.3:1"), at("10.0.0.1:1")]);
    assert!(!backend.health.rests(), "an address that nobody tried");
    let kept = backend.addresses.load();
    assert!(Arc::ptr_eq(&kept[1].fares, &first) && !kept[0].fares.is_ejected());
    running.resolve(&HashMap::from([("b.test".into(), Vec::new())]));
    assert_eq!(places(backend), []);
    assert_eq!(places(&running.routes[1].backends[0]), [at("10.0.0.9:2")], "what is no name does not move");
}

#[test]
fn a_site_is_made_anew_as_soon_as_it_has_other_certificates_and_else_it_is_the_same() {
    let it = Material::new();
    let before = it.built(&plan(), None).expect("a plan");
    let is_same = |plan: &Value, listed| {
        let after = it.built_by(plan, Some(&before), listed).expect("a plan");
        Arc::ptr_eq(&before.sites[0].config, &after.sites[0].config)
    };
    assert!(is_same(&plan(), it.listed.clone()));
    assert!(is_same(&plan(), it.with("ca/one", "b")), "what it does not show");
    assert!(!is_same(&plan(), it.with("site/edge/0", "b")), "other bytes");
    let mut other = plan();
    other["sites"][0]["certs"][0]["material"] = json!("identity/me");
    assert!(!is_same(&other, it.listed.clone()), "another certificate");
}

#[test]
fn requests_under_way_count_on_over_a_reload_as_long_as_as_many_may_be() {
    let it = Material::new();
    let of = |most: Value| {
        let mut plan = plan();
        *way(&mut plan, 0, "most") = most;
        plan
    };
    let two = of(json!({"connections": 4, "requests": 2, "waiting": 1, "wait_s": 5}));
    let before = it.built(&two, None).expect("a plan");
    let turns = before.routes[0].turns.as_ref().expect("turns");
    assert!(before.routes[1].turns.is_none());
    let _under_way = turns.take().expect("a turn");
    let same = it.built(&two, Some(&before)).expect("a plan");
    assert_eq!(same.routes[0].turns.as_ref().map(|t| t.counts()), Some((1, 0)));
    let more = of(json!({"connections": 9, "requests": 2, "waiting": 1, "wait_s": 5}));
    let more = it.built(&more, Some(&before)).expect("a plan");
    assert_eq!(more.routes[0].turns.as_ref().map(|t| t.counts()), Some((1, 0)), "connections are counted elsewhere");
    let none = it.built(&of(json!({"connections": 9, "requests": null, "waiting": 0, "wait_s": 5})), None);
    assert!(none.expect("a plan").routes[0].turns.is_none());
    let three = of(json!({"connections": 4, "requests": 3, "waiting": 1, "wait_s": 5}));
    let three = it.built(&three, Some(&before)).expect("a plan");
    assert_eq!(three.routes[0].turns.as_ref().map(|t| t.counts()), Some((0, 0)), "another number begins anew");
    assert!(it.built(&of(Value::Null), Some(&before)).expect("a plan").routes[0].turns.is_none());
}

#[test]
fn what_a_listener_sent_to_https_is_counted_on_under_its_name_alone() {
    let it = Material::new();
    let mut two = plan();
    let mut other = two["listeners"][0].clone();
    (other["name"], other["bind"]) = (json!("other"), json!(["127.0.0.1:8444"]));
    two["listeners"].as_array_mut().expect("listeners").push(other);
    let before = it.built(&two, None).expect("a plan");
    before.listeners[1].redirected.store(7, Ordering::Relaxed);
    two["listeners"].as_array_mut().expect("listeners").reverse();
    let mut renamed = two.clone();
    renamed["listeners"][0]["name"] = json!("third");
    for (plan, counts) in [(&two, [7, 0]), (&renamed, [0, 0])] {
        let after = it.built(plan, Some(&before)).expect("a plan");
        assert_eq!([0, 1].map(|i| after.listeners[i].redirected.load(Ordering::Relaxed)), counts);
    }
}

#[test]
fn what_goes_again_is_counted_on_under_the_name_of_its_route_alone() {
    let it = Material::new();
    let mut again = plan();
    *way(&mut again, 0, "retries") = json!({"attempts": 2, "on": [503], "per_try_s": null, "budget_percent": 20});
    let before = it.built(&again, None).expect("a plan");
    let retries = before.routes[0].retries.as_ref().expect("retries");
    assert!(before.routes[1].retries.is_none());
    let (_under_way, _again) = (retries.begin(), retries.again().expect("it goes again"));
    let mut renamed = again.clone();
    renamed["routes"][0]["name"] = json!("other");
    for (plan, counted) in [(&again, (1, (1, 0))), (&renamed, (0, (0, 0)))] {
        let after = it.built(plan, Some(&before)).expect("a plan");
        let it = after.routes[0].retries.as_ref().expect("retries");
        assert_eq!((it.under_way(), it.counted()), counted);
    }
}

#[test]
fn ejections_are_counted_by_rule() {
    let it = Material::new();
    let running = it.built(&plan(), None).expect("a plan");
    let health = &running.routes[0].backends[0].health;
    for by in [1, 2, 2, 3, 4] {
        health.count_ejection(by);
    }
    assert_eq!([0, 1, 2, 3, 4].map(|by| health.ejections(by)), [0, 1, 2, 1, 0]);
}

#[test]
fn a_backend_whose_certificate_was_refused_is_refused_only_while_each_of_its_addresses_is() {
    let it = Material::new();
    let running = it.built(&checked(json!(5)), None).expect("a plan");
    let backend = &running.routes[0].backends[1];
    let check = backend.check.clone().expect("a check");
    let addresses = backend.addresses.load_full();
    let fail = |at: usize, refused| {
        addresses[at].fares.checked.fail(&check, Seen { words: String::new(), refused, micros: 1 });
        backend.sum_up();
        backend.refused()
    };
    let at_both = || [0, 1].map(|i| backend.is_at(addresses[i].at));
    assert_eq!(at_both(), [true, true]);
    assert_eq!(fail(0, Some(Refusal::HopUntrusted)), None, "the other is up");
    assert_eq!(at_both(), [false, true], "what is open to the one that is down is left");
    assert_eq!(fail(1, None), None, "the other is down for something else");
    assert_eq!(at_both(), [true, true], "each is down: what is open is as good as any");
    assert_eq!(fail(1, Some(Refusal::HopExpired)), Some(Refusal::HopUntrusted), "what the first was refused for");
    assert_eq!(fail(0, None), None);
}
