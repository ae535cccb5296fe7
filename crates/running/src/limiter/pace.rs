//! A rate as GCRA has it (ITU-T I.371): a key owes a step for each request, time pays it back, and nobody may owe more than
//! the span. So in any time no more pass than the burst and what the rate gives for that time. Pure: time comes in as
//! nanoseconds of a clock that nobody sets. Read next: `table.rs`, which remembers what keys owe.

use everyhop_plan::Rate;

/// What a rate comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What one request owes, rounded up: never more than the rate.
    step_ns: u64,
    /// What a key may owe at most.
    span_ns: u64,
    pub burst: u32,
}

impl Pace {
    pub fn of(rate: Rate) -> Pace {
        let step_ns = (u64::from(rate.per_s) * 1_000_000_000).div_ceil(u64::from(rate.count.max(1)));
        let burst = rate.burst.max(1);
        Pace { step_ns, span_ns: step_ns.saturating_mul(u64::from(burst)), burst }
    }

    /// One more request of a key that owes until `until_ns`. Gives until when it owes now.
    ///
    /// Refuses: with the time until one would pass; what it owes stays.
    #[inline]
    pub fn take(&self, until_ns: u64, now_ns: u64) -> Result<u64, u64> {
        let after = self.standing(until_ns, now_ns).saturating_add(self.step_ns);
        let owes = after - now_ns;
        if owes <= self.span_ns { Ok(after) } else { Err(owes - self.span_ns) }
    }

    /// Until when it owes, as of now: what was owed under a rate that was slower is no more than this one lets anybody owe.
    #[inline]
    fn standing(&self, until_ns: u64, now_ns: u64) -> u64 {
        until_ns.clamp(now_ns, now_ns.saturating_add(self.span_ns))
    }

    pub fn step_ns(&self) -> u64 {
        self.step_ns
    }

    /// Takes one back that came to nothing.
    pub fn give_back(&self, until_ns: u64) -> u64 {
        until_ns.saturating_sub(self.step_ns)
    }

    /// How many would pass now.
    pub fn left(&self, until_ns: u64, now_ns: u64) -> u64 {
        let owes = self.standing(until_ns, now_ns) - now_ns;
        (self.span_ns - owes) / self.step_ns
    }

    /// The whole of the burst is earned back in so many seconds, rounded up.
    pub fn span_s(&self) -> u64 {
        self.span_ns.div_ceil(1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(count: u32, per_s: u32, burst: u32) -> Pace {
        Pace::of(Rate { count, per_s, burst })
    }

    /// As many as pass at each of these moments, one key.
    fn passed(pace: Pace, moments: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut until = 0;
        let mut all = Vec::new();
        for now in moments {
            if let Ok(after) = pace.take(until, now) {
                until = after;
                all.push(now);
            }
        }
        all
    }

    /// SplitMix64: any spread will do, and the same one each time.
    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn in_no_window_more_pass_than_the_burst_and_what_the_rate_gives_for_it() {
        let mut seed = 7;
        for (count, per_s, burst) in [(100, 1, 200), (3, 1, 1), (7, 60, 5), (1, 3600, 2), (999_983, 1, 10), (5, 1, 5)] {
            let pace = pace(count, per_s, burst);
            let step = u64::from(per_s) * 1_000_000_000 / u64::from(count);
            // Flat out, in bursts, and at about the rate.
            for most_gap in [step / 50 + 2, step * 2 + 2, step * u64::from(burst) * 3 + 2] {
                let mut now = random(&mut seed) % 1_000_000_000_000;
                let moments: Vec<u64> = (0..2_000)
                    .map(|_| {
                        now += random(&mut seed) % most_gap;
                        now
                    })
                    .collect();
                let all = passed(pace, moments);
                assert!(!all.is_empty());
                for (i, first) in all.iter().enumerate() {
                    for (n, last) in all[i..].iter().enumerate().step_by(17) {
                        let earned = (last - first) as u128 * u128::from(count) / (u128::from(per_s) * 1_000_000_000);
                        assert!((n as u128) < u128::from(burst) + earned, "{pace:?}: {} in {}", n + 1, last - first);
                    }
                }
            }
        }
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_refused() {
        for (count, per_s) in [(100u32, 1u32), (3, 1), (60, 60), (7, 86_400)] {
            let pace = pace(count, per_s, 1);
            let step = (u64::from(per_s) * 1_000_000_000).div_ceil(u64::from(count));
            assert_eq!(passed(pace, (0..1000).map(|i| 5 + i * step)).len(), 1000);
        }
    }

    #[test]
    fn a_refusal_says_after_which_time_one_passes_and_before_which_none_does() {
        let pace = pace(7, 60, 3);
        let mut until = 0;
        for _ in 0..3 {
            until = pace.take(until, 1_000).expect("the burst");
        }
        let wait = pace.take(until, 1_000).expect_err("one more");
        assert!(pace.take(until, 1_000 + wait - 1).is_err());
        assert!(pace.take(until, 1_000 + wait).is_ok());
        assert_eq!((pace.left(until, 1_000), pace.left(until, 1_000 + wait), pace.left(0, 1_000)), (0, 1, 3));
    }

    #[test]
    fn a_clock_that_another_thread_read_a_little_earlier_lets_nobody_through_who_would_not_pass_now() {
        let pace = pace(10, 1, 2);
        let until = pace.take(pace.take(0, 10_000).expect("one"), 10_000).expect("two");
        assert!(pace.take(until, 9_000).is_err());
        assert_eq!(pace.left(until, 9_000), 0);
    }

    #[test]
    fn at_the_end_of_all_time_nothing_wraps() {
        let pace = pace(1, 86_400, 1_000_000);
        for now in [u64::MAX - 1, u64::MAX] {
            for until in [0, now, u64::MAX] {
                if let Ok(after) = pace.take(until, now) {
                    assert!(after >= now);
                }
                let _ = pace.left(until, now);
            }
        }
        assert_eq!(pace.give_back(3), 0);
    }

    #[test]
    fn what_was_owed_under_a_slower_rate_is_no_more_than_the_new_one_lets_owe() {
        let (slow, fast) = (pace(1, 3600, 5), pace(10, 1, 5));
        let mut until = 0;
        for _ in 0..5 {
            until = slow.take(until, 0).expect("the burst");
        }
        let wait = fast.take(until, 0).expect_err("all is used");
        assert!(wait <= 100_000_000, "{wait}");
    }
}
