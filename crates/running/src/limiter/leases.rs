//! What a store let this edge let pass, by key: some at a time, so that most requests ask nobody. What is left of it is nobody
//! else's, and is given up where it is not used within the time in which it is earned back. Of a store that is asked of each request
//! nothing is leased but what came to nothing elsewhere. Read next: `../store.rs`.

use crate::store::{Answer, Asks, Question, Questions};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// What is leased at a time, of the burst: one in so many.
const PART: u32 = 100;
/// How long a lease holds at the least, so that rates that earn quickly do not ask at each request.
const HOLDS_NS: u64 = 1_000_000_000;

/// What it leases by.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub step_ns: u64,
    pub burst: u32,
    /// The store is asked of each request.
    pub each: bool,
}

/// So many in so many seconds, by which a store said no.
pub type Limit = (u32, u64);

impl Terms {
    /// As many as are leased at a time.
    pub fn batch(self) -> u32 {
        (self.burst / PART).max(1)
    }

    fn asks(self, key: &str, want: u32) -> Asks {
        let step_us = self.step_ns.div_ceil(1000).max(1);
        let span_us = step_us.saturating_mul(u64::from(self.burst));
        Asks { key: key.to_owned(), step_us, span_us, want: want.min(self.burst) }
    }

    fn holds_ns(self, n: u32) -> u64 {
        self.step_ns.saturating_mul(u64::from(n)).max(HOLDS_NS)
    }
}

#[derive(Default)]
struct Lease {
    left: u32,
    until_ns: u64,
    /// The store said no until then.
    no_until_ns: u64,
    no_by: Option<Limit>,
    /// How many waited since it was asked last.
    waiting: u32,
    asked: Option<Arc<Question>>,
}

/// What a request is told.
pub enum Leased {
    Yes,
    No {
        wait_ns: u64,
        /// By another limit than the plan's, where it says that.
        by: Option<Limit>,
    },
    /// The store was asked.
    Wait(Arc<Question>),
    /// It does not answer.
    Down,
}

pub struct Leases {
    shards: [Mutex<HashMap<u64, Lease>>; SHARDS],
    /// Keys of a shard; where more come, those are forgotten of which nothing is left, and else all of that shard.
    most: usize,
}

impl Leases {
    pub fn new(keys: u32) -> Leases {
        let most = usize::try_from(keys).unwrap_or(usize::MAX).div_ceil(SHARDS);
        Leases { shards: std::array::from_fn(|_| Mutex::default()), most }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, HashMap<u64, Lease>> {
        let at = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).unwrap_or(&self.shards[0]);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more request of a key. `named`: by what all edges know it. A lease of which half is left is asked for anew, and
    /// nobody waits for that.
    pub fn take(&self, key: u64, named: impl Fn() -> String, now_ns: u64, by: (Terms, &Questions)) -> Leased {
        let (terms, store) = by;
        let mut shard = self.shard(key);
        if shard.len() >= self.most && !shard.contains_key(&key) {
            shard
                .retain(|_, it| it.asked.is_some() || (it.left > 0 && it.until_ns > now_ns) || it.no_until_ns > now_ns);
            if shard.len() >= self.most {
                shard.clear();
            }
        }
        let it = shard.entry(key).or_default();
        it.hears(now_ns, terms);
        if it.until_ns <= now_ns {
            it.left = 0;
        }
        if it.left > 0 {
            it.left -= 1;
            if !terms.each && it.left <= terms.batch() / 2 && it.asked.is_none() {
                it.asked = store.ask(terms.asks(&named(), terms.batch()));
            }
            return Leased::Yes;
        }
        if it.no_until_ns > now_ns {
            return Leased::No { wait_ns: it.no_until_ns - now_ns, by: it.no_by };
        }
        if terms.each {
            return store.ask(terms.asks(&named(), 1)).map_or(Leased::Down, Leased::Wait);
        }
        if it.asked.is_none() {
            let want = terms.batch().saturating_add(it.waiting);
            it.asked = store.ask(terms.asks(&named(), want));
            it.waiting = 0;
        }
        match &it.asked {
            None => Leased::Down,
            Some(asked) => {
                it.waiting = it.waiting.saturating_add(1);
                Leased::Wait(asked.clone())
            }
        }
    }

    /// What a store that is asked of each request answered of one.
    pub fn heard(&self, key: u64, answer: Option<Answer>, now_ns: u64, terms: Terms) -> Leased {
        let mut shard = self.shard(key);
        let it = shard.entry(key).or_default();
        match answer {
            Some(answer @ Answer::Given { .. }) => {
                it.answered(answer, now_ns, terms);
                it.left = it.left.saturating_sub(1);
                Leased::Yes
            }
            Some(answer @ Answer::Over { wait_us, limit }) => {
                it.answered(answer, now_ns, terms);
                Leased::No { wait_ns: wait_us.saturating_mul(1000), by: limit }
            }
            Some(Answer::Unknown) | None => Leased::Down,
        }
    }

    /// One that was let pass came to nothing elsewhere.
    pub fn give_back(&self, key: u64) {
        if let Some(it) = self.shard(key).get_mut(&key) {
            it.left = it.left.saturating_add(1);
        }
    }
}

impl Lease {
    /// What was answered meanwhile.
    fn hears(&mut self, now_ns: u64, terms: Terms) {
        let Some(answer) = self.asked.as_ref().and_then(|it| it.answered()) else { return };
        self.asked = None;
        self.answered(answer, now_ns, terms);
    }

