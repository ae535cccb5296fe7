//! When a request of a route goes to another backend after an answer that was none: how often, after which, and within which
//! budget, so that retries cannot become the outage. Counts of all threads together; a reload keeps them.

use everyhop_plan::Retries;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// So many may go again at once however few are under way.
const LEAST: u32 = 3;

pub struct RetriesRun {
    pub by: Retries,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    under_way: AtomicU32,
    going_again: AtomicU32,
    sent_again: AtomicU64,
    over_budget: AtomicU64,
}

/// A request that is under way, as long as it is held.
pub struct UnderWay(Arc<Counts>);

/// One that goes again, as long as it is held.
pub struct GoesAgain(Arc<Counts>);

impl RetriesRun {
    /// `before`: of the same route so far.
    pub fn new(by: &Retries, before: Option<&RetriesRun>) -> Box<RetriesRun> {
        let counts = before.map(|it| it.counts.clone()).unwrap_or_default();
        Box::new(RetriesRun { by: by.clone(), counts })
    }

    /// Counts a request of the route.
    pub fn begin(&self) -> UnderWay {
        self.counts.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.counts.clone())
    }

    /// Counts one that is to go again; `None` where too many do already.
    pub fn again(&self) -> Option<GoesAgain> {
        let it = &self.counts;
        let share = u64::from(it.under_way.load(Ordering::Relaxed)) * u64::from(self.by.budget_percent) / 100;
        let most = u32::try_from(share).unwrap_or(u32::MAX).max(LEAST);
        if it.going_again.fetch_add(1, Ordering::Relaxed) >= most {
            it.going_again.fetch_sub(1, Ordering::Relaxed);
            it.over_budget.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        it.sent_again.fetch_add(1, Ordering::Relaxed);
        Some(GoesAgain(it.clone()))
    }

    /// Requests of the route that are under way, with those that wait for a turn.
    pub fn under_way(&self) -> u32 {
        self.counts.under_way.load(Ordering::Relaxed)
    }

    /// Requests that went again so far, and those that would have but for the budget.
    pub fn counted(&self) -> (u64, u64) {
        (self.counts.sent_again.load(Ordering::Relaxed), self.counts.over_budget.load(Ordering::Relaxed))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for GoesAgain {
    fn drop(&mut self) {
        self.0.going_again.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(budget_percent: u32) -> Box<RetriesRun> {
        RetriesRun::new(&Retries { attempts: 2, on: vec![503], per_try_s: None, budget_percent }, None)
    }

    #[test]
    fn of_few_requests_three_may_go_again_and_of_many_their_share() {
        let it = run(20);
        let _one = it.begin();
        let held: Vec<_> = (0..5).map(|_| it.again()).collect();
        assert_eq!(held.iter().flatten().count(), 3);
        assert_eq!(it.counted(), (3, 2));
        drop(held);
        let many: Vec<_> = (0..99).map(|_| it.begin()).collect();
        let held: Vec<_> = (0..100).map(|_| it.again()).collect();
        assert_eq!(held.iter().flatten().count(), 20, "of a hundred");
        drop((held, many));
        assert!(it.again().is_some(), "what has ended makes room");
    }

    #[test]
    fn a_reload_keeps_what_is_counted() {
        let it = run(20);
        let held: Vec<_> = (0..3).map(|_| it.again()).collect();
        let next = RetriesRun::new(&it.by, Some(&it));
        assert!(next.again().is_none() && next.counted() == (3, 1));
        drop(held);
    }
}
