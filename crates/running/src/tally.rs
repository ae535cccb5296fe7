//! What is under way of something that may be so many at once, and what became of each. Counts of all threads together.
//! Who has one: `mirror.rs`, `asks.rs`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// `N` outcomes, each by its place.
pub(crate) struct Tally<const N: usize> {
    under_way: AtomicU32,
    outcomes: [AtomicU64; N],
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Tally { under_way: AtomicU32::new(0), outcomes: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const N: usize> Tally<N> {
    /// One more is under way, unless `most` are.
    pub(crate) fn begins(&self, most: u32) -> bool {
        let order = Ordering::Relaxed;
        self.under_way.fetch_update(order, order, |n| (n < most).then(|| n + 1)).is_ok()
    }

    /// As [`Tally::begins`], of what something else bounds.
    pub(crate) fn is_begun(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// One that began is over.
    pub(crate) fn ends(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, outcome: usize) {
        if let Some(n) = self.outcomes.get(outcome) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// How often each outcome was, in their order.
    pub(crate) fn counted(&self) -> impl Iterator<Item = u64> + '_ {
        self.outcomes.iter().map(|n| n.load(Ordering::Relaxed))
    }
}
