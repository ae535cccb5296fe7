//! Reaching a backend that takes a request: over a connection that waits in the pool, or over a new one. A failed connect
//! or handshake goes on to the next backend: nothing was sent yet. Read next: `choose.rs`, `connect.rs`, `pool.rs`.

use crate::backend::h1::H1Up;
use crate::backend::h2::{self, H2Up};
use crate::backend::link::failure;
use crate::backend::pool::Pools;
use crate::backend::preface::Preface;
use crate::backend::up::Up;
use crate::backend::{choose, connect, probe};
use crate::exchange::carry::Reached;
use crate::exchange::sides::{Backend, Client, is_gone};
use crate::exchange::tries::Tries;
use crate::exchange::words::Needs;
use everyhop_plan::{EjectOn, UpstreamProtocol};
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS, ERRORS, SLOW, TIMEOUTS};
use everyhop_running::backend::BackendRun;
use everyhop_running::material::HTTP1;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::deadlines::Watches;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A thread's connections to backends, and the watches that end their waits.
pub(crate) struct Backends {
    pub(crate) watches: Rc<Watches>,
    pub(crate) pools: Pools,
}

impl Backends {
    pub(crate) fn new(watches: Rc<Watches>) -> Backends {
        Backends { watches, pools: Pools::default() }
    }

    /// Finds a backend that takes the request.
    ///
    /// Takes: `generation` of the plan that `route` is of; what it `needs` of a protocol that the backend chooses; `tries`, what need not be tried again, to which it adds; `fresh`, for
    /// a new connection whatever waits in the pool; `client`, for whom none is opened if it is gone.
    pub(crate) async fn reach(
        &self,
        generation: u64,
        route: &RouteRun,
        needs: Needs,
        tries: &mut Tries,
        fresh: bool,
        client: &mut impl Client,
    ) -> Result<Reached<Up>, Refusal> {
        loop {
            let chosen = choose::choose(self.watches.clock.unix_s.get(), route, tries);
            let backend = match (chosen, tries.failures.last()) {
                (Ok(backend), _) => backend,
                // What was tried says more than that nothing is left.
                (Err(_), Some(last)) => return Err(last.why),
                (Err(why), None) => return Err(why),
            };
            if !fresh && let Some(up) = self.pools.take(&self.watches.clock, &backend, needs) {
                if needs != Needs::Tunnel || Box::pin(self.opens_tunnels(route, &up, tries)).await {
                    return Ok(Reached { backend, up, reused: true });
                }
                tries.leave_out(backend.hop_id);
                if tries.hops() >= route.takers() {
                    return Err(Refusal::HopNoTunnel);
                }
                continue;
            }
            if is_gone(client).await {
                return Err(Refusal::ClientGone);
            }
            // Boxed: most requests find an open connection, and every waiting one would hold the room.
            let speak = async |opened| self.speak(backend.protocol, needs, opened, route).await;
            let http1_alone = needs == Needs::Tunnel && backend.protocol == UpstreamProtocol::Auto;
            let preface = Preface { alone: http1_alone.then_some(HTTP1), ..Preface::NONE };
            let opened = Box::pin(self.open(generation, route, &backend, tries, &preface, speak)).await;
            tries.waited();
            match opened {
                Ok(up) if needs == Needs::Tunnel && !Box::pin(self.opens_tunnels(route, &up, tries)).await => {
                    tries.leave_out(backend.hop_id);
                    if tries.hops() >= route.takers() {
                        return Err(Refusal::HopNoTunnel);
                    }
                }
                Ok(up) => return Ok(Reached { backend, up, reused: false }),
                Err(Refusal::HopDescriptors) => return Err(Refusal::HopDescriptors),
                Err(why) => {
                    tries.leave_out(backend.hop_id);
                    if tries.hops() >= route.takers() {
                        return Err(why);
                    }
                }
            }
        }
    }

