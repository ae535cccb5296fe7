//! What a plan takes over from the one before, so that a reload forgets nothing that is under way or was counted: turns, shares,
//! retries, counts, and what checks found out. Read next: `build.rs`, which asks for it.

use crate::address::{Address, Faring};
use crate::material::Unusable;
use crate::retries::RetriesRun;
use crate::running::{RouteRun, Running};
use crate::secret::Seal;
use crate::spread::SpreadRun;
use crate::sticky::StickyRun;
use everyhop_plan::Way;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What a listener of that name counted so far.
pub(crate) fn redirected_before(before: Option<&Running>, name: &str) -> Arc<AtomicU64> {
    let mut each = before.iter().flat_map(|b| &b.listeners);
    each.find(|l| l.name == name).map(|l| l.redirected.clone()).unwrap_or_default()
}

/// Requests that are under way count on, as long as the route takes as many as before.
pub(crate) fn carry_turns(run: &mut RouteRun, old: Option<&RouteRun>) {
    let before = old.and_then(|o| o.turns.as_ref());
    if let (Some(now), Some(before)) = (&mut run.turns, before)
        && now.most.lets_as_many(&before.most)
    {
        *now = before.clone();
    }
}

/// How it spreads, in the edge's own `zone` first, with what is under way at its backends since before.
pub(crate) fn spread(
    way: &Way,
    run: &RouteRun,
    old: Option<&RouteRun>,
    (threads, zone): (usize, Option<&str>),
    seal: Option<&Seal>,
) -> Result<Option<Box<SpreadRun>>, Unusable> {
    let (Way::AtBackend { spread, .. } | Way::AtEdge { spread, .. }) = way else { return Ok(None) };
    let Some(spread) = spread else { return Ok(None) };
    if spread.shares.len() != run.backends.len() {
        return Err(Unusable(format!("route {:?} has not a share for each backend", run.name)));
    }
    let places: Vec<_> = run.backends.iter().map(|b| &b.place).collect();
    let mut it = SpreadRun::new(spread, &places, threads, zone, |i| {
        let hop_id = run.backends.get(i).map(|b| b.hop_id);
        let shares = old.and_then(|o| Some(o.backends.iter().zip(&o.spread.as_ref()?.shares)));
        let mut before = shares.into_iter().flatten();
        let share = before.find(|(b, _)| Some(b.hop_id) == hop_id);
        share.map(|(_, share)| share.under_way.clone()).unwrap_or_default()
    });
    it.sticky = spread.sticky.as_ref().map(|by| StickyRun::new(by, seal, &run.name, &places)).transpose()?;
    Ok(Some(Box::new(it)))
}

/// With what its requests count to so far.
pub(crate) fn retries(way: &Way, old: Option<&RouteRun>) -> Option<Box<RetriesRun>> {
    let Way::AtEdge { retries, .. } = way else { return None };
    let by = retries.as_deref()?;
    Some(RetriesRun::new(by, old.and_then(|o| o.retries.as_deref())))
}

impl RouteRun {
    /// With what the route of that name sent to each of its hops so far.
    pub(crate) fn counts_on(&mut self, old: Option<&RouteRun>) {
        let before = |hop_id| {
            let mut each = old.iter().flat_map(|r| r.backends.iter().zip(&r.sent));
            each.find(|(b, _)| b.hop_id == hop_id).map(|(_, sent)| sent.clone()).unwrap_or_default()
        };
        self.sent = self.backends.iter().map(|b| before(b.hop_id)).collect();
    }
}

/// Those that were there before stand as their checks left them: another interval, or another path, is no reason to send
/// requests to one that is down.
pub(crate) fn like(addresses: Vec<Address>, before: &[Address]) -> Vec<Address> {
    let of = |it: Address| match before.iter().find(|b| b.at == it.at) {
        Some(old) => Address { fares: Arc::new(Faring::checked_like(&old.fares)), ..it },
        None => it,
    };
    addresses.into_iter().map(of).collect()
}
