//! What a limit lets pass over time, what it says of itself, and which keys it remembers.

use crate::kit::plan::*;
use everyhop_record::refusal::Refusal;
use everyhop_running::limiter::{LimiterRun, LimitsRun, Over, sign};
use everyhop_running::running::Running;
use everyhop_running::spread::mixed;
use serde_json::{Value, json};
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn said(name: &str, rate: Value) -> Value {
    json!({
        "name": name, "rate": rate, "at_once": null, "by": [{"kind": "client_address"}], "ipv6_prefix": 64, "keys": 1000,
        "mode": "refuse", "shared": null, "tells": "answers", "x_ratelimit": false,
    })
}

/// With those limits of the first route and of the second.
fn built(first: &[Value], second: &[Value], before: Option<&Running>) -> Result<Running, String> {
    let mut plan = plan();
    (*way(&mut plan, 0, "limited_by"), *way(&mut plan, 1, "limited_by")) = (json!(first), json!(second));
    Material::new().built(&plan, before)
}

fn one(limit: Value) -> Arc<LimiterRun> {
    built(&[limit], &[], None).expect("a plan").limiters[0].clone()
}

fn limit(rate: Value, keys: u32) -> Arc<LimiterRun> {
    let mut it = said("one", rate);
    it["keys"] = json!(keys);
    one(it)
}

fn rate(count: u32, per_s: u32, burst: u32) -> Value {
    json!({"count": count, "per_s": per_s, "burst": burst})
}

#[test]
fn a_limit_tells_how_many_pass_at_a_time_and_in_which_time_all_of_them_are_earned_back() {
    for (said, policy) in [
        (rate(1, 60, 5), Some((5, 300))),
        (rate(10, 1, 5), Some((5, 1))),
        (rate(2, 3, 3), Some((3, 5))),
        (Value::Null, None),
    ] {
        assert_eq!(limit(said.clone(), 100).policy(), policy, "{said}");
    }
}

#[test]
fn a_key_that_used_up_its_burst_waits_as_long_as_it_is_told_and_after_all_of_that_time_has_its_burst_again() {
    let (it, begin) = (limit(rate(1, 60, 5), 100), Instant::now());
    for left in (0..5).rev() {
        let (taken, over) = it.take(7, begin);
        assert_eq!((taken.left, over), (left, None));
    }
    let (_, over) = it.take(7, begin);
    let Some(Over::Rate { wait_ns, .. }) = over else { panic!("{over:?}") };
    assert_eq!(Duration::from_nanos(wait_ns), Duration::from_secs(60));
    assert!(it.take(7, begin + Duration::from_nanos(wait_ns - 1)).1.is_some());
    assert!(it.take(8, begin).1.is_none(), "another key owes nothing of that");
    let (taken, over) = it.take(7, begin + Duration::from_nanos(wait_ns));
    assert_eq!((taken.left, taken.earned_ns, over), (0, 300_000_000_000, None));
    let (taken, _) = it.take(7, begin + Duration::from_nanos(wait_ns) + Duration::from_secs(300));
    assert_eq!(taken.left, 4);
}

#[test]
fn of_half_as_many_keys_as_a_limit_has_room_for_hardly_one_is_forgotten() {
    for keys in [1_000, 10_000] {
        let (it, now, half) = (limit(rate(1, 3600, 1), keys), Instant::now(), u64::from(keys / 2));
        let each = || (1..=half).map(mixed);
        each().for_each(|key| assert!(it.take(key, now).1.is_none()));
        let (owing, forgotten, _) = it.busiest(0);
        assert_eq!(owing as u64 + forgotten, half, "each is known still, or was counted as forgotten");
        assert!(forgotten * 20 < half, "{forgotten} of {half}");
        let again = each().filter(|key| it.take(*key, now).1.is_none()).count() as u64;
        assert!(again * 10 < half, "{again} of {half} pass twice");
    }
}

#[test]
fn the_busiest_keys_are_shown_by_how_much_they_used_and_all_are_counted_however_few_are_shown() {
    let (it, now) = (limit(rate(1, 3600, 9), 1000), Instant::now());
    for n in 1..=200 {
        let times = if n <= 3 { 3 + n } else { 1 };
        (0..times).for_each(|_| assert!(it.take(mixed(n), now).1.is_none()));
    }
    for most in [0, 3, 500] {
        let (owing, forgotten, shown) = it.busiest(most);
        assert_eq!((owing, forgotten, shown.len()), (200, 0, most.min(200)));
        let first: Vec<_> = shown.iter().take(3).map(|it| it.used).collect();
        assert_eq!(first, [6, 5, 4][..most.min(3)]);
    }
}

#[test]
fn of_what_a_key_used_up_only_the_one_is_given_back_that_came_to_nothing() {
    let (it, now) = (limit(rate(1, 3600, 3), 1000), Instant::now());
    let passes = || (0..9).take_while(|_| it.take(7, now).1.is_none()).count();
    assert_eq!(passes(), 3);
    it.give_back(7);
    it.give_back(8);
    assert_eq!(passes(), 1);
    it.give_back(7);
    it.give_back(7);
    assert_eq!(passes(), 2);
}

#[test]
fn a_key_is_shown_by_a_sign_that_tells_it_from_others() {
    let (it, now) = (limit(rate(1, 3600, 9), 1000), Instant::now());
    assert!(it.take(0x1234_5678_9abc_def0, now).1.is_none());
    assert_eq!(it.busiest(9).2.iter().map(|it| it.sign.as_str()).collect::<Vec<_>>(), ["12345678"]);
    assert_eq!((sign(1), sign(u64::MAX)), ("00000000".into(), "ffffffff".into()));
}

