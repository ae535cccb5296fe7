//! Batches, one after the other: each is tried until it is taken, refused, or too old, with pauses that grow. A plan that comes
//! meanwhile is gone by at the next try; an edge that leaves sends what it has, and waits for nothing. Read next: `post.rs`.

use crate::backend::spread::part;
use crate::export::post::{Answer, Line};
use crate::worker::shared::Shared;
use everyhop_record::otlp;
use everyhop_record::spans::{Lost, Written};
use everyhop_running::traces::TracesRun;
use everyhop_transport::deadlines::Watches;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

/// How long spans wait for others, so that one message has many.
const GATHER_MS: u64 = 1000;
/// For how long a batch is tried again: what is older tells nobody anything, and what comes after it waits.
const TRIED_MS: u64 = 60_000;
/// The first pause; each is twice the one before, up to the last.
const PAUSE_MS: u64 = 1000;
const LONGEST_PAUSE_MS: u64 = 16_000;
/// The longest pause that a collector may ask for.
const ASKED_MS: u64 = 300_000;

/// Never ends.
pub(crate) async fn deliver(shared: Arc<Shared>, watches: Rc<Watches>) {
    let mut line = Line::new(watches.clone());
    let mut gathered_ms = 0;
    loop {
        pause(&watches, 1).await;
        let spans = &shared.spans;
        if spans.count() == 0 {
            gathered_ms = 0;
            continue;
        }
        let now_ms = watches.clock.now_ms.get();
        if gathered_ms == 0 {
            gathered_ms = now_ms.max(1);
        }
        if spans.is_batch() || spans.is_leaving() || now_ms >= gathered_ms + GATHER_MS {
            gathered_ms = 0;
            let batch = spans.take();
            batch_out(&shared, &mut line, &batch).await;
        }
    }
}

/// What a batch came to.
async fn batch_out(shared: &Shared, line: &mut Line, batch: &[Written]) {
    let spans = batch.iter().map(|it| it.spans).sum();
    let until_ms = line.now_ms() + TRIED_MS;
    let mut pause_ms = PAUSE_MS;
    let mut body = None;
    let lost = loop {
        let Some(traces) = shared.running.load_full().and_then(|r| r.traces.clone()) else {
            shared.spans.told(None);
            break Some((Lost::Untold, spans));
        };
        let body = match &body {
            Some((of, body)) if Arc::ptr_eq(of, &traces) => body,
            _ => &body.insert((traces.clone(), written(&traces, batch))).1,
        };
        let wait_ms = match line.post(&traces, body).await {
            Answer::Taken { rejected } => {
                shared.spans.told(None);
                let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(spans);
                break (rejected > 0).then_some((Lost::Rejected, rejected));
            }
            Answer::Refused(why) => {
                shared.spans.told(Some(why));
                break Some((Lost::Refused, spans));
            }
            Answer::Later { why, after_ms } => {
                shared.spans.told(Some(why));
                after_ms.map(|ms| ms.min(ASKED_MS))
            }
        };
        // Some stray from the others, so that not all edges come at once to a collector that is back.
        let own_ms = pause_ms * 3 / 4 + part(pause_ms / 2);
        let next_ms = line.now_ms() + wait_ms.unwrap_or(own_ms).max(own_ms);
        // Who says when it takes some again is asked once more then.
        let is_over = line.now_ms() >= until_ms || (wait_ms.is_none() && next_ms > until_ms);
        if is_over || shared.spans.is_leaving() {
            break Some((Lost::Undelivered, spans));
        }
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
        while line.now_ms() < next_ms && !shared.spans.is_leaving() && goes_by(shared, &traces) {
            pause(line.watches(), 1).await;
        }
    };
    shared.spans.done(spans, lost);
}

/// The plan that runs has it still.
fn goes_by(shared: &Shared, traces: &Arc<TracesRun>) -> bool {
    shared.running.load().as_ref().and_then(|r| r.traces.as_ref()).is_some_and(|now| now.is_to_the_same(traces))
}

fn written(traces: &TracesRun, batch: &[Written]) -> Vec<u8> {
    otlp::request(&traces.resource, env!("CARGO_PKG_VERSION"), batch.iter().map(|it| &*it.bytes))
}

/// Until the thread's milliseconds are so many more, at the next tick after it.
async fn pause(watches: &Rc<Watches>, ms: u64) {
    let watch = watches.watch();
    watch.at_ms(watches.clock.now_ms.get() + ms);
    poll_fn(|cx| watch.poll_late(cx)).await;
}