    /// Tries the addresses of a backend one after the other, within `limits.connect_s` for all: one that is dead costs its
    /// share of what is left.
    /// `speak` makes of an open hop what is asked for.
    pub(crate) async fn open<T>(
        &self,
        generation: u64,
        route: &RouteRun,
        backend: &Arc<BackendRun>,
        tries: &mut Tries,
        preface: &Preface<'_>,
        speak: impl AsyncFn(connect::Opened) -> Result<T, Box<Failure>>,
    ) -> Result<T, Refusal> {
        let clock = &self.watches.clock;
        let until_ms = clock.now_ms.get() + u64::from(route.limits.connect_s) * 1000;
        let addresses = choose::addresses(backend, tries);
        let mut why = Refusal::ConnectFailed;
        let mut room = None;
        for (i, address) in addresses.iter().enumerate() {
            let began = Instant::now();
            let mut spared = false;
            let failed = loop {
                let left = (addresses.len() - i) as u64;
                let share_ms = until_ms.saturating_sub(clock.now_ms.get()) / left.max(1);
                let until_ms = clock.now_ms.get() + share_ms;
                if room.is_none() {
                    match route.room(backend) {
                        Ok(it) => room = it,
                        Err(full) => break Box::new(failure(backend, address, full)),
                    }
                }
                let watches = &self.watches;
                let opened = connect::open(watches, generation, backend, address, until_ms, preface, &mut room).await;
                let opened = match opened {
                    Ok(mut opened) => {
                        opened.wire.sock_mut().may_be_silent(route.limits.body_progress_s);
                        speak(opened).await
                    }
                    Err(failed) => Err(failed),
                };
                match opened {
                    Ok(up) => return Ok(up),
                    // What waits for its next request makes room for one that is there.
                    Err(failed) if failed.why == Refusal::HopDescriptors && !spared => {
                        spared = true;
                        self.pools.forget_idle();
                    }
                    Err(failed) => break failed,
                }
            };
            why = failed.why;
            // That a backend chooses another protocol than one request or client needs is no failure of it.
            let chose = match why {
                Refusal::HopNoHttp2 | Refusal::HopNoHttp1 => backend.protocol == UpstreamProtocol::Auto,
                why => why == Refusal::HopNoProtocol,
            };
            if why != Refusal::HopDescriptors {
                // Whoever says that it takes nobody now is there, and so is one that has as many as it is let.
                if !chose && !why.is_our_own() && !matches!(why, Refusal::HopNotReady | Refusal::HopFull) {
                    self.failed(route, backend, address, CONNECTS);
                }
                tries.leave_out_address(backend.hop_id, address.at);
            }
            self.tell(backend, address, *failed, began, &mut tries.failures);
            if matches!(why, Refusal::HopDescriptors | Refusal::HopFull) {
                break;
            }
        }
        Err(why)
    }

    /// Whether a tunnel can be opened there; that it cannot is told, and is no failure of the backend.
    async fn opens_tunnels(&self, route: &RouteRun, up: &Up, tries: &mut Tries) -> bool {
        let Up::H2(up) = up else { return true };
        let (began, watch) = (Instant::now(), self.watches.watch());
        watch.within_s(route.limits.connect_s);
        let takes = up.takes_tunnels(&watch).await;
        tries.waited();
        if !takes {
            let link = up.link();
            self.tell(
                &link.backend,
                &link.address,
                link.failure(Refusal::HopNoTunnel, None, 0),
                began,
                &mut tries.failures,
            );
        }
        takes
    }

    /// Counts a failure; what it ejects is probed until it is back.
    pub(crate) fn failed(&self, route: &RouteRun, backend: &Arc<BackendRun>, address: &Address, by: u8) {
        if choose::failed(route, backend, address, by) {
            probe::see_to_return(&self.watches, route, backend, address);
        }
    }

    /// An exchange ended well, with that status.
    #[inline]
    pub(crate) fn answered(&self, route: &RouteRun, up: &Up, status: u16) {
        let link = up.link();
        if status >= 500 && route.eject_on.contains(&EjectOn::Errors) {
            self.failed(route, &link.backend, &link.address, ERRORS);
        } else if link.address.fares.answered() {
            link.backend.sum_up();
        }
    }

