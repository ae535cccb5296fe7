//! A policy of rules that requests are inspected by, made ready, with what came of it so far. Counts of all threads together; a
//! reload keeps them. It inspects nothing: that is another process, which the engine's `inspect` speaks with.

use crate::fair::{Shares, Whose, part};
use crate::timed::{Timed, Took};
use everyhop_plan::{Waf, WafMode, WhenDown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What came of inspecting a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspected {
    Allowed,
    Denied,
    /// Nothing was said in time.
    Late,
    /// The inspector is not there, or left meanwhile.
    Down,
    /// Too many were held or inspected already.
    Busy,
    /// It could not inspect it.
    Failed,
    /// The body is longer than what is inspected.
    TooLong,
    /// The client left, or its request was not whole.
    Left,
    /// Nobody inspected it, and it passed on somebody's word.
    Uninspected,
    /// It would have been denied, where rules only detect.
    WouldDeny,
}

/// All of them, with the words of log and metrics.
pub const INSPECTED: [(Inspected, &str); 10] = [
    (Inspected::Allowed, "allowed"),
    (Inspected::Denied, "denied"),
    (Inspected::Late, "late"),
    (Inspected::Down, "down"),
    (Inspected::Busy, "busy"),
    (Inspected::Failed, "failed"),
    (Inspected::TooLong, "body-too-long"),
    (Inspected::Left, "client-left"),
    (Inspected::Uninspected, "passed-uninspected"),
    (Inspected::WouldDeny, "would-deny"),
];

impl Inspected {
    pub fn word(self) -> &'static str {
        INSPECTED.iter().find(|(it, _)| *it == self).map_or("", |(_, word)| word)
    }
}

/// A policy.
pub struct WafRun {
    pub by: Waf,
    /// Its place among those that the inspector was given.
    pub number: u16,
    /// Which inspector has it: one that was given exactly the policies of this plan.
    pub inspector: Arc<str>,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for WafRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("WafRun").field(&self.by.name).finish()
    }
}

#[derive(Default)]
struct Counts {
    timed: Timed<{ INSPECTED.len() }>,
    /// Bytes of bodies that are held, and requests that are inspected, each with whose they are.
    held: Mutex<Shares>,
    inspected: Mutex<Shares>,
}

/// A request that is inspected, for as long as it is kept.
pub struct Inspecting {
    of: Arc<Counts>,
    whose: Whose,
}

/// How much of a body is held until its request was inspected, for as long as that is kept.
pub struct HeldBytes {
    of: Arc<Counts>,
    whose: Whose,
    bytes: u64,
}

fn shares(it: &Mutex<Shares>) -> MutexGuard<'_, Shares> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HeldBytes {
    /// So many by now; false where those of all bodies together would be too many, or those of one address. `most`: of both.
    pub fn are(&mut self, bytes: usize, most: (u64, u64)) -> bool {
        let bytes = bytes as u64;
        let more = bytes.saturating_sub(self.bytes);
        let fits = shares(&self.of.held).takes(self.whose, more, most);
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        shares(&self.of.held).gives(self.whose, self.bytes);
    }
}

impl WafRun {
    /// With what the policy of the same name counted before.
    pub(crate) fn new(by: &Waf, number: u16, inspector: Arc<str>, before: Option<&WafRun>) -> WafRun {
        let counts = before.map_or_else(Arc::default, |it| it.counts.clone());
        WafRun { by: by.clone(), number, inspector, counts }
    }

    /// Its verdict is worth what the other's was: the same rules were asked in the same way.
    pub fn judges_as(&self, other: &WafRun) -> bool {
        self.inspector == other.inspector && self.number == other.number && self.by.over_body == other.by.over_body
    }

    pub fn blocks(&self) -> bool {
        self.by.mode == WafMode::Block
    }

    /// Somebody answers for it that requests pass uninspected now. `unix_s`: now.
    pub fn passes_uninspected(&self, unix_s: i64) -> bool {
        matches!(&self.by.when_down, WhenDown::Pass { acceptance } if unix_s < acceptance.closes_at_s)
    }

    /// Bodies that are held may have so many bytes together, as if each of those that are inspected at once held the most; and
    /// those of one address, of which one is always held.
    pub fn most_held(&self) -> (u64, u64) {
        let body = u64::from(self.by.body_bytes);
        let most = u64::from(self.by.at_once) * body;
        (most, part(most).max(body))
    }

    pub fn holds(&self, whose: Whose) -> HeldBytes {
        HeldBytes { of: self.counts.clone(), whose, bytes: 0 }
    }

    /// Begins to inspect a request; `None` where that are too many, or too many of that address.
    pub fn begin(&self, whose: Whose) -> Option<Inspecting> {
        let most = u64::from(self.by.at_once);
        if !shares(&self.counts.inspected).takes(whose, 1, (most, part(most))) {
            return None;
        }
        self.counts.timed.tally.is_begun();
        Some(Inspecting { of: self.counts.clone(), whose })
    }

    /// Counts what came of it; `us`: the inspector took so many microseconds.
    pub fn came(&self, what: Inspected, us: u64) {
        self.counts.timed.came(what as usize, us);
    }

    pub fn under_way(&self) -> u32 {
        self.counts.timed.tally.under_way()
    }

    /// In the order of [`INSPECTED`].
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        INSPECTED.iter().zip(self.counts.timed.tally.counted()).map(|((_, word), n)| (*word, n))
    }

    pub fn took(&self) -> Took {
        self.counts.timed.took()
    }
}

impl Drop for Inspecting {
    fn drop(&mut self) {
        // In this order: whoever takes the place is not counted beside the one who had it.
        self.of.timed.tally.ends();
        shares(&self.of.inspected).gives(self.whose, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_place_and_a_word_of_its_own() {
        for (i, (what, word)) in INSPECTED.iter().enumerate() {
            assert_eq!((*what as usize, what.word()), (i, *word));
        }
        let words: std::collections::HashSet<_> = INSPECTED.iter().map(|(_, word)| word).collect();
        assert_eq!(words.len(), INSPECTED.len());
    }

    #[test]
    fn what_is_held_of_all_bodies_together_and_of_one_address_has_a_bound_and_is_let_go_with_them() {
        let counts = Arc::new(Counts::default());
        let whose = |n: u8| Whose::from(std::net::IpAddr::from([192, 0, 2, n]));
        let holds = |n: u8| HeldBytes { of: counts.clone(), whose: whose(n), bytes: 0 };
        let (mut a, mut b) = (holds(1), holds(2));
        assert!(a.are(2, (8, 2)) && b.are(2, (8, 2)) && a.are(1, (8, 2)), "one that has less by now keeps what it had");
        assert!(!a.are(3, (8, 2)) && !holds(1).are(1, (8, 2)), "that address has its part");
        let (mut c, mut d) = (holds(3), holds(4));
        assert!(c.are(2, (8, 2)) && d.are(2, (8, 2)) && !holds(5).are(1, (8, 2)));
        drop(a);
        assert!(holds(5).are(1, (8, 2)));
    }
}
