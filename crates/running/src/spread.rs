//! How a route that says so spreads its requests: each backend's share, what it has under way, whose turn it is. It chooses
//! nothing. Read next: the engine's `backend/spread.rs`.

use crate::sticky::StickyRun;
use everyhop_plan::{Balance, HealthCheck, Place, Spread};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// The parts of a weight, where backends begin slowly: the first takes one of them.
const WHOLE: u64 = 100;

/// A route's way to spread.
pub struct SpreadRun {
    pub by: Balance,
    /// One for each backend of the route, in their order.
    pub shares: Vec<ShareRun>,
    /// How a client comes back to the backend that it had; `None`: by `by` alone.
    pub sticky: Option<StickyRun>,
    /// What the edge asks each of them by itself.
    pub health: Option<HealthCheck>,
    /// In how long a backend that came back up takes its own share again; 0: at once.
    pub slow_start_s: u32,
    /// Some are in the edge's own zone, and some are not: who is near comes first.
    pub is_zoned: bool,
    /// How far each backend's turn has come, a lane a thread: nobody waits for the lock, which is there because a route is
    /// shared by all.
    pub lanes: Vec<Mutex<Vec<i64>>>,
}

/// What one backend takes.
pub struct ShareRun {
    pub weight: u16,
    pub backup: bool,
    pub zone: Option<String>,
    /// It is in the edge's own zone.
    pub is_near: bool,
    /// Of its address as it is written: the same in every thread, after every reload and at every edge.
    pub id: u64,
    /// Requests, or connections whose bytes nobody reads, that are under way from this route.
    pub under_way: Arc<AtomicU32>,
}

/// A request under way, as long as it is held.
pub struct UnderWay(Arc<AtomicU32>);

