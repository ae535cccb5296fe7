//! Keys that a supervisor fetches: when a token that names one which is not there is a reason to ask anew, and what came of it.
//! A rotation is seen so before the next fetch would be due, and whoever makes up names of keys brings about one question in
//! 30 s. Nothing is fetched here, and nobody waits here but the supervisor's own conversation. Read next: `token.rs`.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After an issuer was asked for a key that a token names it is not asked again for so long.
pub const COOLDOWN_MS: u64 = 30_000;

/// Whether the keys of one issuer are being asked for. It outlives plans in which the issuer stays the same. Looked at only where
/// a token names a key that is not there.
#[derive(Debug, Default)]
pub struct KeyServer(Mutex<Known>);

#[derive(Debug, Default, Clone, Copy)]
struct Known {
    /// In the milliseconds of the steady clock; 0: never.
    asked_ms: u64,
    /// Questions so far, and how many of them were answered.
    asked: u64,
    told: u64,
    failed: bool,
    fetched_s: Option<i64>,
}

/// What a key that is not there comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The supervisor is to be told: this question has that number.
    Ask(u64),
    /// It was told; the answer to that question is under way.
    UnderWay(u64),
    /// It was asked for a moment ago.
    Lately,
}

impl KeyServer {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token names a key that is not there.
    pub fn lacks(&self, now_ms: u64) -> Turn {
        let mut it = self.known();
        if it.asked_ms == 0 || now_ms.saturating_sub(it.asked_ms) >= COOLDOWN_MS {
            (it.asked_ms, it.asked) = (now_ms.max(1), it.asked + 1);
            Turn::Ask(it.asked)
        } else if it.told < it.asked {
            Turn::UnderWay(it.asked)
        } else {
            Turn::Lately
        }
    }

    /// The supervisor asked, for all questions up to that number.
    pub fn tell(&self, question: u64, failed: bool, fetched_s: Option<i64>) {
        let mut it = self.known();
        (it.failed, it.fetched_s) = (failed, fetched_s);
        // One of an engine before was another question.
        it.told = it.told.max(question.min(it.asked));
    }

    pub fn has_told(&self, question: u64) -> bool {
        self.known().told >= question
    }

    /// The last time that they were asked for nobody could say.
    pub fn has_failed(&self) -> bool {
        self.known().failed
    }

    /// When the keys came that are believed, in Unix time.
    pub fn fetched_s(&self) -> Option<i64> {
        self.known().fetched_s
    }
}

/// Issuers whose keys are to be asked for, each with the number of the question, until the supervisor takes them.
#[derive(Debug, Default)]
pub struct Wanted {
    issuers: Mutex<BTreeMap<String, u64>>,
    some: Condvar,
}

impl Wanted {
    fn issuers(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, issuer: &str, question: u64) {
        self.issuers().insert(issuer.to_owned(), question);
        self.some.notify_all();
    }

    /// Takes them, and waits so long for the first. Whoever asked and left by then takes nothing: the next who asks does.
    pub fn take(&self, wait: Duration, has_left: impl Fn() -> bool) -> BTreeMap<String, u64> {
        let waited = self.some.wait_timeout_while(self.issuers(), wait, |all| all.is_empty());
        let (mut all, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if has_left() { BTreeMap::new() } else { std::mem::take(&mut *all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_once_in_a_while_and_whoever_comes_meanwhile_waits_for_the_same_answer() {
        let it = KeyServer::default();
        assert_eq!((it.lacks(5), it.lacks(5), it.lacks(9)), (Turn::Ask(1), Turn::UnderWay(1), Turn::UnderWay(1)));
        assert!(!it.has_told(1));
        it.tell(1, false, Some(100));
        assert_eq!((it.has_told(1), it.has_failed(), it.fetched_s()), (true, false, Some(100)));
        assert_eq!(it.lacks(5 + COOLDOWN_MS - 1), Turn::Lately);
        assert_eq!(it.lacks(5 + COOLDOWN_MS), Turn::Ask(2));
        it.tell(1, true, None);
        assert_eq!((it.has_told(2), it.has_failed(), it.fetched_s()), (false, true, None), "that was the one before");
    }

    #[test]
    fn an_answer_to_an_engine_before_answers_nothing_here() {
        let it = KeyServer::default();
        it.tell(17, false, None);
        assert_eq!(it.lacks(1), Turn::Ask(1));
        assert!(!it.has_told(1));
    }

    #[test]
    fn whoever_waits_for_what_is_wanted_has_it_at_once_and_nobody_waits_for_ever() {
        let it = Wanted::default();
        assert!(it.take(Duration::from_millis(1), || false).is_empty());
        std::thread::scope(|all| {
            all.spawn(|| it.put("corp", 3));
            assert!(it.take(Duration::from_secs(60), || true).is_empty(), "nobody is there to hear it");
            assert_eq!(it.take(Duration::from_secs(60), || false), BTreeMap::from([("corp".to_owned(), 3)]));
        });
        assert!(it.take(Duration::ZERO, || false).is_empty());
    }
}
