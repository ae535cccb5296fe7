//! Reaching a backend that takes a request: over a connection that waits in the pool, or over a new one. A failed connect
//! or handshake goes on to the next backend: nothing was sent yet. Read next: `choose.rs`, `connect.rs`, `pool.rs`.

use crate::backend::h1::H1Up;
use crate::backend::h2::{self, H2Up};
use crate::backend::pool::Pools;
use crate::backend::up::Up;
use crate::backend::{choose, connect};
use crate::exchange::carry::Reached;
use crate::exchange::sides::{Client, is_gone};
use everyhop_plan::UpstreamProtocol;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::deadlines::Watches;
use std::rc::Rc;

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
    /// Takes: `generation` of the plan that `route` is of; `tried`, hops that need not be tried again, to which it adds;
    /// `fresh`, for a new connection whatever waits in the pool; `client`, for whom none is opened if it is gone.
    pub(crate) async fn reach(
        &self,
        generation: u64,
        route: &RouteRun,
        tried: &mut Vec<u64>,
        fresh: bool,
        client: &mut impl Client,
    ) -> Result<Reached<Up>, Refusal> {
        let mut spared = false;
        loop {
            let backend = choose::choose(self.watches.clock.unix_s.get(), route, tried)?;
            if !fresh && let Some(up) = self.pools.take(self.watches.clock.now_ms.get(), &backend) {
                return Ok(Reached { backend, up, reused: true });
            }
            if is_gone(client).await {
                return Err(Refusal::ClientGone);
            }
            // Boxed: most requests find an open connection, and every waiting one would hold the room.
            match Box::pin(connect::open(&self.watches, generation, &backend, route.limits.connect_s)).await {
                Ok(opened) => {
                    choose::healed(&backend);
                    if let Some(up) = self.speak(backend.protocol, opened, route).await {
                        return Ok(Reached { backend, up, reused: false });
                    }
                    tried.push(backend.hop_id);
                }
                // What waits for its next request makes room for one that is there.
                Err(Refusal::HopDescriptors) if !spared => {
                    spared = true;
                    self.pools.forget_idle();
                }
                Err(why @ Refusal::HopDescriptors) => return Err(why),
                Err(why) => {
                    choose::failed(route, &backend);
                    tried.push(backend.hop_id);
                    if tried.len() >= route.backends.len() {
                        return Err(why);
                    }
                }
            }
        }
    }

    async fn speak(&self, protocol: UpstreamProtocol, opened: connect::Opened, route: &RouteRun) -> Option<Up> {
        match protocol {
            UpstreamProtocol::Http1 => Some(Up::H1(Box::new(H1Up::new(opened, &route.limits)))),
            UpstreamProtocol::Http2 => {
                let conn = Box::pin(h2::open(&self.watches, opened, &route.limits)).await?;
                self.pools.share(conn.clone());
                Some(Up::H2(Box::new(H2Up::on(conn))))
            }
        }
    }

    /// Takes the connection back if its next byte belongs to the next response. `running` is the plan that runs now.
    pub(crate) fn take_back(&self, running: &Running, route: &RouteRun, up: Up, sent_all: bool) {
        if let Up::H1(up) = up
            && sent_all
            && up.is_reusable()
        {
            self.pools.give(self.watches.clock.now_ms.get(), running, &route.limits, up);
        }
    }
}
