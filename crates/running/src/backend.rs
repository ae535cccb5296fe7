//! A backend and the hop to it: where it is, what its connections depend on, how it fares. Shared by all threads.
//! It opens nothing. Read next: `proven.rs`, `build.rs`.

use crate::address::Address;
use crate::proven::{Memory, Proven, Sessions};
use arc_swap::ArcSwap;
use everyhop_plan::{HealthCheck, Place, TlsPolicy, UpstreamProtocol};
use everyhop_record::exchanges::Exchanges;
use everyhop_record::facts::TlsFacts;
use everyhop_record::refusal::Refusal;
use everyhop_transport::clock::steady_ms;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A backend and the hop to it, with everything that a connection there depends on.
pub struct BackendRun {
    /// Pools and TLS sessions are keyed by this: equal only if place, roots, name, identity, policy and protocol are.
    pub hop_id: u64,
    /// The same for the same hop, however its health is checked.
    pub kin_id: u64,
    pub at: String,
    pub place: Place,
    /// In the order in which they are tried. A Unix socket is one address.
    pub addresses: ArcSwap<Vec<Address>>,
    pub tls: &'static str,
    pub secured: Option<Secured>,
    /// What it takes for TLS comes by itself and has not come yet: nothing goes there.
    pub is_uncertified: bool,
    pub protocol: UpstreamProtocol,
    /// Its answers in HTTP/1.1 are taken where they can be read in one way, though they are not as they should be.
    pub lenient_answers: bool,
    /// Unix time at which an accepted plaintext hop closes; `i64::MAX` where nothing expires.
    pub closes_at_s: i64,
    pub health: Health,
    /// What the edge asks it by itself; it is part of what `hop_id` is made of, so all routes that share it ask the same.
    pub check: Option<HealthCheck>,
    /// Connections that are open to it.
    pub open: Arc<AtomicU32>,
    /// New connections so far: the addresses of a name take them in turn.
    pub turn: AtomicUsize,
}

/// How TLS is spoken with it.
pub struct Secured {
    config: ClientConfig,
    sessions: Arc<Sessions>,
    pub name: ServerName<'static>,
    pub presents: bool,
    /// It gets a request only if it asks for our certificate.
    pub demand_asks: bool,
    /// It takes post-quantum key exchange alone.
    pub is_post_quantum: bool,
    /// Versions, suites and groups, for whoever is told that a handshake failed.
    pub offers: String,
    /// Unix time at which the revocation lists that it is verified by are overdue and so mean nobody; `i64::MAX` for none.
    pub lists_end_s: i64,
}

impl Secured {
    pub fn new(
        config: ClientConfig,
        name: ServerName<'static>,
        presents: bool,
        demand_asks: bool,
        policy: &TlsPolicy,
        lists_end_s: i64,
    ) -> Secured {
        let listed = |all: &[String]| all.join(", ");
        let offers =
            format!("TLS {}; {}; {}", listed(&policy.versions), listed(&policy.suites), listed(&policy.groups));
        let is_post_quantum = policy.is_post_quantum();
        Secured { config, sessions: Arc::default(), name, presents, demand_asks, is_post_quantum, offers, lists_end_s }
    }

    /// What a new connection speaks TLS by, with its memory of sessions. `alone`: it is for that protocol, whatever else the
    /// backend would choose. `whole`: it takes up no session.
    pub fn begin(&self, alone: Option<&[u8]>, whole: bool) -> (Arc<ClientConfig>, Arc<Memory>) {
        let memory = Memory::of(self.sessions.clone(), whole);
        let mut config = self.config.clone();
        if let Some(protocol) = alone {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        config.resumption = Resumption::store(memory.clone());
        (Arc::new(config), memory)
    }

    /// What a connection stands for: by its own handshake, or by that of the session that it took up.
    pub fn proven(&self, facts: &TlsFacts, asked: bool, memory: &Memory) -> Proven {
        match memory.offered().filter(|_| facts.resumed) {
            Some(offered) => offered,
            None => {
                let cert_ends_s = facts.peer.as_ref().map_or(i64::MIN, |p| p.not_after_s);
                Proven { asked: asked && !facts.resumed, ends_s: cert_ends_s.min(self.lists_end_s) }
            }
        }
    }
}

/// No time ends it: a check does.
const DOWN: u64 = u64::MAX;

/// Shared by all threads, written only when something fails or heals.
#[derive(Debug, Default)]
pub struct Health {
    /// In [`steady_ms`]; 0 while one of its addresses is not ejected; [`DOWN`] while all are down by their checks.
    rests_until_ms: AtomicU64,
    /// When it came back up last, in [`steady_ms`]; 0: it was never away.
    pub back_ms: AtomicU64,
    /// 0 unknown, 1 demanded, 2 not demanded, 3 not presented, 4 refused: what the last full handshake showed.
    pub identity: AtomicU32,
    /// How often one of its addresses was ejected, by [`CONNECTS`](crate::address::CONNECTS) and its like.
    ejections: [AtomicU64; 4],
    /// Handshakes that went well.
    pub exchanges: Exchanges,
    /// Failed tries by slug.
    failed: Mutex<Vec<(&'static str, u64)>>,
}

impl Health {
    /// It takes nothing new now: it is ejected, or down by its check.
    #[inline]
    pub fn rests(&self) -> bool {
        // A healthy one costs no look at the clock.
        let until = self.rests_until_ms.load(Ordering::Relaxed);
        until > 0 && until > steady_ms()
    }

