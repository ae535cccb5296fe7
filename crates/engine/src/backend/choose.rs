//! Which backend: round robin, each thread starting elsewhere, past those that are ejected, closed or unresolved.
//! At most half of a route's backends are ejected at a time; if none is left, the reason of the first is the answer.

use crate::backend::spread;
use crate::exchange::tries::Tries;
use everyhop_plan::{Limits, Place};
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS, SLOW};
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_transport::clock::steady_ms;
use std::cell::Cell;
use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;

thread_local! {
    static TURN: Cell<usize> = const { Cell::new(0) };
}

/// Sets where this thread starts.
pub(crate) fn start_at(thread: usize) {
    TURN.set(thread.wrapping_mul(7));
}

/// The next backend that takes connections now, other than what was tried.
pub(crate) fn choose(now_s: i64, route: &RouteRun, tries: &Tries) -> Result<Arc<BackendRun>, Refusal> {
    if let Some(said) = &route.spread {
        return spread::choose(now_s, route, said, tries);
    }
    let n = route.backends.len();
    let turn = TURN.replace(TURN.get().wrapping_add(1));
    let mut why = None;
    let mut fallback = None;
    for i in 0..n {
        let Some(backend) = route.backends.get(turn.wrapping_add(i) % n.max(1)) else { continue };
        if let Some(closed) = backend.closed(now_s) {
            why.get_or_insert(closed);
        } else if tries.has_hop(backend.hop_id) {
            why.get_or_insert(Refusal::ConnectFailed);
        } else if backend.health.rests() {
            fallback.get_or_insert(backend);
        } else {
            return Ok(backend.clone());
        }
    }
    // Only ejected ones are left: better one that may have healed than none.
    fallback.cloned().ok_or(why.unwrap_or(Refusal::Unresolved))
}

/// The addresses of a backend that are worth a try now; ejected ones only where no other is left. Those of the family that
/// the resolver put first (RFC 6724) take new connections in turn; the others follow in its order. A service's come by their
/// priority, and those of the lowest take shares by weight.
pub(crate) fn addresses(backend: &BackendRun, tries: &Tries) -> Vec<Address> {
    let all = backend.addresses.load();
    let untried = || all.iter().filter(|a| !tries.has_address(backend.hop_id, a.at));
    let well: Vec<Address> = untried().filter(|a| !a.fares.rests()).cloned().collect();
    let mut worth = if well.is_empty() { untried().cloned().collect() } else { well };
    let turn = backend.turn.fetch_add(1, Ordering::Relaxed);
    if matches!(backend.place, Place::Service { .. }) {
        by_rank(&mut worth, turn);
        return worth;
    }
    let family = |a: &Address| a.at.map(|at| at.is_ipv6());
    let first = worth.first().map(family);
    worth.sort_by_key(|a| Some(family(a)) != first);
    let alike = worth.iter().take_while(|a| Some(family(a)) == first).count();
    if let Some(alike) = worth.get_mut(..alike).filter(|some| some.len() > 1) {
        let by = turn % alike.len();
        alike.rotate_left(by);
    }
    worth
}

