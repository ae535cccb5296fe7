//! A client's connection whose TLS ended here: what all of its requests share, and what carrying them needs of it.
//! Read next: `request.rs`.

use crate::admit::{Proved, Shows};
use crate::backend::up::Up;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carrier, Reached};
use crate::exchange::observed::{Observer, Whose};
use crate::exchange::sides::Client;
use crate::exchange::tries::Tries;
use crate::exchange::words::Needs;
use crate::head::identity::Said;
use crate::terminate::Opened;
use everyhop_decide::{At, Who};
use everyhop_plan::Speaks;
use everyhop_record::facts::TlsFacts;
use everyhop_record::refusal::Refusal;
use everyhop_record::spans::Spans;
use everyhop_running::running::{Listening, RouteRun, Running};
use rustls::pki_types::CertificateDer;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// What all requests of a connection share.
pub(crate) struct Conn {
    pub(crate) opened: Opened,
    /// The peer is a trusted proxy: it is believed in what its listener says.
    is_trusted: bool,
    /// What its requests say of the client to a backend.
    pub(crate) said: Said,
    /// When it has reached `limits.max_age_s`, in the thread's milliseconds.
    old_ms: u64,
    /// Where its TLS ended in the plan of that generation.
    site: Cell<(u64, Option<usize>)>,
    /// The value of Strict-Transport-Security in its answers, as its site had it when that was looked up.
    pub(crate) hsts: RefCell<Option<Arc<str>>>,
}

impl Conn {
    /// `chain`: what the client sent of certificates and was believed in, the leaf first; empty where nobody proved anything.
    pub(crate) fn new(opened: Opened, chain: &[CertificateDer<'_>]) -> Conn {
        let arrived = &opened.arrived;
        let ip = arrived.client.ip();
        let is_trusted = arrived.listening.trusts(ip, opened.facts.peer.as_ref().map_or(&[], |p| p.known_by()));
        let said = Said::of(ip, if arrived.running.knows_clients { chain } else { &[] });
        let old_ms = arrived.core.clock().now_ms.get() + u64::from(arrived.running.limits().max_age_s) * 1000;
        let site = Cell::new((arrived.running.generation, arrived.running.site));
        let conn = Conn { opened, is_trusted, said, old_ms, site, hsts: RefCell::default() };
        if let Some(running) = conn.opened.arrived.core.running() {
            conn.promises(&running, conn.site_in(&running));
        }
        conn
    }

    /// The last second of what the client proved itself by, in Unix time; `i64::MAX` where it proved nothing.
    fn client_not_after_s(&self) -> i64 {
        self.opened.facts.peer.as_ref().map_or(i64::MAX, |p| p.not_after_s)
    }

    /// It is time to go: what the handshake proved was proved too long ago, or is over.
    pub(crate) fn is_old(&self) -> bool {
        let clock = self.opened.arrived.core.clock();
        clock.now_ms.get() >= self.old_ms || clock.unix_s.get() > self.client_not_after_s()
    }

    /// As [`Conn::is_old`], for as long as a drain takes.
    pub(crate) fn is_long_old(&self) -> bool {
        let arrived = &self.opened.arrived;
        let drain_ms = u64::from(arrived.running.drain_s) * 1000;
        arrived.core.clock().now_ms.get() >= self.old_ms.saturating_add(drain_ms)
    }

    /// The listener, where it believes the peer.
    pub(crate) fn believes(&self) -> Option<&Listening> {
        self.is_trusted.then_some(&*self.opened.arrived.listening)
    }

    /// The peer's address, or that which a PROXY header names.
    pub(crate) fn client_ip(&self) -> std::net::IpAddr {
        self.opened.arrived.client.ip()
    }

    /// The name of the listener by which it came.
    pub(crate) fn listener(&self) -> &str {
        &self.opened.arrived.listening.name
    }

    /// What the handshake proved, as `running` has it, and where this request comes from: behind a proxy that is not where others
    /// of its connection do.
    pub(crate) fn proved(&self, running: &Running, asked: &Asked) -> Proved<'_> {
        let names = self.opened.facts.peer.as_ref().map_or(&[][..], |p| p.known_by());
        let site = self.site_in(running);
        Proved {
            listener: self.listener(),
            site,
            who: Who::proved(names, At::Address(asked.client(self.client_ip()))),
            client_not_after_s: self.client_not_after_s(),
            shows: Shows::InRequest,
        }
    }

