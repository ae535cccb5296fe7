//! An address of a backend: when it is left alone, what is remembered of its last failure, and that one answer heals it.

use everyhop_plan::{HealthAsks, HealthCheck};
use everyhop_record::facts::IdentityUse;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS, ERRORS, Faring, SLOW, TIMEOUTS};
use everyhop_running::checked::Seen;
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
        ended_us: 0,
        span: None,
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

/// In the clock of ejections, long from now.
const LATER: u64 = u64::MAX;

#[test]
fn an_address_is_ejected_once_and_by_the_rule_that_was_first() {
    let it = Faring::default();
    assert_eq!(it.ejected_by(), None);
    for (rule, word) in [(CONNECTS, "connects"), (TIMEOUTS, "timeouts"), (ERRORS, "5xx"), (SLOW, "slow")] {
        it.on_trial.store(true, Relaxed);
        assert!(it.eject(LATER, rule, 4), "{word}");
        assert_eq!((it.ejected_by(), it.on_trial.load(Relaxed)), (Some((word, 4)), false));
        for other in [CONNECTS, TIMEOUTS, ERRORS] {
            assert!(!it.eject(LATER - 1, other, 9), "it is ejected already");
        }
        assert_eq!((it.ejected_by(), it.ejected_until_ms.load(Relaxed)), (Some((word, 4)), LATER));
        it.back();
        assert_eq!(it.ejected_by(), None);
    }
    it.ejected_until_ms.store(1, Relaxed);
    assert!(it.eject(LATER, CONNECTS, 1), "one whose time is over may be ejected again");
}

#[test]
fn an_address_that_is_taken_back_begins_anew_and_is_on_trial() {
    let it = Faring::default();
    it.failures.store(3, Relaxed);
    it.unanswered.store(3, Relaxed);
    assert!(it.eject(LATER, TIMEOUTS, 3) && it.is_ejected());
    it.back();
    let left = (it.failures.load(Relaxed), it.unanswered.load(Relaxed), it.is_ejected(), it.on_trial.load(Relaxed));
    assert_eq!(left, (0, 0, false, true));
}

#[test]
fn a_good_answer_ends_a_row_of_others_and_the_trial_and_is_told_only_if_there_was_one() {
    let it = Faring::default();
    assert!(!it.answered());
    for (row, on_trial) in [(2, false), (0, true), (2, true)] {
        it.unanswered.store(row, Relaxed);
        it.on_trial.store(on_trial, Relaxed);
        assert!(it.answered(), "{row} {on_trial}");
        assert_eq!((it.unanswered.load(Relaxed), it.on_trial.load(Relaxed)), (0, false));
        assert!(!it.answered(), "told once");
    }
}

#[test]
fn each_ejection_is_ended_by_what_it_was_for() {
    for (rule, by_answer, by_byte) in [(CONNECTS, false, true), (TIMEOUTS, true, false), (ERRORS, true, false)] {
        let ejected = || {
            let it = Faring::default();
            it.failures.store(1, Relaxed);
            it.unanswered.store(1, Relaxed);
            assert!(it.eject(LATER, rule, 1));
            it
        };
        let it = ejected();
        assert!(it.answered());
        assert_eq!(it.is_ejected(), !by_answer, "a good answer, {rule}");
        let it = ejected();
        assert!(it.heal());
        assert_eq!(it.is_ejected(), !by_byte, "an answer's first byte, {rule}");
    }
}

#[test]
fn a_first_byte_ends_the_trial_of_what_could_not_be_connected_to_and_no_other_trial() {
    for (rule, ends) in [(CONNECTS, true), (TIMEOUTS, false), (ERRORS, false)] {
        let it = Faring::default();
        assert!(it.eject(LATER, rule, 1));
        it.back();
        assert_eq!(it.heal(), ends, "{rule}");
        assert_eq!(it.on_trial.load(Relaxed), !ends, "{rule}");
    }
}

#[test]
fn an_address_rests_while_it_is_ejected_or_down_by_its_check() {
    let check = HealthCheck { asks: HealthAsks::Connect {}, every_s: 5, timeout_s: 2, down_after: 1, up_after: 1 };
    let it = Faring::default();
    assert!(!it.rests());
    assert!(it.eject(LATER, CONNECTS, 1) && it.rests());
    it.back();
    assert!(!it.rests());
    assert!(it.checked.fail(&check, Seen { words: String::new(), refused: None, micros: 1 }) && it.rests());
    let like = Faring::checked_like(&it);
    assert!(like.rests() && like.checked.is_down() && !like.is_ejected());
    assert!(it.checked.pass(&check) && !it.rests());
}