    /// It began its answer late, or has not begun it while its client waited.
    #[cold]
    pub(crate) fn slow(&self, route: &RouteRun, up: &Up) {
        let link = up.link();
        self.failed(route, &link.backend, &link.address, SLOW);
    }

    /// Keeps a failed try for `status`, the counts and the line.
    pub(crate) fn tell(
        &self,
        backend: &BackendRun,
        address: &Address,
        mut failed: Failure,
        began: Instant,
        failures: &mut Vec<Failure>,
    ) {
        let (micros, us) = self.watches.clock.unix_micros(began);
        (failed.duration_us, failed.ended_us) = (us, micros);
        backend.health.count(failed.why.slug());
        address.fares.note(&failed, micros);
        failures.push(failed);
    }

    /// An exchange ended badly. A new connection that ends before any answer is a failure of the hop; one that was kept may
    /// have died of age.
    pub(crate) fn broke(
        &self,
        route: &RouteRun,
        (up, reused): (&Up, bool),
        why: Refusal,
        began: Instant,
        tries: &mut Tries,
    ) {
        // That an acceptance is over says nothing of the backend.
        if !why.slug().starts_with("hop/") || why == Refusal::AcceptanceExpired {
            return;
        }
        let link = up.link();
        if let (Up::H2(up), Refusal::BackendFirstByte | Refusal::BackendTooSlow) = (up, why) {
            up.give_up();
        }
        let died = matches!(
            why,
            Refusal::BackendClosed
                | Refusal::BackendReset
                | Refusal::BackendTls
                | Refusal::HopIdentityRefused
                | Refusal::HopRenegotiation
        );
        if died && !reused && !link.was_answered() && !up.was_unprocessed() {
            self.failed(route, &link.backend, &link.address, CONNECTS);
            tries.leave_out_address(link.backend.hop_id, link.address.at);
        }
        let silent = matches!(why, Refusal::BackendFirstByte | Refusal::BackendTooSlow) && !up.answered();
        if silent && route.eject_on.contains(&EjectOn::Timeouts) {
            self.failed(route, &link.backend, &link.address, TIMEOUTS);
        }
        let failed = link.failure(why, up.rule(), 0);
        self.tell(&link.backend, &link.address, failed, began, &mut tries.failures);
    }

    async fn speak(
        &self,
        protocol: UpstreamProtocol,
        needs: Needs,
        opened: connect::Opened,
        route: &RouteRun,
    ) -> Result<Up, Box<Failure>> {
        let spoken = match protocol {
            UpstreamProtocol::Auto if opened.agreed_on_h2() => UpstreamProtocol::Http2,
            UpstreamProtocol::Auto if needs == Needs::Http2 => {
                let chose = "it chose HTTP/1.1, over which no gRPC goes";
                return Err(Box::new(opened.link.failure(Refusal::HopNoHttp2, Some(chose), 0)));
            }
            // No answer is that it knows of no choice, and so speaks what everybody did before there was one.
            UpstreamProtocol::Auto => UpstreamProtocol::Http1,
            fixed => fixed,
        };
        match spoken {
            UpstreamProtocol::Http1 | UpstreamProtocol::Auto => Ok(Up::H1(Box::new(H1Up::new(opened, &route.limits)))),
            UpstreamProtocol::Http2 => {
                let conn = Box::pin(h2::open(&self.watches, opened, &route.limits)).await?;
                self.pools.share(conn.clone());
                Ok(Up::H2(Box::new(H2Up::on(conn))))
            }
            // No request comes to a route of streams; one that did would not be sent as bytes that nobody judged.
            UpstreamProtocol::Tcp => Err(Box::new(opened.link.failure(Refusal::HopHandshake, None, 0))),
        }
    }

    /// Takes the connection back if its next byte belongs to the next response. `running` is the plan that runs now.
    #[inline]
    pub(crate) fn take_back(&self, running: &Running, route: &RouteRun, up: Up, sent_all: bool) {
        if let Up::H1(up) = up
            && sent_all
            && up.is_reusable()
        {
            self.pools.give(self.watches.clock.now_ms.get(), running, &route.limits, up);
        }
    }
}