    /// The one name of the site, where it has no more: the host of a request that names none (HTTP/1.0).
    #[cold]
    pub(crate) fn only_host(&self) -> Option<String> {
        let running = self.opened.arrived.core.running()?;
        let site = running.plan.sites.get(self.site_in(&running)?)?;
        let [only] = site.hosts.as_slice() else { return None };
        (!only.starts_with('*')).then(|| only.clone())
    }

    /// The site that this connection's TLS ended at, in `running`; `None` if it is gone or makes other promises now.
    #[inline]
    pub(crate) fn site_in(&self, running: &Running) -> Option<usize> {
        let (generation, site) = self.site.get();
        if running.generation == generation { site } else { self.looked_up(running) }
    }

    #[cold]
    fn looked_up(&self, running: &Running) -> Option<usize> {
        let site = self.opened.arrived.running.site_in(running);
        self.site.set((running.generation, site));
        self.promises(running, site);
        site
    }

    /// Its answers say what that site promises.
    fn promises(&self, running: &Running, site: Option<usize>) {
        self.hsts.replace(site.and_then(|s| running.sites.get(s)?.hsts.clone()));
    }

    /// `running` serves it as it was begun: its site is there, or where it came in the clear its listener is as it was.
    pub(crate) fn stands_in(&self, running: &Running) -> bool {
        self.site_in(running).is_some() || self.is_plain_in(running)
    }

    #[cold]
    fn is_plain_in(&self, running: &Running) -> bool {
        let own = &self.opened.arrived.listening;
        own.speaks.is_plain() && running.listeners.iter().any(|l| l.name == own.name && l.speaks == own.speaks)
    }

    /// What came in the clear goes on from its listener, as that was when it came.
    #[cold]
    pub(crate) fn serves_plain(&self) -> bool {
        self.opened.arrived.listening.speaks.serves_plain()
    }

    /// Where its requests are sent to, if it came in the clear and nothing goes on from there.
    pub(crate) fn https_port(&self) -> Option<u16> {
        match self.opened.arrived.listening.speaks {
            Speaks::Tls {} | Speaks::Serve { .. } => None,
            Speaks::Redirect { https_port } => Some(https_port.get()),
        }
    }
}

impl Carrier for Conn {
    type Up = Up;

    fn reach(
        &self,
        generation: u64,
        route: &RouteRun,
        needs: Needs,
        tries: &mut Tries,
        fresh: bool,
        client: &mut impl Client,
    ) -> impl Future<Output = Result<Reached<Up>, Refusal>> {
        self.opened.arrived.core.backends.reach(generation, route, needs, tries, fresh, client)
    }

    fn broke(&self, route: &RouteRun, up: (&Up, bool), why: Refusal, began: Instant, tries: &mut Tries) {
        self.opened.arrived.core.backends.broke(route, up, why, began, tries);
    }

    fn give_back(&self, route: &RouteRun, up: Up, sent_all: bool) {
        let core = &self.opened.arrived.core;
        if let Some(running) = core.running() {
            core.backends.take_back(&running, route, up, sent_all);
        }
    }

    fn answered(&self, route: &RouteRun, up: &Up, status: u16) {
        self.opened.arrived.core.backends.answered(route, up, status);
    }

    fn slow(&self, route: &RouteRun, up: &Up) {
        self.opened.arrived.core.backends.slow(route, up);
    }

    fn is_overdue(&self) -> bool {
        self.opened.arrived.core.overdue.get()
    }

    fn closes_at_s(&self) -> i64 {
        self.opened.arrived.listening.speaks.closes_at_s()
    }

    fn closes_ms(&self, closes_at_s: i64, drain_s: u32) -> u64 {
        if closes_at_s == i64::MAX {
            return u64::MAX;
        }
        let clock = self.opened.arrived.core.clock();
        let left_s = closes_at_s.saturating_add(i64::from(drain_s)) - clock.unix_s.get();
        clock.now_ms.get().saturating_add(u64::try_from(left_s).unwrap_or(0).saturating_mul(1000))
    }

    fn observer(&self) -> Observer<'_> {
        let core = &self.opened.arrived.core;
        Observer { conn: self.opened.line(), whose: self, thread: core.index, clock: core.clock(), log: &core.log }
    }
}

impl Whose for Conn {
    fn listener(&self) -> &str {
        Conn::listener(self)
    }

    fn peer(&self) -> SocketAddr {
        self.opened.arrived.peer
    }

    fn client(&self) -> IpAddr {
        self.opened.arrived.client.ip()
    }

    fn facts(&self) -> &TlsFacts {
        &self.opened.facts
    }

    fn spans(&self) -> &Spans {
        &self.opened.arrived.core.shared.spans
    }
}
