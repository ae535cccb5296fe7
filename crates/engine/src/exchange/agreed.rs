//! A request waits for a store where its limit is counted together with other edges and this one has nothing leased for it: a
//! few milliseconds at the most, and not at all where the store does not answer. Read next: `limited.rs`, `../client/asks.rs`.

use crate::exchange::limited::{Waits, Within, bit, exceeded, tell};
use crate::exchange::sides::Client;
use everyhop_record::refusal::Refusal;
use everyhop_running::limiter::{Leased, LimiterRun, Over};
use everyhop_running::running::RouteRun;
use everyhop_running::store::ANSWERS_WITHIN;
use everyhop_transport::deadlines::Watch;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

/// Beyond what the store's own thread lets anybody wait: should that be gone.
const WAITS_S: u32 = 1;

/// Waits for what was asked. What one refuses counts for none.
pub(crate) async fn agreed(
    route: &RouteRun,
    within: &mut Within,
    client: &mut impl Client,
    watch: &Watch,
    overdue: impl Fn() -> bool,
) -> Result<(), Refusal> {
    watch.within_s(WAITS_S);
    for wait in std::mem::take(&mut within.waits) {
        let Some(limit) = route.limited.as_ref().and_then(|all| all.each.get(wait.limit)) else { continue };
        let run = &*limit.by;
        let over = match leased(run, &wait, client, watch, &overdue).await? {
            Leased::No { wait_ns, by } => Some(Over::Rate { wait_ns, by }),
            Leased::Yes => {
                within.leased |= bit(wait.limit);
                None
            }
            _ => (!run.passes_alone()).then_some(Over::Unknown),
        };
        let Some(over) = over else {
            if run.tells() {
                tell(&mut within.told, run, &wait.taken);
            }
            continue;
        };
        limit.exceeded();
        exceeded(&mut within.told, run, wait.key, over);
        if !run.observes() {
            give_back(route, within);
            return Err(over.into_refusal());
        }
        // It counts for nothing there, as what this edge itself finds beyond it.
        run.give_back(wait.key);
        within.keys.retain(|(i, _)| *i != wait.limit);
    }
    Ok(())
}

async fn leased(
    run: &LimiterRun,
    wait: &Waits,
    client: &mut impl Client,
    watch: &Watch,
    overdue: &impl Fn() -> bool,
) -> Result<Leased, Refusal> {
    let began = Instant::now();
    let mut question = wait.question.clone();
    loop {
        let answered = poll_fn(|cx| {
            if question.poll(cx).is_ready() {
                return Poll::Ready(Ok(true));
            }
            if client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Refusal::ClientGone));
            }
            if overdue() {
                return Poll::Ready(Err(Refusal::Draining));
            }
            watch.poll_late(cx).map(|_| Ok(false))
        })
        .await?;
        let now = Instant::now();
        if !answered {
            return Ok(Leased::Down);
        }
        // What was answered holds also where this thread was late to hear it: it is counted there.
        let is_late = now.saturating_duration_since(began) > ANSWERS_WITHIN;
        match run.heard(wait.key, &question, || wait.named.clone(), now) {
            Leased::Wait(_) if is_late => return Ok(Leased::Down),
            Leased::Wait(next) => question = next,
            it => return Ok(it),
        }
    }
}

#[cold]
fn give_back(route: &RouteRun, within: &Within) {
    let Some(all) = route.limited.as_ref() else { return };
    for (i, key) in &within.keys {
        if let Some(limit) = all.each.get(*i) {
            limit.by.give_back(*key);
            if within.leased & bit(*i) != 0 {
                limit.by.give_lease_back(*key);
            }
        }
    }
}
