//! How many requests of each key are under way, for all threads. What nobody holds is nowhere. Read next: `mod.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;

pub struct Counts {
    shards: [Mutex<HashMap<u64, u32>>; SHARDS],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

/// A request that is under way, as long as it is held.
pub struct UnderWay {
    counts: Arc<Counts>,
    key: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(self.key);
        if let Some(n) = shard.get_mut(&self.key) {
            *n -= 1;
            if *n == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

impl Counts {
    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, u32>> {
        let at = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, and gives how many there are with it.
    pub fn hold(self: &Arc<Self>, key: u64) -> (UnderWay, u32) {
        let mut shard = self.shard(key);
        let n = shard.entry(key).or_insert(0);
        *n += 1;
        (UnderWay { counts: self.clone(), key }, *n)
    }

    /// All that are under way, and how many keys have some.
    pub fn all(&self) -> (u64, usize) {
        let each = self.shards.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner));
        each.fold((0, 0), |(n, keys), s| (n + s.values().map(|n| u64::from(*n)).sum::<u64>(), keys + s.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_counted_no_more_and_nothing_stays_behind() {
        let counts = Arc::new(Counts::default());
        let (one, n) = counts.hold(7);
        let (two, m) = counts.hold(7);
        let (other, of_other) = counts.hold(71);
        assert_eq!((n, m, of_other, counts.all()), (1, 2, 1, (3, 2)));
        drop((one, other));
        let again = counts.hold(7).1;
        assert_eq!((again, counts.all()), (2, (1, 1)));
        drop(two);
        assert_eq!(counts.all(), (0, 0));
        assert!(counts.shards.iter().all(|s| s.lock().expect("no panic").is_empty()));
    }
}
