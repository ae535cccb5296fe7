//! Open connections that wait for their next request, a pool a thread, keyed by everything that the hop depends on.
//! A connection that has signalled anything while it waited is thrown away: what it would say belongs to no request.

use crate::backend::h1::H1Up;
use crate::backend::h2::{H2Conn, H2Up};
use crate::backend::up::Up;
use crate::exchange::words::Needs;
use everyhop_plan::{Limits, UpstreamProtocol};
use everyhop_running::backend::BackendRun;
use everyhop_running::running::Running;
use everyhop_transport::clock::Clock;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Pools {
    idle: RefCell<ByHop<Vec<Idle>>>,
    /// Shared connections: each carries many requests.
    shared: RefCell<ByHop<Vec<Rc<H2Conn>>>>,
}

/// A hop's id is a hash already.
type ByHop<T> = HashMap<u64, T, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never asked for a number; right all the same.
        self.0 = bytes.iter().fold(self.0, |h, b| h.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

struct Idle {
    up: Box<H1Up>,
    until_ms: u64,
}

impl Pools {
    /// An open connection of that hop which can take a request now that needs so much of its protocol.
    pub(crate) fn take(&self, clock: &Clock, backend: &BackendRun, needs: Needs) -> Option<Up> {
        match (backend.protocol, needs) {
            // Whether it opens tunnels is looked at by whoever needs one.
            (UpstreamProtocol::Http2, _) | (UpstreamProtocol::Auto, Needs::Http2) => self.take_shared(clock, backend),
            // Whichever the backend chose on those that are open: it may choose otherwise on the next.
            (UpstreamProtocol::Auto, Needs::Either) => {
                self.take_shared(clock, backend).or_else(|| self.take_idle(clock, backend))
            }
            _ => self.take_idle(clock, backend),
        }
    }

    fn take_shared(&self, clock: &Clock, backend: &BackendRun) -> Option<Up> {
        let mut shared = self.shared.borrow_mut();
        let list = shared.get_mut(&backend.hop_id)?;
        // What its streams carry goes on to its end; nothing new goes where the name led before.
        list.retain(|c| c.is_open() && c.link.holds(backend, clock.unix_s.get()));
        list.iter().find(|c| c.has_room()).map(|c| Up::H2(Box::new(H2Up::on(c.clone()))))
    }

    fn take_idle(&self, clock: &Clock, backend: &BackendRun) -> Option<Up> {
        let (now_ms, now_s) = (clock.now_ms.get(), clock.unix_s.get());
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&backend.hop_id)?;
        while let Some(it) = list.pop() {
            if it.until_ms > now_ms && it.up.link.holds(backend, now_s) && it.up.is_quiet() {
                return Some(Up::H1(it.up));
            }
        }
        None
    }

    /// Keeps a connection for its next request. `running` is the plan that runs now.
    pub(crate) fn give(&self, now_ms: u64, running: &Running, limits: &Limits, mut up: Box<H1Up>) {
        // The plan may have changed while it was out: a weaker hop must not live on in a pool.
        if up.generation != running.generation && !running.uses_hop(up.link.backend.hop_id) {
            return;
        }
        up.generation = running.generation;
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(up.link.backend.hop_id).or_default();
        if list.len() < usize::try_from(limits.upstream_idle_connections).unwrap_or(usize::MAX) {
            let until_ms = now_ms + up.idle_ms(limits.upstream_idle_s);
            up.rest();
            list.push(Idle { up, until_ms });
        }
    }

    pub(crate) fn share(&self, conn: Rc<H2Conn>) {
        self.shared.borrow_mut().entry(conn.link.backend.hop_id).or_default().push(conn);
    }

    /// Closes what waited too long.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|it| it.until_ms > now_ms);
            !list.is_empty()
        });
        self.shared.borrow_mut().retain(|_, list| {
            list.retain(|c| c.is_open() && !c.is_idle_since(now_ms));
            !list.is_empty()
        });
    }

    /// Closes all that waits: their descriptors are needed elsewhere.
    pub(crate) fn forget_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Closes everything whose hop the new plan does not have.
    pub(crate) fn keep_only(&self, hops: &HashSet<u64>) {
        self.idle.borrow_mut().retain(|hop, _| hops.contains(hop));
        self.shared.borrow_mut().retain(|hop, _| hops.contains(hop));
    }
}