    /// Each of its addresses is down by its check.
    pub fn is_down(&self) -> bool {
        self.rests_until_ms.load(Ordering::Relaxed) == DOWN
    }

    /// Counts an ejection of one of its addresses.
    pub fn count_ejection(&self, by: u8) {
        if let Some(count) = self.ejections.get(usize::from(by)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn ejections(&self, by: u8) -> u64 {
        self.ejections.get(usize::from(by)).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Counts a failed try.
    pub fn count(&self, slug: &'static str) {
        let mut all = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(s, _)| *s == slug) {
            Some((_, n)) => *n += 1,
            None => all.push((slug, 1)),
        }
    }

    pub fn failed(&self) -> Vec<(&'static str, u64)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An open connection to a backend, as long as it is held.
pub struct Connected(Arc<AtomicU32>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BackendRun {
    /// Counts a connection that is open to it.
    pub fn connected(&self) -> Connected {
        self.open.fetch_add(1, Ordering::Relaxed);
        Connected(self.open.clone())
    }

    /// As [`BackendRun::connected`], if fewer than that are.
    pub fn connected_within(&self, most: u32) -> Option<Connected> {
        let (order, next) = (Ordering::Relaxed, |open| (open < most).then_some(open + 1));
        self.open.fetch_update(order, order, next).ok().map(|_| Connected(self.open.clone()))
    }

    /// After an address was ejected or healed, went down or came up, or others took their place.
    pub fn sum_up(&self) {
        let addresses = self.addresses.load();
        let all = addresses.iter().map(|a| match &a.fares {
            fares if fares.checked.is_down() => DOWN,
            fares if fares.is_ejected() => fares.ejected_until_ms.load(Ordering::Relaxed),
            _ => 0,
        });
        let now = all.min().unwrap_or(0);
        if self.health.rests_until_ms.swap(now, Ordering::Relaxed) != 0 && now == 0 {
            self.health.back_ms.store(steady_ms(), Ordering::Relaxed);
        }
    }

    /// Why nothing at all goes there, not even where no other backend is left: each of its addresses is down,
    /// and its certificate was refused by a check.
    pub fn refused(&self) -> Option<Refusal> {
        if !self.health.is_down() {
            return None;
        }
        let addresses = self.addresses.load();
        let mut each = addresses.iter().map(|a| a.fares.checked.refused());
        let first = each.next().flatten();
        if each.all(|why| why.is_some()) { first } else { None }
    }

    /// By what it is called where it is asked something by the edge itself.
    pub fn host(&self) -> Cow<'_, str> {
        match (&self.place, &self.secured) {
            (Place::Ip { .. } | Place::Name { .. }, _) => self.at.as_str().into(),
            (_, Some(secured)) => secured.name.to_str(),
            _ => "localhost".into(),
        }
    }

    /// True if an open connection to `addr` is still one to this backend: its name may have moved meanwhile, and a
    /// connection that is used lives as long as its requests come (threat U04).
    #[inline]
    pub fn is_at(&self, addr: Option<SocketAddr>) -> bool {
        match self.place {
            // Not to one of several that is down by its check.
            Place::Name { .. } => {
                let all = self.addresses.load();
                all.iter().any(|a| a.at == addr && (!a.fares.checked.is_down() || self.health.is_down()))
            }
            // And one that those with a lower priority have not taken over again.
            Place::Service { .. } => {
                let all = self.addresses.load();
                let first = all.iter().filter(|a| !a.fares.rests()).map(|a| a.rank.priority).min();
                let takes = |a: &Address| !a.fares.checked.is_down() || self.health.is_down();
                all.iter().any(|a| a.at == addr && takes(a) && first.is_none_or(|first| a.rank.priority <= first))
            }
            Place::Ip { .. } | Place::Unix { .. } => true,
        }
    }

    /// Why this backend takes nothing now, if so.
    #[inline]
    pub fn closed(&self, unix_s: i64) -> Option<Refusal> {
        if unix_s >= self.closes_at_s {
            return Some(Refusal::AcceptanceExpired);
        }
        if self.is_uncertified {
            return Some(Refusal::HopNoIdentity);
        }
        if matches!(self.place, Place::Name { .. } | Place::Service { .. }) && self.addresses.load().is_empty() {
            return Some(Refusal::Unresolved);
        }
        None
    }
}
