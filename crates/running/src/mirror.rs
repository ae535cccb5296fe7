//! Where copies of some of a route's requests go, and what became of them. The way there is a route of its own, so that its
//! hops are chosen, opened, kept and told of like any other's; no request is ever routed to it. Counts of all threads
//! together; a reload keeps them. It sends nothing: that is the engine's `client/copies.rs`.

use crate::running::RouteRun;
use crate::tally::Tally;
use everyhop_plan::{Edits, Mirror};
use std::sync::Arc;

/// What became of a request that was chosen to be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The mirror's answer began, with a status below 500.
    Answered,
    /// With one of 500 or more.
    Error,
    /// No mirror was reached, or it broke off before an answer.
    Failed,
    /// No answer began in time.
    Late,
    /// Too many were under way, or descriptors were scarce: no copy was made.
    Busy,
    /// Its body is longer than what is copied.
    TooLong,
    /// It was not all there: its client left, or its own backend wanted no more of it.
    Incomplete,
    /// It is none that can be copied: it opens a tunnel, is a call of gRPC, or proves who the connection is.
    Unfit,
}

/// All of them, with the words of the metrics.
pub const OUTCOMES: [(Outcome, &str); 8] = [
    (Outcome::Answered, "answered"),
    (Outcome::Error, "error"),
    (Outcome::Failed, "failed"),
    (Outcome::Late, "late"),
    (Outcome::Busy, "busy"),
    (Outcome::TooLong, "too-long"),
    (Outcome::Incomplete, "incomplete"),
    (Outcome::Unfit, "unfit"),
];

/// A route's mirror.
pub struct MirrorRun {
    pub by: Mirror,
    /// What of the copy's head is changed, after what its route changes; `None`: nothing.
    pub request: Option<Edits>,
    pub to: RouteRun,
    counts: Arc<Counts>,
}

type Counts = Tally<{ OUTCOMES.len() }>;

/// A copy that is being made or under way, as long as it is held; dropped, it is counted by what became of it.
pub struct Copying {
    counts: Arc<Counts>,
    outcome: Outcome,
}

impl MirrorRun {
    pub fn new(by: &Mirror, to: RouteRun) -> MirrorRun {
        let it = &by.request;
        MirrorRun { by: by.clone(), request: (!it.is_empty()).then(|| it.clone()), to, counts: Arc::default() }
    }

    /// With what the same route's mirror counted before.
    pub(crate) fn follows(&mut self, before: Option<&MirrorRun>) {
        if let Some(before) = before {
            self.counts = before.counts.clone();
        }
        self.to.counts_on(before.map(|it| &it.to));
    }

    /// Begins a copy; where that are too many it is counted, and none.
    pub fn begin(&self) -> Option<Copying> {
        if !self.counts.begins(self.by.at_once) {
            self.counts.add(Outcome::Busy as usize);
            return None;
        }
        Some(Copying { counts: self.counts.clone(), outcome: Outcome::Incomplete })
    }

    /// Counts a request that was chosen, and of which no copy is made.
    pub fn count(&self, outcome: Outcome) {
        self.counts.add(outcome as usize);
    }

    pub fn under_way(&self) -> u32 {
        self.counts.under_way()
    }

    /// In the order of [`OUTCOMES`].
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        OUTCOMES.iter().zip(self.counts.counted()).map(|((_, word), n)| (*word, n))
    }
}

impl Copying {
    /// What it is counted as once it is dropped; before that as [`Outcome::Incomplete`].
    pub fn is(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.counts.ends();
        self.counts.add(self.outcome as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_counted_by_its_own_word() {
        let counts = Counts::default();
        for (i, (outcome, _)) in OUTCOMES.iter().enumerate() {
            assert_eq!(*outcome as usize, i);
            counts.add(*outcome as usize);
        }
        assert!(counts.counted().all(|n| n == 1));
        let words: std::collections::HashSet<_> = OUTCOMES.iter().map(|(_, word)| word).collect();
        assert_eq!(words.len(), OUTCOMES.len());
    }
}