/// By priority; of the lowest the one whose turn it is by weight comes first. Those of weight 0 have a turn only where none
/// has a weight.
fn by_rank(worth: &mut [Address], turn: usize) {
    worth.sort_by_key(|a| (a.rank.priority, Reverse(a.rank.weight)));
    let first = worth.first().map(|a| a.rank.priority);
    let alike = worth.iter().take_while(|a| Some(a.rank.priority) == first);
    let weighty = alike.clone().any(|a| a.rank.weight > 0);
    let weights: Vec<u64> = alike.map(|a| if weighty { a.rank.weight.into() } else { 1 }).collect();
    let total: u64 = weights.iter().sum();
    // Multiples of the golden ratio are spread evenly, however many there are: each gets its share, and none in one go.
    let spread = (turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut at = u64::try_from((u128::from(spread) * u128::from(total)) >> 64).unwrap_or(0);
    for (i, weight) in weights.into_iter().enumerate() {
        if at < weight {
            if let Some(up_to) = worth.get_mut(..=i) {
                up_to.rotate_right(1);
            }
            return;
        }
        at -= weight;
    }
}

/// A connect or handshake failed, a new connection ended before any answer, or what else the route counts: one of
/// [`CONNECTS`] and its like. True if it ejects the address: whoever is told so has to see to its return.
pub(crate) fn failed(route: &RouteRun, backend: &BackendRun, address: &Address, by: u8) -> bool {
    let (limits, fares) = (&route.limits, &address.fares);
    let row = if by == CONNECTS { &fares.failures } else { &fares.unanswered };
    let failures = row.fetch_add(1, Ordering::Relaxed) + 1;
    if failures < limits.eject_after && !fares.on_trial.load(Ordering::Relaxed) {
        return false;
    }
    if by == SLOW && !another_is_quick(route, backend, address) {
        return false;
    }
    let another = backend.addresses.load().iter().any(|a| a.at != address.at && !a.fares.rests());
    if !another && !may_go(route, backend) {
        return false;
    }
    let first = fares.eject(rests_until_ms(limits), by, failures);
    if first {
        backend.health.count_ejection(by);
        backend.sum_up();
    }
    first
}

/// The last answer of some other that is up counted as no failure: where all are slow, what is behind them is.
fn another_is_quick(route: &RouteRun, backend: &BackendRun, address: &Address) -> bool {
    let is_quick = |a: &Address| !a.fares.rests() && a.fares.unanswered.load(Ordering::Relaxed) == 0;
    let others = route.used().filter(|b| b.hop_id != backend.hop_id);
    others.into_iter().any(|b| b.addresses.load().iter().any(is_quick))
        || backend.addresses.load().iter().any(|a| a.at != address.at && is_quick(a))
}

/// Enough others are left: at least half of those that take anything, or, of a route that has them, a backup that is up.
fn may_go(route: &RouteRun, backend: &BackendRun) -> bool {
    let is_up = |b: &&Arc<BackendRun>| b.hop_id != backend.hop_id && !b.health.rests();
    let backups = route.spread.iter().flat_map(|s| &s.shares).map(|s| s.backup && s.weight > 0);
    if route.backends.iter().zip(backups).any(|(b, backup)| backup && is_up(&b)) {
        return true;
    }
    let ejected = route.used().filter(|b| b.health.rests()).count();
    (ejected + 1) * 2 <= route.takers()
}

/// Until its next probe has ended: should nobody probe it, it is tried again then.
pub(crate) fn rests_until_ms(limits: &Limits) -> u64 {
    steady_ms() + (u64::from(limits.eject_s) + u64::from(limits.connect_s) + 1) * 1000
}

/// A byte of an answer came over a new connection: the row of failures ends.
pub(crate) fn healed(backend: &BackendRun, address: &Address) {
    if address.fares.heal() {
        backend.sum_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everyhop_running::address::Rank;

    /// How often each comes first in a hundred turns.
    fn shares(weights: &[u16]) -> Vec<usize> {
        let mut firsts = vec![0; weights.len()];
        for turn in 0..100 {
            let of = |i: usize, weight| {
                let at = std::net::SocketAddr::from(([10, 0, 0, i as u8], 1));
                Address::ranked(Some(at), Rank { priority: 7, weight })
            };
            let mut all: Vec<_> = weights.iter().enumerate().map(|(i, w)| of(i, *w)).collect();
            all.push(Address::ranked(None, Rank { priority: 8, weight: 65_535 }));
            by_rank(&mut all, turn);
            assert!(all.len() == weights.len() + 1 && all.last().is_some_and(|a| a.rank.priority == 8));
            let Some(std::net::SocketAddr::V4(at)) = all[0].at else { panic!() };
            firsts[usize::from(at.ip().octets()[3])] += 1;
        }
        firsts
    }

    #[test]
    fn a_services_addresses_of_the_lowest_priority_take_shares_by_their_weights() {
        for weights in [&[60, 40][..], &[0, 3, 1, 0], &[1], &[65_535, 65_535], &[10, 20, 70]] {
            let total: usize = weights.iter().map(|w| usize::from(*w)).sum();
            for (weight, share) in weights.iter().zip(shares(weights)) {
                let exact = usize::from(*weight) * 100 / total;
                assert!(share.abs_diff(exact) <= 2 && (share > 0) == (*weight > 0), "{weights:?}: {share}");
            }
        }
        assert!(shares(&[0, 0]).iter().all(|share| share.abs_diff(50) <= 2), "none has a weight: all are alike");
    }
}
