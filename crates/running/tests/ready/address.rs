//! An address of a backend: when it is left alone, what is remembered of its last failure, and that one answer heals it.

use everyhop_record::facts::IdentityUse;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, Faring};
use everyhop_transport::clock::steady_ms;
use std::sync::atomic::Ordering::Relaxed;

fn failure(why: Refusal) -> Failure {
    Failure {
        at: "b.test:1".into(),
        address: None,
        tls: "mutual",
        why,
        identity: IdentityUse::Unknown,
        expected: None,
        certificate: None,
        alert: None,
        detail: None,
        duration_us: 7,
    }
}

#[test]
fn an_address_is_left_alone_until_its_time_and_not_after() {
    let it = Faring::default();
    assert!(!it.is_ejected(), "one that never failed");
    for (until, ejected) in [(1, false), (steady_ms() + 60_000, true), (u64::MAX, true), (0, false)] {
        it.ejected_until_ms.store(until, Relaxed);
        assert_eq!(it.is_ejected(), ejected, "{until}");
    }
}

#[test]
fn the_last_failure_of_an_address_is_kept_with_its_moment() {
    let it = Address::new(None).fares;
    assert_eq!(it.last(), None);
    it.note(&failure(Refusal::BackendClosed), 1);
    it.note(&failure(Refusal::BackendTls), 1_000_000);
    let (micros, text) = it.last().expect("a failure");
    let told: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(
        (micros, &told["end"], &told["time"]),
        (1_000_000, &"hop/tls-broken".into(), &"1970-01-01T00:00:01.000000Z".into())
    );
}

#[test]
fn a_certificate_that_is_not_the_right_one_makes_an_impostor_and_any_other_failure_does_not() {
    for why in [Refusal::HopUntrusted, Refusal::HopNameMismatch, Refusal::HopExpired, Refusal::HopBadCertificate] {
        let it = Faring::default();
        it.note(&failure(why), 1);
        assert!(it.impostor.load(Relaxed), "{why:?}");
        it.note(&failure(Refusal::BackendTls), 2);
        assert!(it.impostor.load(Relaxed), "until it shows the right one");
    }
    let it = Faring::default();
    it.note(&failure(Refusal::BackendTls), 1);
    assert!(!it.impostor.load(Relaxed));
}

#[test]
fn an_answer_ends_the_row_of_failures_and_is_told_only_if_there_was_one() {
    let it = Faring::default();
    assert!(!it.heal());
    let failed = |failures, impostor| {
        it.failures.store(failures, Relaxed);
        it.ejected_until_ms.store(u64::MAX, Relaxed);
        it.impostor.store(impostor, Relaxed);
    };
    for (failures, impostor) in [(1, false), (0, true), (3, true)] {
        failed(failures, impostor);
        assert!(it.heal(), "{failures} {impostor}");
        let left = (it.failures.load(Relaxed), it.is_ejected(), it.impostor.load(Relaxed));
        assert_eq!(left, (0, false, false));
        assert!(!it.heal(), "told once");
    }
}
