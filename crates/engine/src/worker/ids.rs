//! Ids of connections and requests: no secret. No two of a process are the same: each of its threads has a stretch of
//! numbers for itself. Each process begins anywhere among all numbers, so that it meets what another one used with the
//! chance of what both use among 2^64: of two that gave a million million ids each, one in ten million.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Bits of a thread's stretch: 65,536 threads, each with ids for nine years of a million a second.
const STRETCH: u32 = 48;

/// One thread's ids.
#[derive(Debug)]
pub(crate) struct Ids {
    last: Cell<u64>,
}

/// Where a process begins: a number that the system picks.
pub(crate) fn anywhere() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

impl Ids {
    pub(crate) fn of_thread(from: u64, thread: usize) -> Ids {
        Ids { last: Cell::new(from.wrapping_add((thread as u64) << STRETCH)) }
    }

    /// The next one.
    pub(crate) fn next(&self) -> u64 {
        let id = self.last.get().wrapping_add(1);
        self.last.set(id);
        // The finalizer of splitmix64, which is one to one: neighbours look different, and two that differ stay so.
        let mut z = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stretches_of_two_threads_never_meet_wherever_the_process_begins() {
        for from in [0, 1 << 44, 1 << 63, u64::MAX, anywhere()] {
            let mut begins: Vec<u64> = (0..130).map(|thread| Ids::of_thread(from, thread).last.get()).collect();
            begins.sort_unstable();
            let round =
                begins.first().copied().unwrap_or_default().wrapping_sub(begins.last().copied().unwrap_or_default());
            let gaps = begins.windows(2).map(|two| two[1] - two[0]).chain([round]);
            assert!(gaps.min() >= Some(1 << STRETCH), "{from:x}");
        }
    }

    #[test]
    fn two_processes_begin_in_different_places() {
        let begins: std::collections::HashSet<u64> = (0..100).map(|_| anywhere()).collect();
        assert_eq!(begins.len(), 100);
    }
}