impl UnderWay {
    pub(crate) fn at(share: &ShareRun) -> UnderWay {
        share.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(share.under_way.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SpreadRun {
    /// `places` are the backends', in order; `zone` is the edge's own; `under_way` gives what one of them has by its index.
    pub fn new(
        spread: &Spread,
        places: &[&Place],
        threads: usize,
        zone: Option<&str>,
        under_way: impl Fn(usize) -> Arc<AtomicU32>,
    ) -> SpreadRun {
        let share = |(i, (share, place)): (usize, (&everyhop_plan::Share, &&Place))| ShareRun {
            weight: share.weight,
            backup: share.backup,
            zone: share.zone.clone(),
            is_near: zone.is_some() && share.zone.as_deref() == zone,
            id: key(place.to_string().as_bytes()).get(),
            under_way: under_way(i),
        };
        let shares: Vec<_> = spread.shares.iter().zip(places).enumerate().map(share).collect();
        // Each thread begins elsewhere, so that the first of each thread's requests do not all go to one backend.
        let lane = |thread: usize| {
            let mut lane = vec![0; shares.len()];
            let weights: Vec<_> = shares.iter().map(|s| u32::from(s.weight)).collect();
            for _ in 0..thread % shares.len().max(1) {
                let _ = next_turn(&mut lane, |i| weights.get(i).copied().unwrap_or(0));
            }
            Mutex::new(lane)
        };
        let lanes = (0..threads.max(1)).map(lane).collect();
        SpreadRun {
            by: spread.by.clone(),
            is_zoned: [true, false].iter().all(|near| shares.iter().any(|s| s.weight > 0 && s.is_near == *near)),
            shares,
            sticky: None,
            health: spread.health.clone(),
            slow_start_s: spread.slow_start_s,
            lanes,
        }
    }

    /// How much a share counts now, of one that came back up at `back_ms`; 0: it was never away. A little at first, and the
    /// whole weight from `slow_start_s` on; without that the weight is all there is.
    pub fn weight_of(&self, share: &ShareRun, back_ms: u64, now_ms: u64) -> u32 {
        let weight = u32::from(share.weight);
        if self.slow_start_s == 0 {
            return weight;
        }
        let whole_ms = u64::from(self.slow_start_s) * 1000;
        let parts = match back_ms {
            0 => WHOLE,
            back => (now_ms.saturating_sub(back) * WHOLE / whole_ms).clamp(1, WHOLE),
        };
        weight * u32::try_from(parts).unwrap_or(1)
    }

    /// How many take anything at all.
    pub fn takers(&self) -> usize {
        self.shares.iter().filter(|s| s.weight > 0).count()
    }
}

/// Whose turn it is: of those with a weight now, so that each has its share and none has it in one go. `None` where none has.
/// Smooth weighted round robin, as nginx has it: each goes on by its weight, and the foremost falls back by the weight of all.
pub fn next_turn(lane: &mut [i64], weight: impl Fn(usize) -> u32) -> Option<usize> {
    let (mut first, mut total) = (None::<(usize, i64)>, 0);
    for (i, at) in lane.iter_mut().enumerate() {
        let weight = i64::from(weight(i));
        if weight == 0 {
            // Who was away has nothing to catch up with.
            *at = 0;
            continue;
        }
        *at += weight;
        total += weight;
        if first.is_none_or(|(_, most)| *at > most) {
            first = Some((i, *at));
        }
    }
    let (i, _) = first?;
    if let Some(at) = lane.get_mut(i) {
        *at -= total;
    }
    Some(i)
}

/// FNV-1a, mixed: the same everywhere and for ever. Who could make two keys alike wins nothing: a backend that has more than
/// its share is passed over.
pub fn key(bytes: &[u8]) -> NonZeroU64 {
    key_on(0xcbf2_9ce4_8422_2325, bytes)
}

/// As [`key`], of what stands behind what it was made of before.
pub fn key_on(before: u64, bytes: &[u8]) -> NonZeroU64 {
    let sum = mixed(bytes.iter().fold(before, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)));
    NonZeroU64::new(sum).unwrap_or(NonZeroU64::MIN)
}

/// The end of splitmix64: every bit of what comes out hangs on every bit of what goes in.
pub fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_by_weight_and_none_has_its_share_in_one_go() {
        let weights = [5, 1, 1];
        let mut lane = [0; 3];
        let taken: Vec<_> = (0..14).filter_map(|_| next_turn(&mut lane, |i| weights[i])).collect();
        assert_eq!(taken, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0], "nginx's own example, twice");
    }

    #[test]
    fn a_share_grows_from_little_to_its_own_and_is_whole_where_nobody_was_away() {
        let place = Place::Unix { path: "/run/b".into() };
        let shares = vec![everyhop_plan::Share { weight: 3, backup: false, zone: None }];
        let mut spread = Spread { by: Balance::Turns {}, shares, sticky: None, health: None, slow_start_s: 10 };
        let it = SpreadRun::new(&spread, &[&place], 1, None, |_| Arc::default());
        let of = |back_ms, now_ms| it.weight_of(&it.shares[0], back_ms, now_ms);
        let grows = [1000, 1001, 2000, 6000, 10_999, 11_000, 900_000].map(|now| of(1000, now));
        assert_eq!(grows, [3, 3, 30, 150, 297, 300, 300]);
        assert_eq!((of(0, 1), of(1000, 900)), (300, 3), "never away; a clock of another thread");
        spread.slow_start_s = 0;
        let it = SpreadRun::new(&spread, &[&place], 1, None, |_| Arc::default());
        assert_eq!(it.weight_of(&it.shares[0], 1000, 1000), 3);
    }

    #[test]
    fn who_was_away_has_nothing_to_catch_up_with() {
        let mut lane = [0; 2];
        for _ in 0..1000 {
            assert_eq!(next_turn(&mut lane, |i| u32::from(i == 0)), Some(0));
        }
        let back: Vec<_> = (0..4).filter_map(|_| next_turn(&mut lane, |_| 1)).collect();
        assert_eq!(back, [0, 1, 0, 1]);
        assert_eq!(next_turn(&mut lane, |_| 0), None);
    }
}
