//! Health checks of one backend: each of its addresses is asked in turns of `every_s`, over the route's own hop, by a task
//! of one thread, which keeps the connections that checks left open. No request waits for a check, and what a backend answers to one costs no more than its time and the bounds
//! of a head. Read next: `check_asks.rs`, which asks; `everyhop-running`'s `checked.rs`, which counts.

use crate::backend::check_asks::{Asks, Saw, ask};
use crate::backend::check_kept::Kept;
use crate::backend::spread::part;
use everyhop_running::address::Address;
use everyhop_running::backend::BackendRun;
use everyhop_running::checked::Seen;
use everyhop_transport::deadlines::Watches;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Asks until nobody has it as a backend any more. What is asked may change meanwhile.
pub(crate) async fn look_after(watches: Rc<Watches>, asks: Rc<RefCell<Rc<Asks>>>, backend: Weak<BackendRun>) {
    let watch = watches.watch();
    // Those of a plan begin apart from each other, and none late.
    let mut wait_ms = part(u64::from(asks.borrow().check.every_s).min(4) * 250);
    let mut kept: Vec<Kept> = Vec::new();
    loop {
        watch.at_ms(watches.clock.now_ms.get() + wait_ms);
        poll_fn(|cx| watch.poll_late(cx)).await;
        let Some(backend) = backend.upgrade() else { return };
        let asks = asks.borrow().clone();
        // Those to addresses that the name left close.
        let mut before = std::mem::take(&mut kept);
        let one = |address: &Address| {
            let over = before.iter().position(|it| it.is_to(address)).map(|i| before.swap_remove(i));
            let it = judge(watches.clone(), asks.clone(), backend.clone(), address.clone(), over);
            tokio::task::spawn_local(it)
        };
        if backend.closed(watches.clock.unix_s.get()).is_none() {
            let each: Vec<_> = backend.addresses.load().iter().map(one).collect();
            for it in each {
                // One that panicked has no result.
                kept.extend(it.await.ok().flatten());
            }
        }
        // Nine to eleven tenths: what began together drifts apart.
        let every_ms = u64::from(asks.check.every_s) * 1000;
        wait_ms = every_ms * 9 / 10 + part(every_ms / 5);
    }
}

/// Counts what a check saw. Gives: the connection that it left, if it did.
async fn judge(
    watches: Rc<Watches>,
    asks: Rc<Asks>,
    backend: Arc<BackendRun>,
    address: Address,
    over: Option<Kept>,
) -> Option<Kept> {
    let began = Instant::now();
    let asked = ask(&watches, &asks, &backend, &address, over).await;
    let (micros, us) = watches.clock.unix_micros(began);
    let (fares, check) = (&address.fares, &asks.check);
    let mut left = None;
    let turned = match asked {
        Ok(passed) => {
            // Over a kept connection it proved nothing anew.
            if passed.fresh && backend.secured.is_some() {
                fares.impostor.store(false, Ordering::Relaxed);
            }
            left = passed.kept;
            let up = fares.checked.pass(check);
            // As after the edge's own connection to one that was ejected.
            if up && passed.fresh && fares.is_ejected() {
                fares.back();
            }
            up
        }
        // Ours to answer for, not the backend's.
        Err(Saw::Failure(it)) if it.why.is_our_own() => return None,
        Err(saw) => {
            let words = saw.words(check.timeout_s);
            let mut refused = None;
            if let Saw::Failure(mut it) = saw {
                it.duration_us = us;
                refused = Some(it.why).filter(|_| it.is_impostor());
                backend.health.count(it.why.slug());
                fares.note(&it, micros);
            }
            fares.checked.fail(check, Seen { words, refused, micros })
        }
    };
    if turned {
        backend.sum_up();
    }
    left
}
