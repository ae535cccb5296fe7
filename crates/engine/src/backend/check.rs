//! Health checks of one backend: each of its addresses is asked in turns of `every_s`, over the route's own hop, by a task
//! of one thread. No request waits for a check, and what a backend answers to one costs no more than its time and the bounds
//! of a head. Read next: `check_asks.rs`, which asks; `everyhop-running`'s `checked.rs`, which counts.

use crate::backend::check_asks::{Asks, Saw, ask};
use crate::backend::spread::chance;
use everyhop_record::refusal::Refusal;
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
    loop {
        watch.at_ms(watches.clock.now_ms.get() + wait_ms);
        poll_fn(|cx| watch.poll_late(cx)).await;
        let Some(backend) = backend.upgrade() else { return };
        let asks = asks.borrow().clone();
        let one = |address: &Address| {
            let it = judge(watches.clone(), asks.clone(), backend.clone(), address.clone());
            tokio::task::spawn_local(it)
        };
        if backend.closed(watches.clock.unix_s.get()).is_none() {
            let each: Vec<_> = backend.addresses.load().iter().map(one).collect();
            for it in each {
                // One that panicked has no result.
                let _ = it.await;
            }
        }
        // Nine to eleven tenths: what began together drifts apart.
        let every_ms = u64::from(asks.check.every_s) * 1000;
        wait_ms = every_ms * 9 / 10 + part(every_ms / 5);
    }
}

/// A part of it by chance.
fn part(of_ms: u64) -> u64 {
    u64::try_from((u128::from(chance()) * u128::from(of_ms)) >> 64).unwrap_or(0)
}

async fn judge(watches: Rc<Watches>, asks: Rc<Asks>, backend: Arc<BackendRun>, address: Address) {
    let began = Instant::now();
    let asked = ask(&watches, &asks, &backend, &address).await;
    let (micros, us) = watches.clock.unix_micros(began);
    let (fares, check) = (&address.fares, &asks.check);
    let turned = match asked {
        Ok(()) => {
            if backend.secured.is_some() {
                fares.impostor.store(false, Ordering::Relaxed);
            }
            let up = fares.checked.pass(check);
            // As after the edge's own connection to one that was ejected.
            if up && fares.is_ejected() {
                fares.back();
            }
            up
        }
        // Ours to answer for, not the backend's.
        Err(Saw::Failure(it)) if it.why == Refusal::HopDescriptors => return,
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
}
