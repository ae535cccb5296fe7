//! Which backend: round robin, each thread starting elsewhere, past those that are ejected, closed or unresolved.
//! At most half of a route's backends are ejected at a time; if none is left, the reason of the first is the answer.

use crate::exchange::tries::Tries;
use everyhop_plan::Limits;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS};
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_transport::clock::steady_ms;
use std::cell::Cell;
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
        } else if backend.health.is_ejected() {
            fallback.get_or_insert(backend);
        } else {
            return Ok(backend.clone());
        }
    }
    // Only ejected ones are left: better one that may have healed than none.
    fallback.cloned().ok_or(why.unwrap_or(Refusal::Unresolved))
}

/// The addresses of a backend that are worth a try now; ejected ones only where no other is left. Those of the family that
/// the resolver put first (RFC 6724) take new connections in turn; the others follow in its order.
pub(crate) fn addresses(backend: &BackendRun, tries: &Tries) -> Vec<Address> {
    let all = backend.addresses.load();
    let untried = || all.iter().filter(|a| !tries.has_address(backend.hop_id, a.at));
    let well: Vec<Address> = untried().filter(|a| !a.fares.is_ejected()).cloned().collect();
    let mut worth = if well.is_empty() { untried().cloned().collect() } else { well };
    let family = |a: &Address| a.at.map(|at| at.is_ipv6());
    let first = worth.first().map(family);
    worth.sort_by_key(|a| Some(family(a)) != first);
    let alike = worth.iter().take_while(|a| Some(family(a)) == first).count();
    let turn = backend.turn.fetch_add(1, Ordering::Relaxed);
    if let Some(alike) = worth.get_mut(..alike).filter(|some| some.len() > 1) {
        let by = turn % alike.len();
        alike.rotate_left(by);
    }
    worth
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
    let another = backend.addresses.load().iter().any(|a| a.at != address.at && !a.fares.is_ejected());
    let ejected = route.backends.iter().filter(|b| b.health.is_ejected()).count();
    if !another && (ejected + 1) * 2 > route.backends.len() {
        return false;
    }
    let first = fares.eject(rests_until_ms(limits), by);
    if first {
        backend.sum_up();
    }
    first
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
