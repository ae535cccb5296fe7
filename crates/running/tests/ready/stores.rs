//! Limits that edges count together: what the store is asked, what passes while it is silent, and what a reload keeps.

use crate::kit::plan::*;
use everyhop_running::limiter::{Leased, LimiterRun};
use everyhop_running::running::Running;
use everyhop_running::secret::SecretText;
use everyhop_running::store::{Answer, Question, StoreRun};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

fn limit(name: &str, shared: Value) -> Value {
    json!({
        "name": name, "rate": {"count": 100, "per_s": 1, "burst": 400}, "at_once": null, "by": [{"kind": "client_address"}],
        "ipv6_prefix": 64, "keys": 1000, "mode": "refuse", "shared": shared, "tells": "answers", "x_ratelimit": false,
    })
}

fn shared(when_down: &str) -> Value {
    json!({"store": "main", "when_down": when_down})
}

/// The plan whose first route has that limit, with the store `main`, of which something is otherwise.
fn plan_of(limit: Value, change: impl Fn(&mut Value)) -> Value {
    let mut plan = plan();
    plan["stores"] = json!([{
        "name": "main", "speaks": {"kind": "redis"}, "backends": [hop(literal(), same_host())], "user": null, "password": null, "database": 0,
    }]);
    *way(&mut plan, 0, "limited_by") = json!([limit]);
    change(&mut plan["stores"][0]);
    plan
}

fn material(password: &str) -> Material {
    let mut it = Material::new();
    let text = serde_json::from_str::<SecretText>(&json!(password).to_string()).expect("base64");
    it.blob.stores.insert("store/main".into(), text);
    it
}

fn built(limit: Value, before: Option<&Running>) -> Running {
    Material::new().built(&plan_of(limit, |_| ()), before).expect("a plan")
}

fn leased(it: &LimiterRun, key: u64, now: Instant) -> Leased {
    it.lease(key, || key.to_be_bytes().to_vec(), now)
}

fn asked(it: Leased) -> Arc<Question> {
    let Leased::Wait(question) = it else { panic!("it was not asked") };
    question
}

#[test]
fn a_limit_of_the_edges_own_asks_nobody_and_a_shared_one_its_store_by_what_the_request_is_known_by() {
    let now = Instant::now();
    let own = built(limit("one", Value::Null), None);
    assert!(!own.limiters[0].is_shared() && matches!(leased(&own.limiters[0], 7, now), Leased::Yes));
    assert!(own.routes[0].limited.as_ref().is_some_and(|it| !it.shares));
    let running = built(limit("one", shared("local")), None);
    let it = &running.limiters[0];
    assert!(it.is_shared() && running.routes[0].limited.as_ref().is_some_and(|it| it.shares));
    assert!(matches!(leased(it, 7, now), Leased::Down), "nobody is there yet");
    running.stores[0].questions.now_up();
    let (seven, eight) = (asked(leased(it, 7, now)), asked(leased(it, 8, now)));
    assert!(seven.asked.key.starts_with("everyhop:one:") && seven.asked.key != eight.asked.key);
    assert_eq!((seven.asked.step_us, seven.asked.span_us, seven.asked.want), (10_000, 4_000_000, 4));
    let sent = running.stores[0].questions.take(&Context::from_waker(Waker::noop()));
    assert!(sent.len() == 2 && Arc::ptr_eq(&sent[0], &seven) && Arc::ptr_eq(&sent[1], &eight));
    let gone = plan_of(limit("one", json!({"store": "gone", "when_down": "local"})), |_| ());
    assert!(Material::new().built(&gone, None).is_err_and(|why| why.contains("gone")));
}

#[test]
fn what_is_leased_passes_until_it_is_used_or_over_and_what_comes_to_nothing_can_pass_again() {
    let running = built(limit("one", shared("local")), None);
    let (it, now) = (&running.limiters[0], Instant::now());
    running.stores[0].questions.now_up();
    asked(leased(it, 7, now)).answer(Answer::Given { n: 1, left: 9 });
    assert!(matches!(leased(it, 7, now), Leased::Yes));
    it.give_lease_back(7);
    assert!(matches!(leased(it, 7, now), Leased::Yes));
    asked(leased(it, 7, now)).answer(Answer::Over { wait_us: 1_000_000, limit: None });
    let Leased::No { wait_ns, .. } = leased(it, 7, now) else { panic!("it passed") };
    assert_eq!(wait_ns, 1_000_000_000);
    let half = now + Duration::from_millis(500);
    assert!(matches!(leased(it, 7, half), Leased::No { wait_ns: 500_000_000, .. }));
    asked(leased(it, 7, now + Duration::from_secs(1))).answer(Answer::Given { n: 1, left: 9 });
    let later = now + Duration::from_secs(1);
    assert!(matches!(leased(it, 7, later), Leased::Yes));
}