    fn answered(&mut self, answer: Answer, now_ns: u64, terms: Terms) {
        match answer {
            Answer::Given { n, .. } => {
                if self.until_ns <= now_ns {
                    self.left = 0;
                }
                self.left = self.left.saturating_add(n);
                self.until_ns = now_ns.saturating_add(terms.holds_ns(n));
            }
            Answer::Over { wait_us, limit } => {
                self.no_until_ns = now_ns.saturating_add(wait_us.saturating_mul(1000));
                self.no_by = limit;
            }
            Answer::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    const TERMS: Terms = Terms { step_ns: 10_000_000, burst: 400, each: false };

    fn up() -> Questions {
        let it = Questions::default();
        it.now_up();
        it
    }

    fn take(it: &Leases, at: u64, store: &Questions) -> Leased {
        it.take(7, || "seven".into(), at, (TERMS, store))
    }

    fn asked(it: Leased) -> Arc<Question> {
        let Leased::Wait(question) = it else { panic!("it was not asked") };
        question
    }

    #[test]
    fn a_batch_is_asked_for_once_and_again_before_all_of_it_is_used() {
        let (it, store) = (Leases::new(1000), up());
        let first = asked(take(&it, 0, &store));
        assert_eq!((first.asked.want, first.asked.step_us, first.asked.span_us), (4, 10_000, 4_000_000));
        assert!(Arc::ptr_eq(&first, &asked(take(&it, 0, &store))), "the second waits for the same");
        first.answer(Answer::Given { n: 4, left: 396 });
        assert!(matches!(take(&it, 1, &store), Leased::Yes));
        assert_eq!(store.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert!(matches!(take(&it, 2, &store), Leased::Yes), "and now half is left");
        assert_eq!(store.asked.load(std::sync::atomic::Ordering::Relaxed), 2);
        assert!(matches!((take(&it, 3, &store), take(&it, 3, &store)), (Leased::Yes, Leased::Yes)));
        let second = asked(take(&it, 4, &store));
        second.answer(Answer::Over { wait_us: 5, limit: None });
        assert!(matches!(take(&it, 1000, &store), Leased::No { wait_ns: 5000, by: None }));
        asked(take(&it, 6000, &store));
    }

    #[test]
    fn who_waits_together_is_asked_for_together() {
        let (it, store) = (Leases::new(1000), up());
        let first = asked(take(&it, 0, &store));
        for _ in 0..9 {
            asked(take(&it, 0, &store));
        }
        first.answer(Answer::Given { n: 1, left: 399 });
        assert!(matches!(take(&it, 0, &store), Leased::Yes));
        assert_eq!(asked(take(&it, 0, &store)).asked.want, 4, "the prefetch is under way");
    }

    #[test]
    fn what_is_not_used_in_time_is_given_up() {
        let (it, store) = (Leases::new(1000), up());
        asked(take(&it, 0, &store)).answer(Answer::Given { n: 400, left: 0 });
        assert!(matches!(take(&it, 1, &store), Leased::Yes));
        let later = 400 * TERMS.step_ns + 2;
        asked(take(&it, later, &store));
    }

    #[test]
    fn nobody_is_asked_that_does_not_answer_and_what_is_leased_still_holds() {
        let (it, store) = (Leases::new(1000), up());
        asked(take(&it, 0, &store)).answer(Answer::Given { n: 2, left: 0 });
        store.now_down("gone");
        assert!(matches!((take(&it, 1, &store), take(&it, 1, &store)), (Leased::Yes, Leased::Yes)));
        assert!(matches!(take(&it, 1, &store), Leased::Down));
        it.give_back(7);
        assert!(matches!(take(&it, 1, &store), Leased::Yes));
    }

    #[test]
    fn so_many_keys_are_remembered_and_no_more() {
        let (it, store) = (Leases::new(SHARDS as u32 * 4), up());
        for key in 0..100_000 {
            let _ = it.take(key, || key.to_string(), key, (TERMS, &store));
        }
        let all: usize = it.shards.iter().map(|s| s.lock().expect("no panic").len()).sum();
        assert!(all <= SHARDS * 4, "{all}");
    }

    /// How many pass of a key, one after the other, until one does not.
    fn passes(it: &Leases, at: u64, store: &Questions) -> usize {
        (0..100).take_while(|_| matches!(take(it, at, store), Leased::Yes)).count()
    }

    #[test]
    fn what_is_left_of_a_lease_is_added_to_the_next_as_long_as_it_holds_and_not_after() {
        for (heard_at, all) in [(HOLDS_NS - 1, 2 + 4), (HOLDS_NS, 4), (HOLDS_NS * 2, 4)] {
            let (it, store) = (Leases::new(1000), up());
            asked(take(&it, 0, &store)).answer(Answer::Given { n: 4, left: 9 });
            assert!(matches!((take(&it, 0, &store), take(&it, 0, &store)), (Leased::Yes, Leased::Yes)));
            let again = store.take(&Context::from_waker(Waker::noop())).pop_back().expect("half is left");
            again.answer(Answer::Given { n: 4, left: 5 });
            assert_eq!(passes(&it, heard_at, &store), all, "{heard_at}");
        }
    }

    /// Keys of one shard, of which it remembers so many.
    fn of_one_shard(most: u32) -> (Leases, impl Fn(&Leases, u64, u64, &Questions) -> Leased) {
        let take = |it: &Leases, n: u64, at: u64, store: &Questions| {
            it.take(n * SHARDS as u64, || n.to_string(), at, (TERMS, store))
        };
        (Leases::new(SHARDS as u32 * most), take)
    }

    #[test]
    fn a_new_key_takes_the_place_of_one_that_has_nothing_left_and_not_of_one_that_has() {
        let ends = HOLDS_NS;
        for (what, answer) in [
            ("its lease is over", Answer::Given { n: 5, left: 0 }),
            ("it was told no until now", Answer::Over { wait_us: ends / 1000, limit: None }),
        ] {
            let ((it, take), store) = (of_one_shard(2), up());
            asked(take(&it, 1, 0, &store)).answer(Answer::Given { n: 300, left: 0 });
            assert!(matches!(take(&it, 1, 0, &store), Leased::Yes));
            asked(take(&it, 2, 0, &store)).answer(answer);
            let _ = take(&it, 2, 0, &store);
            asked(take(&it, 3, ends, &store));
            assert!(matches!(take(&it, 1, ends, &store), Leased::Yes), "{what}");
        }
        let ((it, take), store) = (of_one_shard(2), up());
        for (n, gives) in [(1, 300), (2, 1)] {
            asked(take(&it, n, 0, &store)).answer(Answer::Given { n: gives, left: 0 });
        }
        store.now_down("gone");
        assert!(matches!((take(&it, 1, 0, &store), take(&it, 2, 0, &store)), (Leased::Yes, Leased::Yes)));
        assert!(matches!(take(&it, 3, 1, &store), Leased::Down));
        assert!(matches!(take(&it, 1, 1, &store), Leased::Yes), "of the other all was used");
    }

    #[test]
    fn a_key_that_waits_or_was_told_no_is_not_asked_for_anew_since_another_came() {
        let ((it, take), store) = (of_one_shard(3), up());
        asked(take(&it, 1, 0, &store)).answer(Answer::Given { n: 5, left: 0 });
        assert!(matches!(take(&it, 1, 0, &store), Leased::Yes));
        asked(take(&it, 2, 0, &store)).answer(Answer::Over { wait_us: 5_000_000, limit: None });
        assert!(matches!(take(&it, 2, 0, &store), Leased::No { .. }));
        let waits = asked(take(&it, 3, 0, &store));
        asked(take(&it, 4, HOLDS_NS, &store));
        assert!(matches!(take(&it, 2, HOLDS_NS, &store), Leased::No { wait_ns: 4_000_000_000, by: None }));
        assert!(Arc::ptr_eq(&waits, &asked(take(&it, 3, HOLDS_NS, &store))));
    }

    #[test]
    fn a_key_that_is_known_takes_nobodys_place_and_keys_of_other_shards_neither() {
        let ((it, take), store) = (of_one_shard(1), up());
        asked(take(&it, 1, 0, &store)).answer(Answer::Given { n: 3, left: 0 });
        assert!(matches!((take(&it, 1, 0, &store), take(&it, 1, 0, &store)), (Leased::Yes, Leased::Yes)));
        let it = Leases::new(SHARDS as u32);
        let each = |at| (0..SHARDS as u64).map(move |key| (key, at));
        let take = |(key, at): (u64, u64)| it.take(key, || key.to_string(), at, (TERMS, &store));
        each(0).for_each(|of| asked(take(of)).answer(Answer::Given { n: 3, left: 0 }));
        assert!(each(1).all(|of| matches!(take(of), Leased::Yes)));
    }

    #[test]
    fn a_store_that_is_asked_of_each_request_is_asked_of_each_and_says_no_until_a_time() {
        let (it, store) = (Leases::new(1000), up());
        let terms = Terms { each: true, ..TERMS };
        let take = |at| it.take(7, || "seven".into(), at, (terms, &store));
        let (first, second) = (asked(take(0)), asked(take(0)));
        assert!(!Arc::ptr_eq(&first, &second) && (first.asked.want, second.asked.want) == (1, 1));
        assert!(matches!(it.heard(7, Some(Answer::Given { n: 1, left: 9 }), 1, terms), Leased::Yes));
        asked(take(2));
        it.give_back(7);
        assert!(matches!(take(3), Leased::Yes), "one that came to nothing is used");
        asked(take(4));
        assert!(matches!(it.heard(7, Some(Answer::Unknown), 5, terms), Leased::Down));
        assert!(matches!(it.heard(7, None, 5, terms), Leased::Down));
        asked(take(6));
        let over = Answer::Over { wait_us: 5, limit: Some((10, 60)) };
        assert!(matches!(it.heard(7, Some(over), 1000, terms), Leased::No { wait_ns: 5000, by: Some((10, 60)) }));
        assert!(matches!(take(2000), Leased::No { wait_ns: 4000, by: Some((10, 60)) }));
        asked(take(6000));
    }
}
