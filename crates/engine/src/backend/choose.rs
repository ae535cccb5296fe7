//! Which backend: round robin, each thread starting elsewhere, past those that are ejected, closed or unresolved.
//! At most half of a route's backends are ejected at a time; if none is left, the reason of the first is the answer.

use everyhop_record::refusal::Refusal;
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

/// The next backend that takes connections now, other than `tried`.
pub(crate) fn choose(now_s: i64, route: &RouteRun, tried: &[u64]) -> Result<Arc<BackendRun>, Refusal> {
    let n = route.backends.len();
    let turn = TURN.replace(TURN.get().wrapping_add(1));
    let mut why = None;
    let mut fallback = None;
    for i in 0..n {
        let Some(backend) = route.backends.get(turn.wrapping_add(i) % n.max(1)) else { continue };
        if let Some(closed) = backend.closed(now_s) {
            why.get_or_insert(closed);
        } else if tried.contains(&backend.hop_id) {
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

/// A connect or handshake failed.
pub(crate) fn failed(route: &RouteRun, backend: &BackendRun) {
    let limits = &route.limits;
    let failures = backend.health.failures.fetch_add(1, Ordering::Relaxed) + 1;
    if failures < limits.eject_after {
        return;
    }
    let ejected = route.backends.iter().filter(|b| b.health.is_ejected()).count();
    if (ejected + 1) * 2 <= route.backends.len() {
        let until = steady_ms() + u64::from(limits.eject_s) * 1000;
        backend.health.ejected_until_ms.store(until, Ordering::Relaxed);
    }
}

/// It took a connection: the row of failures ends.
pub(crate) fn healed(backend: &BackendRun) {
    if backend.health.failures.load(Ordering::Relaxed) != 0 {
        backend.health.failures.store(0, Ordering::Relaxed);
        backend.health.ejected_until_ms.store(0, Ordering::Relaxed);
    }
}
