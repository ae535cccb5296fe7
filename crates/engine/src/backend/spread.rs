//! Which backend, where its route says more than that they take turns alike: by weight, by what is under way, or the same one
//! for the same key. Backups come when no other is up. Read next: `choose.rs`, which asks here, and `keys.rs`.

use crate::exchange::tries::Tries;
use everyhop_plan::Balance;
use everyhop_record::refusal::Refusal;
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_running::spread::{ShareRun, SpreadRun, mixed, next_turn};
use everyhop_running::zones::Factors;
use everyhop_transport::clock::steady_ms;
use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(0) };
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

/// A hot key's backend takes at most five quarters of what is its share of all that is under way; what is over goes to the
/// next for that key (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads).
const BOUND: (u64, u64) = (5, 4);
/// As many under way as one browser has at once over HTTP/1.1 make no key hot.
const NOT_HOT: u64 = 6;

/// Sets which lane is this thread's, and where its chance begins.
pub(crate) fn start_at(thread: usize) {
    LANE.set(thread);
    CHANCE.set(mixed(u64::try_from(thread).unwrap_or_default() ^ steady_ms()));
}

/// As [`super::choose::choose`]. Cold: a route that does not ask for it does not carry it along.
#[cold]
#[inline(never)]
pub(crate) fn choose(
    now_s: i64,
    route: &RouteRun,
    spread: &SpreadRun,
    tries: &Tries,
) -> Result<Arc<BackendRun>, Refusal> {
    let panics = route.panics(now_s);
    for backups in [false, true] {
        let takes = |i: usize, share: &ShareRun| {
            let state = || route.backends.get(i).map(|b| state(now_s, b, tries));
            share.backup == backups
                && share.weight > 0
                && match state() {
                    Some(State::Takes) => true,
                    Some(State::Rests) => panics && !backups,
                    Some(State::Not(_)) | None => false,
                }
        };
        let weight = |i: usize, share: &ShareRun| {
            let back_ms = || route.backends.get(i).map_or(0, |b| b.health.back_ms.load(Ordering::Relaxed));
            if takes(i, share) { spread.weight_of(share, back_ms(), steady_ms()) } else { 0 }
        };
        let mut found = back(spread, tries.key, weight);
        // Where too few are up for a zone to be spared, all are used alike; and who tried those that are near goes on.
        if let Some(zones) = route.zones(now_s, backups).filter(|_| !panics && found.is_none()) {
            let Factors { near, far } = zones.factors();
            let by_zone = |i: usize, share: &ShareRun| weight(i, share) * if share.is_near { near } else { far };
            found = pick(spread, tries.key, by_zone);
        }
        let found = found.or_else(|| pick(spread, tries.key, weight));
        if let Some(backend) = found.and_then(|i| route.backends.get(i)) {
            return Ok(backend.clone());
        }
    }
    let mut why = None;
    for backups in [false, true] {
        for (backend, share) in route.backends.iter().zip(&spread.shares) {
            if share.weight == 0 || share.backup != backups {
                continue;
            }
            match state(now_s, backend, tries) {
                // Only those are left that rest: better one that may have healed than none.
                State::Rests | State::Takes => return Ok(backend.clone()),
                State::Not(refusal) => {
                    why.get_or_insert(refusal);
                }
            }
        }
    }
    Err(why.unwrap_or(Refusal::Drained))
}

enum State {
    Takes,
    /// It is ejected, or down by its check.
    Rests,
    Not(Refusal),
}

fn state(now_s: i64, backend: &BackendRun, tries: &Tries) -> State {
    if let Some(closed) = backend.closed(now_s) {
        return State::Not(closed);
    }
    if tries.has_hop(backend.hop_id) {
        return State::Not(Refusal::ConnectFailed);
    }
    if !backend.health.rests() {
        return State::Takes;
    }
    backend.refused().map_or(State::Rests, State::Not)
}

