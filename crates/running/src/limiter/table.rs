//! What keys owe, of one limit, for all threads: so many keys and no more, in sets of eight. Of a set that is full the key is
//! forgotten that owes least, so that a flood of keys of which each came once takes the place of one another, and not of
//! those that are near their limit. A key is a keyed hash; what it was made of is nowhere. Read next: `mod.rs`.

use crate::limiter::pace::Pace;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys of a set; two lines of a processor's cache.
const WAYS: usize = 8;
/// So that threads rarely meet at one lock.
const SHARDS: usize = 64;

/// 0: nobody.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    until_ns: u64,
}

/// One after the other, a set is `WAYS` of them.
type Shard = Vec<Slot>;

pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// How many sets a shard has, less one: a power of two.
    mask: u64,
    forgotten: AtomicU64,
}

/// A key that is remembered, and until when it owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owes {
    pub key: u64,
    pub until_ns: u64,
}

impl Table {
    /// For `keys` at the least.
    pub fn new(keys: u32) -> Table {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        let sets = keys.div_ceil(WAYS * SHARDS).max(1).next_power_of_two();
        let shard = || Mutex::new(vec![Slot::default(); sets * WAYS]);
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Table { shards, mask: sets as u64 - 1, forgotten: AtomicU64::new(0) }
    }

    /// Keys that it has room for.
    #[cfg(test)]
    fn room(&self) -> usize {
        self.shards.len() * (usize::try_from(self.mask).unwrap_or(0) + 1) * WAYS
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key's set: by other bits than its shard.
    fn set<'a>(&self, shard: &'a mut Shard, key: u64) -> &'a mut [Slot] {
        let from = usize::try_from((key >> 6) & self.mask).unwrap_or(0) * WAYS;
        shard.get_mut(from..from + WAYS).unwrap_or_default()
    }

    /// One more request of the key: until when it owes, with it, or the time until it would pass.
    pub fn take(&self, key: u64, now_ns: u64, pace: Pace) -> Result<u64, u64> {
        let key = key.max(1);
        let mut shard = self.shard(key);
        let set = self.set(&mut shard, key);
        if let Some(slot) = set.iter_mut().find(|s| s.key == key) {
            return pace.take(slot.until_ns, now_ns).inspect(|after| slot.until_ns = *after);
        }
        let after = pace.take(0, now_ns)?;
        if let Some(slot) = set.iter_mut().min_by_key(|s| s.until_ns) {
            if slot.until_ns > now_ns {
                self.forgotten.fetch_add(1, Ordering::Relaxed);
            }
            *slot = Slot { key, until_ns: after };
        }
        Ok(after)
    }

    /// A request that was let pass here came to nothing elsewhere.
    pub fn give_back(&self, key: u64, pace: Pace) {
        let key = key.max(1);
        let mut shard = self.shard(key);
        if let Some(slot) = self.set(&mut shard, key).iter_mut().find(|s| s.key == key) {
            slot.until_ns = pace.give_back(slot.until_ns);
        }
    }

    /// How often a key was forgotten that owed something, since others needed its place.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// How many keys owe something now, and the `most` that owe most.
    pub fn owing(&self, now_ns: u64, most: usize) -> (usize, Vec<Owes>) {
        let (mut number, mut all) = (0, Vec::new());
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let owing = shard.iter().filter(|s| s.until_ns > now_ns);
            let before = all.len();
            all.extend(owing.map(|s| Owes { key: s.key, until_ns: s.until_ns }));
            number += all.len() - before;
            all.sort_unstable_by_key(|it: &Owes| std::cmp::Reverse(it.until_ns));
            all.truncate(most);
        }
        (number, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyhop_plan::Rate;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    /// A key as a hash would make it of a number.
    fn key(n: u64) -> u64 {
        let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn a_million_keys_forget_none_that_is_at_its_limit() {
        let pace = Pace::of(Rate { count: 10, per_s: 60, burst: 10 });
        let table = Table::new(10_000);
        assert!((10_000..=20_000).contains(&table.room()), "{}", table.room());
        let hot: Vec<u64> = (0..100).map(|n| key(1 << 40 | n)).collect();
        for key in &hot {
            for _ in 0..10 {
                table.take(*key, 1, pace).expect("the burst");
            }
        }
        for n in 0..1_000_000 {
            table.take(key(n), 2 + n, pace).expect("a new key passes");
        }
        let still = hot.iter().filter(|key| table.take(**key, 1_000_003, pace).is_err()).count();
        assert_eq!(still, hot.len(), "each is refused as before");
        assert!(table.forgotten() > 900_000);
        assert_eq!(table.owing(1_000_003, 3).1.len(), 3);
    }

    #[test]
    fn threads_together_let_as_many_pass_as_the_burst_and_the_rate() {
        let pace = Pace::of(Rate { count: 1_000, per_s: 1, burst: 50 });
        let (table, passed) = (Table::new(1_000), AtomicUsize::new(0));
        let began = Instant::now();
        std::thread::scope(|all| {
            for _ in 0..8 {
                all.spawn(|| {
                    while began.elapsed() < Duration::from_millis(300) {
                        let now = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                        if table.take(key(1), now, pace).is_ok() {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let earned = usize::try_from(began.elapsed().as_millis()).unwrap_or(0);
        let passed = passed.into_inner();
        assert!((50..=50 + earned).contains(&passed), "{passed} of 50 and {earned}");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let pace = Pace::of(Rate { count: 1, per_s: 60, burst: 1 });
        let table = Table::new(8);
        table.take(0, 5, pace).expect("one");
        table.take(0, 5, pace).expect_err("a second");
        table.give_back(0, pace);
        table.give_back(key(9), pace);
        table.take(0, 5, pace).expect("one again");
    }

    #[test]
    fn a_key_is_as_good_as_new_once_nothing_is_owed_and_takes_no_room_from_others() {
        let pace = Pace::of(Rate { count: 10, per_s: 1, burst: 10 });
        let table = Table::new(1);
        for n in 0..100_000 {
            table.take(key(n), n * 1_000_000_000, pace).expect("a new key passes");
        }
        assert_eq!((table.forgotten(), table.owing(200_000_000_000_000, 9)), (0, (0, Vec::new())));
    }

    #[test]
    fn all_keys_that_owe_are_counted_until_the_moment_in_which_they_owe_nothing_and_those_that_owe_most_are_shown() {
        let pace = Pace::of(Rate { count: 1, per_s: 1, burst: 100 });
        let table = Table::new(1_000);
        assert_eq!(table.owing(0, 9), (0, Vec::new()), "nobody owes before anybody came");
        let ends: Vec<u64> = (1..=100).map(|n| table.take(key(n), n, pace).expect("a new key passes")).collect();
        let (first, last) = (ends[0], ends[99]);
        assert_eq!((table.owing(first - 1, 0).0, table.owing(first, 0).0), (100, 99));
        assert_eq!((table.owing(last - 1, 0).0, table.owing(last, 0).0), (1, 0));
        let most: Vec<_> = [100, 99].map(|n| Owes { key: key(n), until_ns: ends[n as usize - 1] }).to_vec();
        assert_eq!(table.owing(first, 2), (99, most));
    }
}
