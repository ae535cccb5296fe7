//! The return of a backend that is left alone: the edge itself connects, and shakes hands as the route has it, so that no
//! request is the one that finds out. One that fails again at once is ejected by its next failure. Read next: `choose.rs`.

use crate::backend::choose::rests_until_ms;
use crate::backend::connect;
use crate::backend::preface::{LOCAL, Preface};
use everyhop_plan::{Limits, StartTls};
use everyhop_running::address::Address;
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_transport::deadlines::Watches;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// How the hop begins.
struct Asks {
    limits: Arc<Limits>,
    first: &'static [u8],
    starttls: Option<StartTls>,
}

/// Sees to the return of an address that was ejected, in a task of this thread.
pub(crate) fn see_to_return(watches: &Rc<Watches>, route: &RouteRun, backend: &Arc<BackendRun>, address: &Address) {
    // Where TLS passes through the header is the first word of a session that the edge does not speak.
    let says = route.send_proxy && route.pattern != "passthrough";
    let first = if says { LOCAL } else { b"" };
    let asks = Asks { limits: route.limits.clone(), first, starttls: route.starttls };
    let it = returned(watches.clone(), asks, Arc::downgrade(backend), address.clone());
    drop(tokio::task::spawn_local(it));
}

/// Ends once it is back, or nobody has it as a backend any more.
async fn returned(watches: Rc<Watches>, asks: Asks, backend: Weak<BackendRun>, address: Address) {
    let watch = watches.watch();
    let limits = &asks.limits;
    let preface = Preface { first: asks.first, starttls: asks.starttls, ..Preface::NONE };
    loop {
        watch.within_s(limits.eject_s);
        poll_fn(|cx| watch.poll_late(cx)).await;
        let Some(backend) = backend.upgrade() else { return };
        let is_there = backend.addresses.load().iter().any(|a| Arc::ptr_eq(&a.fares, &address.fares));
        let fares = &address.fares;
        // A request may have found it well, where no other backend was left.
        if !is_there || fares.ejected_until_ms.load(Ordering::Relaxed) == 0 {
            return;
        }
        let until_ms = watches.clock.now_ms.get() + u64::from(limits.connect_s) * 1000;
        let well = connect::open(&watches, 0, &backend, &address, until_ms, &preface, &mut None).await.is_ok();
        if well {
            fares.back();
        } else {
            fares.ejected_until_ms.store(rests_until_ms(limits), Ordering::Relaxed);
        }
        backend.sum_up();
        if well {
            return;
        }
    }
}
