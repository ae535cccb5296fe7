//! What came of a question that takes time, by how it ended and how long that took. Of all threads together.

use crate::tally::Tally;
use everyhop_record::times::BUCKETS_US;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many took as long, by the buckets that every histogram has; and all of it in microseconds.
pub type Took = ([u64; BUCKETS_US.len() + 1], u64);

/// `N`: as many ends.
#[derive(Default)]
pub(crate) struct Timed<const N: usize> {
    pub(crate) tally: Tally<N>,
    took: [AtomicU64; BUCKETS_US.len() + 1],
    took_us: AtomicU64,
}

impl<const N: usize> Timed<N> {
    /// One ended like that, after so many microseconds.
    pub(crate) fn came(&self, end: usize, us: u64) {
        self.tally.add(end);
        let bucket = BUCKETS_US.iter().position(|most| us <= *most).unwrap_or(BUCKETS_US.len());
        if let Some(n) = self.took.get(bucket) {
            n.fetch_add(1, Ordering::Relaxed);
        }
        self.took_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn took(&self) -> Took {
        let mut out = [0; BUCKETS_US.len() + 1];
        for (out, n) in out.iter_mut().zip(&self.took) {
            *out = n.load(Ordering::Relaxed);
        }
        (out, self.took_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_counted_with_how_long_it_took_in_its_bucket() {
        let it = Timed::<2>::default();
        let last = BUCKETS_US.last().copied().unwrap_or_default();
        for (end, us) in [(0, 0), (1, BUCKETS_US[0]), (1, BUCKETS_US[0] + 1), (1, last + 1)] {
            it.came(end, us);
        }
        let (took, us) = it.took();
        assert_eq!((took[0], took[1], took[BUCKETS_US.len()]), (2, 1, 1));
        assert_eq!(us, 2 * BUCKETS_US[0] + 1 + last + 1);
        assert_eq!(it.tally.counted().collect::<Vec<_>>(), [1, 3]);
    }
}
