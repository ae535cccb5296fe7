//! Times: how long something took, by buckets whose upper bounds every histogram shares. One thread writes them, whoever asks
//! reads. Read next: `counters.rs`, which has them.

use crate::counters::Count;
use std::sync::OnceLock;

/// Upper bounds of the buckets in microseconds; the last bucket is all the rest.
pub const BUCKETS_US: [u64; 10] = [500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000];

#[derive(Debug, Default)]
pub struct Times {
    buckets: [Count; BUCKETS_US.len() + 1],
    us: Count,
}

/// Which bucket so many microseconds are in.
#[inline]
fn bucket(us: u64) -> usize {
    BUCKETS_US.iter().position(|b| us <= *b).unwrap_or(BUCKETS_US.len())
}

impl Times {
    #[inline]
    pub fn add(&self, us: u64) {
        if let Some(count) = self.buckets.get(bucket(us)) {
            count.add(1);
        }
        self.us.add(us);
    }

    pub fn bucket(&self, at: usize) -> u64 {
        self.buckets.get(at).map_or(0, Count::get)
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Count::get).sum()
    }

    pub fn us(&self) -> u64 {
        self.us.get()
    }
}

/// Times by status class; one that was never seen takes no room.
#[derive(Debug, Default)]
pub struct ByClass([OnceLock<Box<Times>>; CLASSES]);

/// 1xx to 5xx by their number, and 0 for what has none.
pub const CLASSES: usize = 6;

impl ByClass {
    #[inline]
    pub fn add(&self, status: u16, us: u64) {
        let times = self.0.get(usize::from(status / 100)).unwrap_or(&self.0[0]);
        times.get_or_init(Box::default).add(us);
    }

    /// `None` where none was seen.
    pub fn of(&self, class: usize) -> Option<&Times> {
        self.0.get(class)?.get().map(|it| &**it)
    }

    /// Of all classes together.
    pub fn sum(&self, f: impl Fn(&Times) -> u64) -> u64 {
        self.0.iter().filter_map(OnceLock::get).map(|it| f(it)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let it = Times::default();
        for us in [0, 500, 501, 10_000_000, 10_000_001] {
            it.add(us);
        }
        assert_eq!(
            (0..=BUCKETS_US.len()).map(|at| it.bucket(at)).collect::<Vec<_>>(),
            [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
        );
        assert_eq!(it.us(), 20_001_002);
    }

    #[test]
    fn classes_are_apart_and_one_that_was_never_seen_is_not_there() {
        let it = ByClass::default();
        it.add(204, 7);
        it.add(299, 8);
        it.add(503, 600);
        it.add(0, 1);
        it.add(600, 1);
        let us: Vec<_> = (0..7).map(|class| it.of(class).map(Times::us)).collect();
        assert_eq!(us, [Some(2), None, Some(15), None, None, Some(600), None]);
        assert_eq!((it.sum(Times::us), it.sum(Times::count)), (617, 5));
    }
}