/// The one that its client had, where the route lets clients come back and it takes it; whichever zone it is in.
fn back(spread: &SpreadRun, key: Option<NonZeroU64>, of: impl Fn(usize, &ShareRun) -> u32) -> Option<usize> {
    let (Some(_), Some(key)) = (&spread.sticky, key) else { return None };
    let known = spread.shares.iter().position(|s| s.id == key.get())?;
    spread.shares.get(known).filter(|s| of(known, s) > 0).map(|_| known)
}

/// One of those that take it, by index.
fn pick(spread: &SpreadRun, key: Option<NonZeroU64>, of: impl Fn(usize, &ShareRun) -> u32) -> Option<usize> {
    let weight = |i: usize| spread.shares.get(i).map_or(0, |s| of(i, s));
    match (&spread.by, key) {
        (Balance::Least {}, _) => {
            let all: Vec<u32> = (0..spread.shares.len()).map(weight).collect();
            let under_way = |i: usize| spread.shares.get(i).map_or(0, |s| s.under_way.load(Ordering::Relaxed));
            least(&all, under_way, chance)
        }
        (Balance::Turns {}, _) | (_, None) => {
            let lane = spread.lanes.get(LANE.get() % spread.lanes.len().max(1))?;
            next_turn(&mut lane.lock().unwrap_or_else(PoisonError::into_inner), weight)
        }
        (_, Some(key)) => by_key(&spread.shares, key.get(), of),
    }
}

/// Two by chance and weight, and of them the one with less under way for its weight; of equals the first, so that idle ones
/// take their shares.
fn least(weights: &[u32], under_way: impl Fn(usize) -> u32, mut chance: impl FnMut() -> u64) -> Option<usize> {
    let mut draw = |without: Option<usize>| {
        let of = |i: usize, w: u32| if Some(i) == without { 0 } else { u64::from(w) };
        let total: u64 = weights.iter().enumerate().map(|(i, w)| of(i, *w)).sum();
        let mut at = u64::try_from((u128::from(chance()) * u128::from(total)) >> 64).unwrap_or(0);
        weights.iter().enumerate().map(|(i, w)| (i, of(i, *w))).find(|(_, w)| {
            let here = at < *w;
            at = at.saturating_sub(*w);
            here
        })
    };
    let (first, of_first) = draw(None)?;
    let Some((second, of_second)) = draw(Some(first)) else { return Some(first) };
    let less = u64::from(under_way(second)) * of_first < u64::from(under_way(first)) * of_second;
    Some(if less { second } else { first })
}

/// The one that this key is for, by rendezvous (highest random weight): who leaves leaves its own keys to the others, and moves
/// none of theirs. One that has its share under way already is passed over.
fn by_key(shares: &[ShareRun], key: u64, of: impl Fn(usize, &ShareRun) -> u32) -> Option<usize> {
    let taking = || shares.iter().enumerate().map(|(i, s)| (i, s, of(i, s))).filter(|(_, _, weight)| *weight > 0);
    let under_way = |s: &ShareRun| u64::from(s.under_way.load(Ordering::Relaxed));
    let (weights, total) = taking().fold((0, 1), |(w, n), (_, s, own)| (w + u64::from(own), n + under_way(s)));
    // With the one that comes: somebody always has room.
    let is_within = |s: &ShareRun, own: u32| under_way(s) * BOUND.1 * weights < BOUND.0 * total * u64::from(own);
    let has_room = |s: &ShareRun, own: u32| under_way(s) < NOT_HOT || is_within(s, own);
    let mut best = None::<(usize, f64)>;
    for (i, share, own) in taking().filter(|(_, s, own)| has_room(s, *own)) {
        let score = score(key, share, own);
        if best.is_none_or(|(_, most)| score > most) {
            best = Some((i, score));
        }
    }
    best.map(|(i, _)| i)
}

/// A number of the key and the backend, so that the highest is this backend's as often as its weight says.
fn score(key: u64, share: &ShareRun, weight: u32) -> f64 {
    // 53 bits, which a float holds exactly, and a half, so that it is neither 0 nor 1.
    let bits = u32::try_from(mixed(key ^ share.id) >> 32).unwrap_or(0);
    let fraction = (f64::from(bits) + 0.5) / 4_294_967_296.0;
    -f64::from(weight) / fraction.ln()
}

