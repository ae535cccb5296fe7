//! Who is asked whether requests may pass: what is counted of it, when requests pass unasked, and whose word is worth what.

use crate::kit::plan::*;
use everyhop_plan::EjectOn;
use everyhop_record::times::BUCKETS_US;
use everyhop_running::asks::{AsksRun, OUTCOMES, Outcome};
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::sync::Arc;

/// The plan whose first route asks `auth`, of which something is otherwise.
fn plan_of(change: impl Fn(&mut Value)) -> Value {
    let mut plan = plan();
    plan["authorizers"] = json!([{
        "name": "auth", "speaks": {"kind": "http", "target": "/verify"}, "sends": ["cookie"], "takes": ["x-user"], "when_down": {"kind": "refuse"},
        "deadline_ms": 1500, "at_once": 2, "backends": [hop(literal(), same_host())],
    }]);
    *way(&mut plan, 0, "ask") = json!("auth");
    change(&mut plan["authorizers"][0]);
    plan
}

fn built(change: impl Fn(&mut Value), before: Option<&Running>) -> Running {
    Material::new().built(&plan_of(change), before).expect("a plan")
}

fn asks(running: &Running) -> &Arc<AsksRun> {
    running.routes[0].asks.as_ref().expect("it asks")
}

fn counted(it: &AsksRun) -> Vec<(&'static str, u64)> {
    it.counted().filter(|(_, n)| *n > 0).collect()
}

#[test]
fn as_many_are_asked_about_at_once_as_are_let_and_one_that_is_answered_makes_room() {
    let running = built(|_| (), None);
    let it = asks(&running);
    let (first, second) = (it.begin(), it.begin());
    assert!(first.is_some() && second.is_some() && it.begin().is_none());
    assert_eq!(it.under_way(), 2);
    drop(first);
    assert_eq!(it.under_way(), 1);
    assert!(it.begin().is_some());
    drop(second);
    assert_eq!(it.under_way(), 0);
}

#[test]
fn each_answer_is_counted_by_its_word_and_by_how_long_it_took() {
    let running = built(|_| (), None);
    let it = asks(&running);
    for (i, (outcome, _)) in OUTCOMES.iter().enumerate() {
        (0..=i).for_each(|_| it.came(*outcome, 0));
    }
    assert!(it.counted().eq(OUTCOMES.iter().zip(1..).map(|((_, word), n)| (*word, n))));
    let running = built(|_| (), None);
    let it = asks(&running);
    let longer = BUCKETS_US.iter().map(|most| most + 1);
    for us in BUCKETS_US.into_iter().chain(longer) {
        it.came(Outcome::Passed, us);
    }
    let mut each = [2; BUCKETS_US.len() + 1];
    (each[0], each[BUCKETS_US.len()]) = (1, 1);
    let all = BUCKETS_US.iter().sum::<u64>() * 2 + BUCKETS_US.len() as u64;
    assert_eq!(it.took(), (each, all), "one that took as long as a bucket goes is in it");
}

#[test]
fn a_request_passes_unasked_only_on_somebodys_word_and_until_that_ends() {
    let refuses = built(|_| (), None);
    assert!(!asks(&refuses).passes_unasked(0));
    let acceptance = json!({"owner": "a@example.com", "why": "w", "since": "1970-01-01", "until": "1970-01-01", "closes_at_s": 86400});
    let passes = built(|it| it["when_down"] = json!({"kind": "pass", "acceptance": acceptance}), None);
    let at = |s| asks(&passes).passes_unasked(s);
    assert_eq!((at(0), at(86_399), at(86_400), at(86_401)), (true, true, false, false));
}

/// What was let pass by one word must not pass by another's.
#[test]
fn a_word_is_worth_the_same_only_of_the_same_asked_the_same_and_taken_the_same() {
    let before = built(|_| (), None);
    let judges_as = |change: &dyn Fn(&mut Value)| {
        let now = built(change, Some(&before));
        assert_eq!(asks(&now).judges_as(asks(&before)), asks(&before).judges_as(asks(&now)));
        asks(&now).judges_as(asks(&before))
    };
    assert!(judges_as(&|_| ()));
    assert!(judges_as(&|it| (it["at_once"], it["deadline_ms"]) = (json!(9), json!(9))));
    assert!(!judges_as(&|it| it["speaks"]["target"] = json!("/other")));
    assert!(!judges_as(&|it| it["speaks"] = json!({"kind": "envoy"})));
    assert!(!judges_as(&|it| it["sends"] = json!([])));
    assert!(!judges_as(&|it| it["takes"] = json!([])));
    assert!(!judges_as(&|it| it["backends"] = json!([hop(unix(), same_host())])));
    let mut other = plan_of(|it| it["name"] = json!("other"));
    *way(&mut other, 0, "ask") = json!("other");
    let other = Material::new().built(&other, Some(&before)).expect("a plan");
    assert!(!asks(&other).judges_as(asks(&before)), "another of the same backends");
}

#[test]
fn a_reload_keeps_what_is_asked_about_and_counted_of_the_authorizer_of_that_name() {
    let before = built(|_| (), None);
    let was = asks(&before);
    was.came(Outcome::Denied, 7);
    was.to.sends_to(&was.to.backends[0]);
    let held = was.begin();
    let after = built(|it| it["at_once"] = json!(1), Some(&before));
    let now = asks(&after);
    assert_eq!((counted(now), now.under_way(), now.took().1), (vec![("denied", 1)], 1, 7));
    assert_eq!(now.to.sent[0].load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(now.begin().is_none(), "by the bound that holds now");
    drop(held);
    assert!(now.under_way() == 0 && now.begin().is_some());
    let mut other = plan_of(|it| it["name"] = json!("other"));
    *way(&mut other, 0, "ask") = json!("other");
    let other = Material::new().built(&other, Some(&before)).expect("a plan");
    assert_eq!(counted(asks(&other)), [], "one of another name");
}

#[test]
fn a_route_that_asks_somebody_who_is_not_there_makes_no_plan_and_one_that_asks_nobody_asks_nobody() {
    let running = built(|_| (), None);
    assert!(running.routes[1].asks.is_none() && Arc::ptr_eq(asks(&running), &running.asks[0]));
    let it = &running.asks[0].to;
    assert!(running.uses_hop(it.backends[0].hop_id) && running.backends().any(|b| Arc::ptr_eq(b, &it.backends[0])));
    assert_eq!(it.limits.connect_s, 2, "no longer than it has for all of it");
    assert_eq!(it.eject_on, [EjectOn::Timeouts], "one that does not answer is left alone for a while");
    let mut gone = plan_of(|_| ());
    *way(&mut gone, 0, "ask") = json!("gone");
    assert!(Material::new().built(&gone, None).is_err_and(|why| why.contains("gone")));
}

#[test]
fn of_an_authorizer_nothing_but_its_name_is_written_where_something_is_written_for_debugging() {
    let running = built(|_| (), None);
    assert_eq!(format!("{:?}", asks(&running)), "AsksRun(\"auth\")");
}
