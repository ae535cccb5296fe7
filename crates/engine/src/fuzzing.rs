//! Connections without a listener, for `fuzz/` and `tests/core`: an HTTP connection whose TLS has just ended is served over
//! a socket pair, on a runtime, a plan and a clock of the caller's. Nothing else of the engine is different. Not in the
//! wheel.

use crate::arrived::Arrived;
use crate::client;
use crate::terminate::Opened;
use crate::worker::core::Core;
use crate::worker::run::take_plan;
use crate::worker::shared::Shared;
use everyhop_record::digest::sha256_hex;
use everyhop_record::facts::{Peer, TlsFacts};
use everyhop_running::build::Brought;
use everyhop_running::material::Blob;
use everyhop_running::running::Running;
use everyhop_transport::clock::{put_forward, steady_ms};
use everyhop_transport::deadlines::Watch;
use everyhop_transport::side::Wire;
use everyhop_transport::sock::Sock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use tokio::net::UnixStream;

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http1,
    Http2,
}

/// One thread's share of an engine. To be used within one `LocalRuntime`.
pub struct Edge {
    core: Rc<Core>,
    plans: RefCell<Vec<Weak<Running>>>,
}

impl Edge {
    /// Runs `plan`, which needs no material: sites without certificates, hops in plaintext.
    pub fn open(plan: &str) -> Result<Edge, String> {
        let shared = Arc::new(Shared::default());
        let running = Arc::new(built(plan, &shared)?);
        let plans = RefCell::new(vec![Arc::downgrade(&running)]);
        shared.running.store(Some(running));
        let core = Core::new(0, shared);
        core.refresh();
        Ok(Edge { core, plans })
    }

    /// Goes on with another plan, as an `apply` does.
    pub fn reload(&self, plan: &str) -> Result<(), String> {
        let running = Arc::new(built(plan, &self.core.shared)?);
        self.plans.borrow_mut().push(Arc::downgrade(&running));
        self.core.shared.running.store(Some(running));
        take_plan(&self.core);
        self.wake(|_| true);
        Ok(())
    }

    /// Takes no more requests; what is in flight has `seconds`.
    pub fn drain(&self, seconds: u32) {
        self.core.shared.drain_until_ms.store(steady_ms() + u64::from(seconds) * 1000, Ordering::Relaxed);
        self.core.shared.draining.store(true, Ordering::Relaxed);
        self.wake(|_| true);
    }

    /// Serves a client of the plan's first listener and first site, from `peer`, as if its handshake were over.
    pub fn serve(&self, speaks: Speaks, sock: UnixStream, peer: SocketAddr) {
        self.serve_proved(speaks, sock, peer, None);
    }

    /// As [`Edge::serve`], of a client that proved to be `client`.
    pub fn serve_proved(&self, speaks: Speaks, sock: UnixStream, peer: SocketAddr, client: Option<Peer>) {
        let Some(running) = self.core.running() else { return };
        let Some(arrived) = Arrived::new(&self.core, running, 0, None, peer, None) else { return };
        let protocol = if speaks == Speaks::Http2 { "h2" } else { "http/1.1" };
        let facts = TlsFacts { alpn: Some(protocol.into()), peer: client.map(Box::new), ..TlsFacts::default() };
        let opened = Opened::new(arrived, None, 0, facts);
        client::serve(opened, Wire::plain(Sock::Unix(sock)));
    }

    /// Plans that somebody still holds, of all that ran.
    pub fn plans_held(&self) -> usize {
        self.plans.borrow().iter().filter(|p| p.strong_count() > 0).count()
    }

    /// Connections that some task still holds.
    pub fn open_connections(&self) -> u32 {
        self.core.shared.clients.open()
    }

    /// Lets time pass at once: the clock goes on and who is late is woken.
    pub fn pass_s(&self, seconds: u32) {
        self.pass_ms(u64::from(seconds) * 1000);
    }

    /// As [`Edge::pass_s`].
    pub fn pass_ms(&self, ms: u64) {
        put_forward(ms);
        let clock = self.core.clock();
        let before_s = clock.now_ms.get() / 1000;
        clock.now_ms.set(clock.now_ms.get() + ms);
        let passed_s = clock.now_ms.get() / 1000 - before_s;
        clock.unix_s.set(clock.unix_s.get().saturating_add_unsigned(passed_s));
        self.core.backends.pools.sweep(clock.now_ms.get());
        self.wake(Watch::is_late);
        if self.core.is_draining() && self.core.drain_deadline_ms() <= clock.now_ms.get() {
            self.core.overdue.set(true);
            self.wake(|_| true);
        }
    }

    /// Sets the wall clock, as somebody may at any time; nothing else moves.
    pub fn set_unix_s(&self, unix_s: i64) {
        self.core.clock().unix_s.set(unix_s);
        self.wake(|_| true);
    }

    /// Backends of the first route that are left alone for having failed.
    pub fn ejected(&self) -> Vec<bool> {
        let running = self.core.running();
        let route = running.as_ref().and_then(|r| r.routes.first());
        route.map(|r| r.backends.iter().map(|b| b.health.rests()).collect()).unwrap_or_default()
    }

    fn wake(&self, which: impl Fn(&Watch) -> bool) {
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.core.watches().some(at, &which);
        }
    }
}

fn built(plan: &str, shared: &Shared) -> Result<Running, String> {
    let brought = Brought {
        zone: None,
        inspector: None,
        text: plan.to_owned(),
        digest: sha256_hex(plan.as_bytes()),
        material: Vec::new(),
        material_digest: String::new(),
        blob: &Blob::default(),
        names: &HashMap::new(),
        threads: 1,
        logs: &shared.logs,
    };
    let before = shared.running.load_full();
    Running::build(brought, before.as_deref(), |name| shared.count_of(name)).map_err(|e| e.0)
}