/// Else whoever knows a plan could choose values that take each other's place.
#[test]
fn no_two_limits_make_the_same_key_of_the_same_words() {
    let of = |it: &LimiterRun| {
        let mut hasher = it.hasher();
        hasher.write(b"words");
        hasher.finish()
    };
    let (a, b) = (limit(rate(1, 1, 1), 10), limit(rate(1, 1, 1), 10));
    assert_eq!(of(&a), of(&a));
    assert_ne!(of(&a), of(&b));
}

#[test]
fn a_limit_counts_each_address_by_itself_only_where_that_is_in_its_key_and_no_token_or_name_is() {
    let by = |parts: Value| {
        let mut it = said("one", rate(1, 1, 1));
        it["by"] = parts;
        one(it).is_by_address()
    };
    let address = json!({"kind": "client_address"});
    let claim = json!({"kind": "claim", "path": ["sub"]});
    assert!(by(json!([address])) && by(json!([address, {"kind": "route"}])));
    let user = json!({"kind": "user"});
    assert!(!by(json!([address, user])) && !by(json!([user])));
    assert!(!by(json!([address, claim])) && !by(json!([claim])) && !by(json!([{"kind": "host"}])));
}

#[test]
fn each_way_to_be_beyond_a_limit_is_told_by_its_own_refusal() {
    assert_eq!(Over::Rate { wait_ns: 1, by: None }.into_refusal(), Refusal::RateLimited);
    assert_eq!(Over::AtOnce.into_refusal(), Refusal::TooManyOfKey);
    assert_eq!(Over::Unknown.into_refusal(), Refusal::LimitUnknown);
}

#[test]
fn one_that_observes_lets_all_pass_and_holds_what_it_would_have_refused() {
    for (mode, held) in [("observe", true), ("refuse", false)] {
        let mut it = said("one", rate(1, 3600, 1));
        (it["mode"], it["at_once"]) = (json!(mode), json!(9));
        let (it, now) = (one(it), Instant::now());
        assert_eq!(it.observes(), held);
        let first = it.take(7, now);
        let (taken, over) = it.take(7, now);
        assert!(first.1.is_none() && matches!(over, Some(Over::Rate { .. })), "{mode}");
        assert_eq!((taken.held.is_some(), it.under_way()), (held, (1 + u64::from(held), 1)), "{mode}");
    }
}

fn of_route(running: &Running, route: usize) -> &LimitsRun {
    running.routes[route].limited.as_ref().expect("limits")
}

#[test]
fn routes_that_name_one_limit_count_together_and_say_each_how_often_it_was_exceeded_there() {
    let (a, b) = (said("a", rate(1, 3600, 1)), said("b", rate(1, 3600, 1)));
    let before = built(&[a.clone(), b.clone()], std::slice::from_ref(&a), None).expect("a plan");
    assert_eq!(before.limiters.len(), 2);
    let [first, second] = [0, 1].map(|i| of_route(&before, i));
    assert_eq!(first.each.iter().map(|it| it.by.plan.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(Arc::ptr_eq(&first.each[0].by, &second.each[0].by));
    first.each[1].exceeded();
    first.each[1].exceeded();
    second.each[0].exceeded();
    let after = built(&[b, a.clone()], &[a], Some(&before)).expect("a plan");
    let counted = |route: usize| {
        let each = of_route(&after, route).each.iter();
        each.map(|it| (it.by.plan.name.clone(), it.over.load(Ordering::Relaxed))).collect::<Vec<_>>()
    };
    assert_eq!(counted(0), [("b".into(), 2), ("a".into(), 0)]);
    assert_eq!(counted(1), [("a".into(), 1)]);
    let free = built(&[], &[], None).expect("a plan");
    assert!(free.limiters.is_empty() && free.routes.iter().all(|r| r.limited.is_none()));
}

#[test]
fn two_limits_of_one_name_that_are_not_the_same_make_no_plan() {
    let two = built(&[said("a", rate(1, 60, 1))], &[said("a", rate(2, 60, 1))], None);
    assert!(two.is_err_and(|why| why.contains("two limits are named \"a\"")));
}

#[test]
fn a_limit_goes_on_counting_in_the_next_plan_under_its_own_name_alone() {
    let (a, b, now) = (said("a", rate(1, 3600, 1)), said("b", rate(1, 3600, 1)), Instant::now());
    let before = built(&[a.clone(), b.clone()], &[], None).expect("a plan");
    assert!(of_route(&before, 0).each[0].by.take(7, now).1.is_none());
    let after = built(&[b, a], &[], Some(&before)).expect("a plan");
    let passes = |i: usize| of_route(&after, 0).each[i].by.take(7, now).1.is_none();
    assert_eq!((passes(0), passes(1)), (true, false), "b was not used, and a was");
}

#[test]
fn answers_tell_what_is_left_where_one_of_the_limits_of_their_route_says_so() {
    let of = |tells: &[&str]| {
        let limit = |(i, tells): (usize, &&str)| {
            let mut it = said(&i.to_string(), rate(5, 1, 5));
            it["tells"] = json!(tells);
            it
        };
        let all: Vec<_> = tells.iter().enumerate().map(limit).collect();
        let running = built(&all, &[], None).expect("a plan");
        let it = of_route(&running, 0);
        let left: Vec<_> = it.each.iter().map(|it| it.by.take(7, Instant::now()).0.left).collect();
        (it.tells, running.routes[0].response.is_some(), left)
    };
    assert_eq!(of(&["refusals"]), (false, false, vec![0]));
    assert_eq!(of(&["refusals", "answers"]), (true, true, vec![0, 4]));
}