#[test]
fn a_lease_that_is_not_used_within_a_second_or_the_time_in_which_it_is_earned_back_is_given_up() {
    for (n, holds) in [(2, Duration::from_secs(1)), (300, Duration::from_secs(3))] {
        let running = built(limit("one", shared("local")), None);
        let (it, now) = (&running.limiters[0], Instant::now());
        running.stores[0].questions.now_up();
        for (key, after, passes) in [(1, holds - Duration::from_nanos(1), true), (2, holds, false)] {
            asked(leased(it, key, now)).answer(Answer::Given { n, left: 0 });
            assert!(matches!(leased(it, key, now), Leased::Yes));
            assert_eq!(matches!(leased(it, key, now + after), Leased::Yes), passes, "{n} after {after:?}");
        }
    }
}

#[test]
fn while_its_store_is_silent_a_limit_counts_alone_which_is_counted_or_refuses_as_it_says() {
    for (limit, passes, alone) in [
        (limit("one", shared("local")), true, 1),
        (limit("one", shared("refuse")), false, 0),
        (limit("one", Value::Null), true, 0),
    ] {
        let running = built(limit.clone(), None);
        assert_eq!(running.limiters[0].passes_alone(), passes, "{limit}");
        assert_eq!(running.stores[0].questions.alone.load(Ordering::Relaxed), alone, "{limit}");
    }
}

#[test]
fn a_reload_keeps_what_is_leased_and_asked_as_long_as_the_store_keeps_its_name() {
    let before = built(limit("one", shared("local")), None);
    let now = Instant::now();
    before.stores[0].questions.now_up();
    let waits = asked(leased(&before.limiters[0], 7, now));
    let after = built(limit("one", shared("refuse")), Some(&before));
    assert!(Arc::ptr_eq(&before.stores[0].questions, &after.stores[0].questions));
    waits.answer(Answer::Given { n: 5, left: 0 });
    assert!(matches!(leased(&after.limiters[0], 7, now), Leased::Yes));
    let moved =
        plan_of(limit("one", json!({"store": "other", "when_down": "local"})), |it| it["name"] = json!("other"));
    let moved = Material::new().built(&moved, Some(&before)).expect("a plan");
    assert!(matches!(leased(&moved.limiters[0], 7, now), Leased::Down), "another store let nothing pass");
}

/// Else a question would go to who is not to be asked any more, or as somebody else.
#[test]
fn an_open_connection_goes_on_only_to_the_same_store_as_the_same_user() {
    let of = |password: &str, change: &dyn Fn(&mut Value), before: Option<&Running>| {
        let plan = plan_of(limit("one", shared("local")), |it| {
            it["password"] = json!("file:p");
            change(it);
        });
        material(password).built(&plan, before).expect("a plan")
    };
    let before = of("cGFzcw==", &|_| (), None);
    assert_eq!(before.stores[0].password.as_ref().map(SecretText::bytes), Some(&b"pass"[..]));
    assert!(before.backends().any(|b| Arc::ptr_eq(b, &before.stores[0].backends[0])), "its name is followed");
    let is_the_same = |password: &str, change: &dyn Fn(&mut Value)| {
        let now = of(password, change, Some(&before));
        let of = |it: &Running| -> Arc<StoreRun> { it.stores[0].clone() };
        assert_eq!(of(&now).is_the_same(&of(&before)), of(&before).is_the_same(&of(&now)));
        of(&now).is_the_same(&of(&before))
    };
    assert!(is_the_same("cGFzcw==", &|_| ()));
    assert!(!is_the_same("d29yZA==", &|_| ()), "another password");
    assert!(!is_the_same("cGFzcw==", &|it| it["password"] = Value::Null), "none");
    assert!(!is_the_same("cGFzcw==", &|it| it["user"] = json!("edge")));
    assert!(!is_the_same("cGFzcw==", &|it| it["database"] = json!(1)));
    assert!(!is_the_same("cGFzcw==", &|it| it["backends"] = json!([hop(unix(), same_host())])));
    let unsent = plan_of(limit("one", shared("local")), |it| it["password"] = json!("file:p"));
    assert!(Material::new().built(&unsent, None).is_err_and(|why| why.contains("store/main")));
}

