//! A request waits for its turn where its route takes only so many at once: the one check that takes time. The client may
//! leave meanwhile, and makes room. Read next: `carry.rs`, which asks.

use crate::exchange::sides::Client;
use everyhop_record::refusal::Refusal;
use everyhop_running::turns::{Turn, Turns};
use everyhop_transport::deadlines::Watch;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Waits for a turn, as long as the route lets it. `overdue`: a drain's time is over.
pub(crate) async fn wait(
    turns: &Turns,
    client: &mut impl Client,
    watch: &Watch,
    overdue: impl Fn() -> bool,
) -> Result<Turn, Refusal> {
    let place = turns.queue().ok_or(Refusal::TooManyAtOnce)?;
    watch.within_s(turns.most.wait_s);
    let mut turn = pin!(place.turn());
    poll_fn(|cx| {
        if let Poll::Ready(turn) = turn.as_mut().poll(cx) {
            return Poll::Ready(turn.ok_or(Refusal::TooManyAtOnce));
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Refusal::ClientGone));
        }
        if overdue() {
            return Poll::Ready(Err(Refusal::Draining));
        }
        watch.poll_late(cx).map(|_| Err(Refusal::TooManyAtOnce))
    })
    .await
}