/// Numbers that nobody need be unable to foresee.
pub(crate) fn chance() -> u64 {
    let next = CHANCE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(next);
    mixed(next)
}

/// A part of it by chance.
pub(crate) fn part(of: u64) -> u64 {
    u64::try_from((u128::from(chance()) * u128::from(of)) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyhop_plan::{Place, Share, Spread};

    fn spread(weights: &[u16]) -> SpreadRun {
        let places: Vec<_> =
            (0..weights.len()).map(|i| Place::Ip { ip: [10, 0, 0, i as u8].into(), port: 1 }).collect();
        let shares = weights.iter().map(|w| Share { weight: *w, backup: false, zone: None }).collect();
        let spread = Spread { by: Balance::Path {}, shares, sticky: None, health: None, slow_start_s: 0 };
        SpreadRun::new(&spread, &places.iter().collect::<Vec<_>>(), 1, None, |_| Arc::default())
    }

    fn owners(it: &SpreadRun, without: Option<usize>) -> Vec<usize> {
        let of = |i: usize, s: &ShareRun| if Some(i) == without { 0 } else { u32::from(s.weight) };
        (0..4000).filter_map(|key| by_key(&it.shares, mixed(key), of)).collect()
    }

    fn counts(all: &[usize], of: usize) -> Vec<usize> {
        (0..of).map(|i| all.iter().filter(|o| **o == i).count()).collect()
    }

    #[test]
    fn a_backend_that_leaves_moves_no_key_of_the_others() {
        let it = spread(&[1, 1, 1, 1, 1]);
        let (before, after) = (owners(&it, None), owners(&it, Some(2)));
        assert!(before.len() == 4000 && after.len() == 4000);
        assert!(before.iter().zip(&after).all(|(b, a)| if *b == 2 { *a != 2 } else { a == b }));
        assert!(counts(&before, 5).iter().all(|n| n.abs_diff(800) < 120), "{:?}", counts(&before, 5));
    }

    #[test]
    fn keys_are_shared_out_by_weight() {
        let it = spread(&[3, 1, 0]);
        let found = counts(&owners(&it, None), 3);
        assert!(found[0].abs_diff(3000) < 120 && found[2] == 0, "{found:?}");
    }

    #[test]
    fn a_hot_key_fills_its_backend_to_five_quarters_of_its_share_and_no_more() {
        let it = spread(&[1, 1, 1, 1]);
        let mut most = 0.0_f64;
        for n in 1..=400_u32 {
            let own = by_key(&it.shares, 7, |_, s| u32::from(s.weight)).expect("somebody has room");
            let had = it.shares[own].under_way.fetch_add(1, Ordering::Relaxed) + 1;
            most = most.max(f64::from(had) - (1.25 * f64::from(n) / 4.0).ceil().max(6.0));
            assert!(n > 6 || had == n, "a few at once stay together");
        }
        let found: Vec<_> = it.shares.iter().map(|s| s.under_way.load(Ordering::Relaxed)).collect();
        assert!(most <= 0.0, "{most}");
        assert_eq!(found.iter().max(), Some(&125), "{found:?}");
    }

    #[test]
    fn idle_backends_take_their_shares_and_a_busy_one_is_passed_over() {
        let share = |weights: &[u32], busy: &[u32]| {
            let all: Vec<_> = (0..4000).filter_map(|_| least(weights, |i| busy[i], chance)).collect();
            assert_eq!(all.len(), 4000);
            counts(&all, weights.len())
        };
        assert!(share(&[9, 1], &[0, 0])[1].abs_diff(400) < 120, "as their weights say");
        assert_eq!(share(&[9, 1], &[10, 1]), [0, 4000], "ten to nine is more than one to one");
        assert_eq!(share(&[1, 1, 0], &[5, 0, 0]), [0, 4000, 0]);
        assert_eq!(least(&[0, 0], |_| 0, chance), None);
        assert_eq!(least(&[0, 2], |_| 9, chance), Some(1));
    }
}
