//! Who is asked whether requests may pass, made ready, with what came of it so far. The way there is a route of its own, so that its
//! hops are chosen, opened, kept and told of like any other's; no request is ever routed to it. Counts of all threads together; a
//! reload keeps them. It asks nothing: that is the engine's `client/asks.rs`.

use crate::running::RouteRun;
use crate::timed::{Timed, Took};
use everyhop_plan::{Authorizer, WhenDown};
use std::sync::Arc;

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// 401 or 403.
    Denied,
    /// 3xx: the client is led elsewhere, such as to where it signs in.
    Led,
    /// Nobody was reached, or the connection broke before an answer.
    Unreached,
    /// No answer in time.
    Late,
    /// An answer by which nobody passes and nobody is refused.
    Unfit,
    /// Too many were asked about already.
    Busy,
    /// Nobody decided, and the request passed on somebody's word.
    Unasked,
    /// The client left first.
    Left,
}

/// All of them, with the words of log and metrics.
pub const OUTCOMES: [(Outcome, &str); 9] = [
    (Outcome::Passed, "passed"),
    (Outcome::Denied, "denied"),
    (Outcome::Led, "led-elsewhere"),
    (Outcome::Unreached, "unreached"),
    (Outcome::Late, "late"),
    (Outcome::Unfit, "unfit"),
    (Outcome::Busy, "busy"),
    (Outcome::Unasked, "passed-unasked"),
    (Outcome::Left, "client-left"),
];

impl Outcome {
    pub fn word(self) -> &'static str {
        OUTCOMES.iter().find(|(it, _)| *it == self).map_or("", |(_, word)| word)
    }

    /// The request goes on.
    pub fn passes(self) -> bool {
        matches!(self, Outcome::Passed | Outcome::Unasked)
    }
}

/// An authorizer.
pub struct AsksRun {
    pub by: Authorizer,
    pub to: RouteRun,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for AsksRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AsksRun").field(&self.by.name).finish()
    }
}

type Counts = Timed<{ OUTCOMES.len() }>;

/// A request that is being asked about, for as long as it is held.
pub struct Asking(Arc<Counts>);

impl AsksRun {
    pub fn new(by: &Authorizer, to: RouteRun) -> AsksRun {
        AsksRun { by: by.clone(), to, counts: Arc::default() }
    }

    /// With what the same authorizer counted before.
    pub(crate) fn follows(&mut self, before: Option<&AsksRun>) {
        if let Some(before) = before {
            self.counts = before.counts.clone();
        }
        self.to.counts_on(before.map(|it| &it.to));
    }

    /// Its word is worth what the other's was: the same is asked in the same words, and taken of what it says.
    pub fn judges_as(&self, other: &AsksRun) -> bool {
        let hops = |it: &AsksRun| it.to.backends.iter().map(|b| b.hop_id).collect::<Vec<_>>();
        let (a, b) = (&self.by, &other.by);
        (&a.name, &a.speaks, &a.sends, &a.takes) == (&b.name, &b.speaks, &b.sends, &b.takes)
            && hops(self) == hops(other)
    }

    /// Somebody answers for it that requests pass unasked now. `unix_s`: now.
    pub fn passes_unasked(&self, unix_s: i64) -> bool {
        matches!(&self.by.when_down, WhenDown::Pass { acceptance } if unix_s < acceptance.closes_at_s)
    }

    /// Begins to ask; `None` where that are too many.
    pub fn begin(&self) -> Option<Asking> {
        self.counts.tally.begins(self.by.at_once).then(|| Asking(self.counts.clone()))
    }

    /// Counts what came of it; `us`: after so many microseconds.
    pub fn came(&self, outcome: Outcome, us: u64) {
        self.counts.came(outcome as usize, us);
    }

    pub fn under_way(&self) -> u32 {
        self.counts.tally.under_way()
    }

    /// In the order of [`OUTCOMES`].
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        OUTCOMES.iter().zip(self.counts.tally.counted()).map(|((_, word), n)| (*word, n))
    }

    pub fn took(&self) -> Took {
        self.counts.took()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.tally.ends();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_place_and_a_word_of_its_own() {
        for (i, (outcome, word)) in OUTCOMES.iter().enumerate() {
            assert_eq!((*outcome as usize, outcome.word()), (i, *word));
        }
        let words: std::collections::HashSet<_> = OUTCOMES.iter().map(|(_, word)| word).collect();
        assert_eq!(words.len(), OUTCOMES.len());
        assert_eq!(OUTCOMES.iter().filter(|(it, _)| it.passes()).count(), 2);
    }
}
