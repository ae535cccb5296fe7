//! What health checks found out about one address: up until as many of them failed in a row as its route says, down until as
//! many passed. A certificate that is refused needs no second look. Shared by all threads, written by the one that checks.
//! Read next: `address.rs`, and the engine's `backend/check.rs`.

use everyhop_plan::HealthCheck;
use everyhop_record::refusal::Refusal;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub struct Checked {
    down: AtomicBool,
    /// It is down because its certificate was refused: nothing at all goes there.
    refused: AtomicBool,
    /// Results in a row that speak against what it is now.
    row: AtomicU32,
    pub passed: AtomicU64,
    pub failed: AtomicU64,
    /// What the last check that failed saw.
    seen: Mutex<Option<Seen>>,
}

/// What a check that failed saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// In words, which hold nothing of a peer's that was not cut and escaped.
    pub words: String,
    /// By which refusal the backend's certificate did not pass.
    pub refused: Option<Refusal>,
    /// Microseconds since 1970.
    pub micros: u64,
}

impl Checked {
    /// As another stands: of the same backend before a reload.
    pub fn like(other: &Checked) -> Checked {
        Checked {
            down: AtomicBool::new(other.is_down()),
            refused: AtomicBool::new(other.refused.load(Ordering::Relaxed)),
            seen: Mutex::new(other.seen()),
            ..Checked::default()
        }
    }

    #[inline]
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Why its certificate was refused, if that is why it is down.
    pub fn refused(&self) -> Option<Refusal> {
        if !self.refused.load(Ordering::Relaxed) {
            return None;
        }
        self.seen().and_then(|seen| seen.refused)
    }

    pub fn seen(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if it comes up by that.
    pub fn pass(&self, check: &HealthCheck) -> bool {
        self.passed.fetch_add(1, Ordering::Relaxed);
        // It proved who it is.
        self.refused.store(false, Ordering::Relaxed);
        if !self.is_down() {
            self.row.store(0, Ordering::Relaxed);
            return false;
        }
        let turns = self.row.fetch_add(1, Ordering::Relaxed) + 1 >= check.up_after;
        if turns {
            self.turn(false);
        }
        turns
    }

    /// True if it goes down by that.
    pub fn fail(&self, check: &HealthCheck, seen: Seen) -> bool {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let refused = seen.refused.is_some();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        self.refused.store(refused, Ordering::Relaxed);
        if self.is_down() {
            self.row.store(0, Ordering::Relaxed);
            return false;
        }
        let turns = self.row.fetch_add(1, Ordering::Relaxed) + 1 >= check.down_after || refused;
        if turns {
            self.turn(true);
        }
        turns
    }

    fn turn(&self, down: bool) {
        self.row.store(0, Ordering::Relaxed);
        self.down.store(down, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyhop_plan::HealthAsks;

    fn check() -> HealthCheck {
        HealthCheck { asks: HealthAsks::Connect {}, every_s: 5, timeout_s: 2, down_after: 2, up_after: 2 }
    }

    fn seen(refused: Option<Refusal>) -> Seen {
        Seen { words: "answered 503".into(), refused, micros: 7 }
    }

    #[test]
    fn it_is_up_until_as_many_checks_failed_in_a_row_and_down_until_as_many_passed() {
        let (it, check) = (Checked::default(), check());
        assert!(!it.is_down(), "before the first result");
        assert!(!it.fail(&check, seen(None)) && !it.pass(&check) && !it.fail(&check, seen(None)), "not in a row");
        assert!(!it.is_down());
        assert!(it.fail(&check, seen(None)) && it.is_down() && it.refused().is_none());
        assert!(!it.pass(&check) && !it.fail(&check, seen(None)) && !it.pass(&check) && it.is_down());
        assert!(it.pass(&check) && !it.is_down());
        assert_eq!((it.passed.into_inner(), it.failed.into_inner()), (4, 4));
    }

    #[test]
    fn a_certificate_that_is_refused_needs_no_second_look_and_is_forgotten_once_it_is_right() {
        let (it, check) = (Checked::default(), check());
        let why = Some(Refusal::HopUntrusted);
        assert!(it.fail(&check, seen(why)) && it.refused() == why);
        let after = Checked::like(&it);
        assert!(after.is_down() && after.refused() == why && after.seen() == it.seen(), "a reload");
        assert!(!it.pass(&check) && it.is_down() && it.refused().is_none());
    }
}
