//! A limit goes on counting over a reload; and what one of several limits of a request refuses, the others do not count.

use super::*;
use everyhop_plan::{KeyPart, Rate};

fn limiter(rate: Option<u32>, at_once: Option<u32>) -> Limiter {
    Limiter {
        name: "one".into(),
        rate: rate.map(|count| Rate { count, per_s: 3600, burst: count }),
        at_once,
        by: vec![KeyPart::ClientAddress {}],
        ipv6_prefix: 64,
        keys: 1000,
        mode: LimitMode::Refuse,
        shared: None,
        tells: LimitTells::Answers,
        x_ratelimit: false,
    }
}

#[test]
fn a_limit_that_counts_by_the_same_goes_on_counting_in_the_next_plan() {
    let now = Instant::now();
    let before = LimiterRun::new(&limiter(Some(2), Some(3)), None, None);
    let (first, over) = before.take(5, now);
    assert_eq!((over, first.left), (None, 1));
    let more = LimiterRun::new(&limiter(Some(4), Some(1)), Some(&before), None);
    assert_eq!(more.take(5, now).1, Some(Over::AtOnce), "what is under way is counted on");
    drop(first);
    // A step is half as long now: of four two were owed.
    assert_eq!(more.take(5, now).0.left, 1);
    let other = LimiterRun::new(&Limiter { ipv6_prefix: 56, ..limiter(Some(2), Some(3)) }, Some(&more), None);
    assert_eq!(other.take(5, now).0.left, 1, "it counts by something else, and begins anew");
}

#[test]
fn what_one_refuses_is_not_under_way_and_owes_nothing() {
    let (it, now) = (LimiterRun::new(&limiter(Some(1), Some(5)), None, None), Instant::now());
    let (_held, over) = it.take(5, now);
    assert_eq!((over, it.under_way()), (None, (1, 1)));
    let (_refused, over) = it.take(5, now);
    assert!(matches!(over, Some(Over::Rate { wait_ns, .. }) if wait_ns > 0));
    assert_eq!(it.under_way(), (1, 1));
    it.give_back(5);
    assert_eq!(it.take(5, now).1, None);
}

#[test]
fn one_that_observes_counts_what_it_would_refuse_as_under_way() {
    let plan = Limiter { mode: LimitMode::Observe, ..limiter(None, Some(1)) };
    let (it, now) = (LimiterRun::new(&plan, None, None), Instant::now());
    let (one, two) = (it.take(5, now), it.take(5, now));
    assert_eq!((one.1, two.1, it.under_way()), (None, Some(Over::AtOnce), (2, 1)));
    drop((one, two));
    assert_eq!(it.under_way(), (0, 0));
}