#[test]
fn what_a_store_does_is_told_when_it_is_up_when_it_stops_and_why_and_what_its_last_connection_proved() {
    let running = built(limit("one", shared("local")), None);
    let it = &running.stores[0].questions;
    assert_eq!((it.is_up(), it.trouble(), it.hop()), (false, None, None));
    it.now_up();
    it.proved("{}".into());
    assert_eq!((it.is_up(), it.trouble(), it.hop().as_deref()), (true, None, Some("{}")));
    it.now_down("gone");
    it.now_down("still gone");
    assert_eq!((it.is_up(), it.trouble().as_deref(), it.downs.load(Ordering::Relaxed)), (false, Some("still gone"), 1));
    it.now_up();
    it.now_down("again");
    assert_eq!(it.downs.load(Ordering::Relaxed), 2);
}

/// How often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn whoever_waits_for_an_answer_is_woken_once_by_it_and_whoever_sends_questions_by_the_next_one() {
    let running = built(limit("one", shared("local")), None);
    let (it, store) = (&running.limiters[0], &running.stores[0].questions);
    store.now_up();
    let [sends, waits, too] = [(); 3].map(|()| Arc::new(Woken::default()));
    let wakers = [&sends, &waits, &too].map(|it| Waker::from(it.clone()));
    let [sending, waiting, other] = wakers.each_ref().map(Context::from_waker);
    assert!(store.take(&sending).is_empty());
    let question = asked(leased(it, 7, Instant::now()));
    let woken = || [&sends, &waits, &too].map(|it| it.0.load(Ordering::Relaxed));
    assert_eq!(woken(), [1, 0, 0]);
    for cx in [&waiting, &waiting, &other] {
        assert!(question.poll(cx).is_pending());
    }
    question.answer(Answer::Given { n: 1, left: 0 });
    question.answer(Answer::Unknown);
    assert_eq!(woken(), [1, 1, 1]);
    assert_eq!(question.poll(&waiting), Poll::Ready(Answer::Given { n: 1, left: 0 }));
}

#[test]
fn what_a_store_says_of_each_request_is_its_answer_and_what_it_leases_is_taken_once_by_who_heard_of_it_first() {
    let now = Instant::now();
    let heard = |it: &LimiterRun, of: &Question| it.heard(7, of, || b"seven".to_vec(), now);
    for (speaks, each) in [(json!({"kind": "envoy", "domain": "edge"}), true), (json!({"kind": "redis"}), false)] {
        let plan = plan_of(limit("one", shared("local")), |it| it["speaks"] = speaks.clone());
        let running = Material::new().built(&plan, None).expect("a plan");
        let (it, store) = (&running.limiters[0], &running.stores[0]);
        assert_eq!(store.is_asked_of_each(), each);
        store.questions.now_up();
        let (first, second) = (asked(leased(it, 7, now)), asked(leased(it, 7, now)));
        assert_eq!(Arc::ptr_eq(&first, &second), !each, "who waits for a lease waits with the others");
        assert_eq!(first.asked.want, if each { 1 } else { 4 });
        first.answer(Answer::Given { n: 1, left: 9 });
        assert!(matches!(heard(it, &first), Leased::Yes), "{speaks}");
        // That one is used up: of a lease the next is asked for, and of each request it is said what was answered.
        let again = heard(it, &first);
        assert_eq!((matches!(again, Leased::Yes), matches!(again, Leased::Wait(_))), (each, !each), "{speaks}");
        let unanswered = asked(leased(it, 7, now));
        unanswered.answer(Answer::Unknown);
        let again = heard(it, &unanswered);
        assert_eq!((matches!(again, Leased::Down), matches!(again, Leased::Wait(_))), (each, !each), "{speaks}");
    }
}
