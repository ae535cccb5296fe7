//! What a limit lets pass over time, what it says of itself, and which keys it remembers.

use crate::kit::plan::*;
use everyhop_running::limiter::{LimiterRun, Over};
use everyhop_running::spread::mixed;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn limit(rate: Value, keys: u32) -> Arc<LimiterRun> {
    let mut plan = plan();
    *way(&mut plan, 0, "limited_by") = json!([{
        "name": "one", "rate": rate, "at_once": null, "by": [{"kind": "client_address"}], "ipv6_prefix": 64, "keys": keys,
        "mode": "refuse", "shared": null, "tells": "answers", "x_ratelimit": false,
    }]);
    Material::new().built(&plan, None).expect("a plan").limiters[0].clone()
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
    let Some(Over::Rate { wait_ns }) = over else { panic!("{over:?}") };
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
