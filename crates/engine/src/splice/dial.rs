//! Reaching a backend for a passthrough connection: one of the route's after the other, each address of it, within one deadline.
//!
//! What was tried in vain is told. No TLS is spoken here: that is the client's, with the backend. Read next: `tunnel.rs`.

use crate::arrived::Staying;
use crate::backend::preface::Preface;
use crate::backend::{choose, connect, link};
use crate::exchange::tries::Tries;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS};
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_transport::shares::Held;
use everyhop_transport::sock::{self, Sock};
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn dial<K>(
    it: &Staying<K>,
    route: &RouteRun,
    tries: &mut Tries,
    preface: &Preface<'_>,
) -> Result<(Arc<BackendRun>, Address, Sock, Held), Refusal> {
    loop {
        let chosen = choose::choose(it.core.clock().unix_s.get(), route, tries);
        // What was tried says more than that nothing is left.
        let backend = chosen.map_err(|why| tries.failures.last().map_or(why, |last| last.why))?;
        let addresses = choose::addresses(&backend, tries);
        let until_ms = it.core.clock().now_ms.get() + u64::from(route.limits.connect_s) * 1000;
        let mut why = Refusal::ConnectFailed;
        for (i, address) in addresses.iter().enumerate() {
            let began = Instant::now();
            let now = it.core.clock().now_ms.get();
            it.watch.at_ms(now + until_ms.saturating_sub(now) / (addresses.len() - i).max(1) as u64);
            let silent_ms = sock::silent_ms(route.limits.tunnel_idle_s);
            let failed = match connect::dial(&backend, address, &it.watch, silent_ms).await {
                Ok(connect::Dialled { mut sock, held }) => {
                    // Where nothing is asked first, the header goes with the hello.
                    let asked = match preface.starttls {
                        None => Ok(()),
                        Some(_) => connect::say(&mut sock, preface, true, &it.watch).await,
                    };
                    let Err((why, detail)) = asked else { return Ok((backend, address.clone(), sock, held)) };
                    let mut failed = link::failure(&backend, address, why);
                    failed.detail = detail.map(str::to_owned);
                    Box::new(failed)
                }
                Err(failed) => failed,
            };
            why = failed.why;
            if why == Refusal::HopDescriptors {
                it.core.backends.pools.forget_idle();
                it.core.backends.tell(&backend, address, *failed, began, &mut tries.failures);
                return Err(why);
            }
            // Whoever says that it takes nobody now is there.
            if why != Refusal::HopNotReady {
                it.core.backends.failed(route, &backend, address, CONNECTS);
            }
            it.core.backends.tell(&backend, address, *failed, began, &mut tries.failures);
        }
        tries.leave_out(backend.hop_id);
        if tries.hops() >= route.takers() {
            return Err(why);
        }
    }
}
