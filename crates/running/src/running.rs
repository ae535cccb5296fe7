//! A plan with its material, made ready: matcher, TLS configurations, backends, counters. Shared by all threads behind an
//! atomic pointer; nothing of it changes but counts, health and addresses. Read next: `build.rs`, which makes it.

use crate::address::{Address, Found, resolved};
use crate::asks::AsksRun;
use crate::backend::{BackendRun, Connected};
use crate::basic::BasicRun;
use crate::cors::CorsRun;
use crate::given::GivenRun;
use crate::limiter::{LimiterRun, LimitsRun};
use crate::material::Listed;
use crate::mirror::MirrorRun;
use crate::pages::PagesRun;
use crate::resumption::Resumption;
use crate::retries::RetriesRun;
use crate::returned::ReturnedRun;
use crate::spread::{ShareRun, SpreadRun, UnderWay, key};
use crate::sticky::StickyRun;
use crate::store::StoreRun;
use crate::token::{IssuerRun, JwtRun};
use crate::traces::{Share, TracesRun};
use crate::turns::Turns;
use crate::waf::WafRun;
use crate::zones::Weights;
use everyhop_canon::cidr::Cidr;
use everyhop_decide::Matcher;
use everyhop_plan::{Balance, Believe, Compress, Edits, EjectOn, Limits, Plan, Speaks, StartTls, Target};
use everyhop_record::counters::Stats;
use everyhop_record::exchanges::Exchanges;
use everyhop_record::lines::Lines;
use everyhop_record::refusal::Refusal;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The plan that runs.
pub struct Running {
    pub generation: u64,
    pub digest: String,
    /// Where this edge is, if it was told.
    pub zone: Option<String>,
    pub material_digest: String,
    pub material: Vec<Listed>,
    pub text: String,
    pub plan: Plan,
    pub matcher: Matcher,
    pub listeners: Vec<Arc<Listening>>,
    pub sites: Vec<SiteRun>,
    /// What is open for long keeps its route, not the plan.
    pub routes: Vec<Arc<RouteRun>>,
    /// Whose tokens are believed.
    pub issuers: Vec<Arc<IssuerRun>>,
    /// Who is asked whether requests may pass.
    pub asks: Vec<Arc<AsksRun>>,
    /// What requests are inspected by.
    pub wafs: Vec<Arc<WafRun>>,
    /// What holds for a connection before its route is known.
    pub limits: Arc<Limits>,
    /// Each once, however many routes name it.
    pub limiters: Vec<Arc<LimiterRun>>,
    /// What errors of the edge's own are told by; `None`: by its own words.
    pub pages: Option<PagesRun>,
    /// `None`: no request becomes a span.
    pub traces: Option<Arc<TracesRun>>,
    /// Where limits are counted together with other edges.
    pub stores: Vec<Arc<StoreRun>>,
    /// What reached no route.
    pub elsewhere: Arc<Stats>,
    /// The lines of what reached no route.
    pub lines: Lines,
}

/// A listener's own.
pub struct Listening {
    pub name: String,
    pub accept_proxy: Vec<Cidr>,
    pub trusted: Vec<Cidr>,
    /// By which names a peer must have proved itself to be believed.
    pub trusted_clients: Vec<String>,
    /// What those are believed in.
    pub believe: Vec<Believe>,
    pub count: Arc<AtomicU32>,
    pub limit: u32,
    pub speaks: Speaks,
    pub starttls: Option<StartTls>,
    /// Requests in the clear that were sent to https.
    pub redirected: Arc<AtomicU64>,
}

impl Listening {
    /// Whether a peer is believed that comes from there, and proved to be known by these names.
    pub fn trusts(&self, from: IpAddr, proved: &[String]) -> bool {
        let is_there = || self.trusted.is_empty() || self.trusted.iter().any(|net| net.contains(from));
        let is_known = || self.trusted_clients.is_empty() || proved.iter().any(|n| self.trusted_clients.contains(n));
        !(self.trusted.is_empty() && self.trusted_clients.is_empty()) && is_there() && is_known()
    }
}

/// A site with its TLS.
pub struct SiteRun {
    pub config: Arc<ServerConfig>,
    /// What `config` was made of: the site as the plan has it, and its material by digests. What is the same is not made again.
    pub made_of: String,
    /// It has no certificate to show: at no listener where TLS is spoken it is there.
    pub is_uncertified: bool,
    /// All certificates of the site are over at this Unix time.
    pub not_after_s: i64,
    /// A client may be known by certificate here.
    pub knows_clients: bool,
    /// What comes inside its TLS goes on unread.
    pub is_streaming: bool,
    /// The value of Strict-Transport-Security in all of its answers.
    pub hsts: Option<Arc<str>>,
    /// Handshakes that went well under its name, whatever a plan changed of it since.
    pub exchanges: Arc<Exchanges>,
    pub keep: Resumption,
    /// What decides who may resume: client demand with its roots' hash, and the policy.
    pub resume_key: String,
    /// What an open connection was promised: [`SiteRun::resume_key`]. Which of its requests pass is asked for each.
    pub promise: Arc<str>,
}

/// A route with its backends and counts.
pub struct RouteRun {
    pub name: Arc<str>,
    pub lines: Lines,
    pub pattern: &'static str,
    /// None where the edge answers itself.
    pub backends: Vec<Arc<BackendRun>>,
    /// What the edge answers itself.
    pub given: Option<GivenRun>,
    /// Requests and connections that went to each of them from here: backends are shared by all routes that have the hop.
    pub sent: Vec<Arc<AtomicU64>>,
    pub stats: Arc<Stats>,
    pub send_proxy: bool,
    /// By which protocol's words its backends are asked for TLS.
    pub starttls: Option<StartTls>,
    /// Paths go on in their canonical form.
    pub strict_paths: bool,
    /// What goes on in the place of the path; `None` where that is the path itself.
    pub target: Option<Target>,
    /// The host that backends are asked for; `None`: the one that the client asked for.
    pub host_header: Option<Box<str>>,
    /// What counts as a failure of a backend beside connects and handshakes.
    pub eject_on: Vec<EjectOn>,
    /// An answer that begins later is one, too.
    pub slow: Option<Duration>,
    /// What it changes in heads; `None` where it changes nothing.
    pub request: Option<Edits>,
    /// The token that it asks for; `None`: none.
    pub jwt: Option<Box<JwtRun>>,
    /// Whose names and passwords it asks for; `None`: none.
    pub basic: Option<Box<BasicRun>>,
    pub response: Option<Shape>,
    /// How its backends take turns; `None`: one like the other.
    pub spread: Option<Box<SpreadRun>>,
    /// When a request goes again; `None`: only where no backend can have acted on it.
    pub retries: Option<Box<RetriesRun>>,
    /// Who is asked whether its requests may pass; `None`: nobody.
    pub asks: Option<Arc<AsksRun>>,
    /// What its requests are inspected by; `None`: they are not.
    pub waf: Option<Arc<WafRun>>,
    /// Somebody else says of each of its requests whether it passes: whoever it asks, or its rules.
    pub asks_others: bool,
    /// Somebody takes a copy of some of its requests: its mirror, or rules that only detect.
    pub is_copied: bool,
    /// Where copies of some of its requests go; `None`: nowhere.
    pub mirror: Option<Arc<MirrorRun>>,
    /// How many requests of one kind it takes; `None`: as many as come.
    pub limited: Option<Box<LimitsRun>>,
    /// How many requests it takes at once; `None`: as many as come.
    pub turns: Option<Arc<Turns>>,
    /// How many connections may be open to each backend when another is opened for it; `None`: as many as it takes.
    pub connections: Option<u32>,
    /// Which of its requests become spans; `None`: none.
    pub traces: Option<Share>,
    /// What holds for its requests and hops: its own limits, where it is silent the file's.
    pub limits: Arc<Limits>,
}

/// What an answer says of where its client comes back to.
#[derive(Clone, Copy)]
pub struct Sticks<'a> {
    pub by: &'a StickyRun,
    /// `None`: it knows.
    pub sets: Option<&'a str>,
}

/// What a route makes of an answer.
pub struct Shape {
    pub edits: Edits,
    /// Which pages of other origins may read it; shared with the requests that were told.
    pub cors: Option<Arc<CorsRun>>,
    pub compress: Option<Compress>,
    /// What its backends say of themselves, and their cookies.
    pub returned: Option<Box<ReturnedRun>>,
}

impl RouteRun {
    pub fn cors(&self) -> Option<&Arc<CorsRun>> {
        self.response.as_ref()?.cors.as_ref()
    }

    /// Counts a request, or a connection, that goes to one of its backends; where it matters how many are under way there,
    /// as one of them for as long as what is given is held.
    pub fn sends_to(&self, backend: &BackendRun) -> Option<UnderWay> {
        let mut each = self.backends.iter().zip(&self.sent);
        if let Some((_, sent)) = each.find(|(b, _)| b.hop_id == backend.hop_id) {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        self.spread.as_ref().and_then(|spread| self.under_way(spread, backend))
    }

    #[cold]
    #[inline(never)]
    fn under_way(&self, spread: &SpreadRun, backend: &BackendRun) -> Option<UnderWay> {
        let mut each = self.backends.iter().zip(&spread.shares);
        each.find(|(b, _)| b.hop_id == backend.hop_id).map(|(_, share)| UnderWay::at(share))
    }

    /// By what a client whose bytes are not read finds the same backend again, where it should.
    pub fn key_of(&self, client: IpAddr) -> Option<NonZeroU64> {
        let by = &self.spread.as_ref()?.by;
        (*by == Balance::ClientAddress {}).then(|| key(client.to_string().as_bytes()))
    }

    /// Room for one more connection to `backend`, where that is bounded.
    pub fn room(&self, backend: &BackendRun) -> Result<Option<Connected>, Refusal> {
        let Some(most) = self.connections else { return Ok(None) };
        backend.connected_within(most).map(Some).ok_or(Refusal::HopFull)
    }

    /// What the client of a request that goes to `backend` is told of where it comes back to; `by` is what it told itself.
    /// Cold, as [`RouteRun::under_way`].
    #[cold]
    #[inline(never)]
    pub fn sticks(&self, backend: &BackendRun, by: Option<NonZeroU64>) -> Option<Sticks<'_>> {
        let spread = self.spread.as_ref()?;
        let sticky = spread.sticky.as_ref()?;
        let index = self.backends.iter().position(|b| b.hop_id == backend.hop_id)?;
        let is_told = by.is_some_and(|by| spread.shares.get(index).is_some_and(|s| s.id == by.get()));
        Some(Sticks { by: sticky, sets: sticky.sets(index).filter(|_| !is_told) })
    }

    /// Fewer than half of its backends are up, by a check or by what requests met, so that all are used: the few would be
    /// the next to fall. Only where they are checked, and no backup is up: with one it is said where to go.
    pub fn panics(&self, unix_s: i64) -> bool {
        let Some(spread) = self.spread.as_ref().filter(|s| s.health.is_some()) else { return false };
        let (mut up, mut all) = (0, 0);
        for (backend, share) in self.backends.iter().zip(&spread.shares) {
            if share.weight == 0 || backend.closed(unix_s).is_some() {
                continue;
            }
            let is_up = !backend.health.rests();
            if share.backup {
                if is_up {
                    return false;
                }
            } else {
                all += 1;
                up += usize::from(is_up);
            }
        }
        up * 2 < all
    }

    /// How much its own zone and the others count now, of its backends or of its backups, each by health alone; `None` where that
    /// makes no difference.
    #[cold]
    pub fn zones(&self, unix_s: i64, backups: bool) -> Option<Weights> {
        let spread = self.spread.as_ref().filter(|s| s.is_zoned)?;
        let mut it = Weights::default();
        for (backend, share) in self.backends.iter().zip(&spread.shares).filter(|(_, s)| s.backup == backups) {
            let weight = u64::from(share.weight);
            let up = if backend.closed(unix_s).is_none() && !backend.health.rests() { weight } else { 0 };
            if share.is_near {
                it.near += weight;
                it.near_up += up;
            } else {
                it.far_up += up;
            }
        }
        (it.near > 0).then_some(it)
    }

    /// How much of what comes stays in the edge's own zone now, in millionths; `None` where zones make no difference, also while
    /// all are used since too few are up.
    pub fn stays_ppm(&self, unix_s: i64) -> Option<u64> {
        let spread = self.spread.as_ref().filter(|s| s.is_zoned)?;
        let is_up = |(b, share): (&Arc<BackendRun>, &ShareRun)| {
            share.weight > 0 && !share.backup && b.closed(unix_s).is_none() && !b.health.rests()
        };
        let backups = !self.backends.iter().zip(&spread.shares).any(is_up);
        if self.panics(unix_s) { None } else { self.zones(unix_s, backups).map(Weights::stays_ppm) }
    }

    /// How many of its backends take anything new.
    pub fn takers(&self) -> usize {
        self.spread.as_ref().map_or(self.backends.len(), |s| s.takers())
    }

    /// Those of its backends that take something new.
    pub fn used(&self) -> impl Iterator<Item = &Arc<BackendRun>> {
        let takes = |i: usize| self.spread.as_ref().and_then(|s| s.shares.get(i)).is_none_or(|s| s.weight > 0);
        self.backends.iter().enumerate().filter(move |(i, _)| takes(*i)).map(|(_, b)| b)
    }
}

impl Running {
    /// What holds for a connection before its route is known.
    #[inline]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    #[inline]
    pub fn route(&self, index: usize) -> Option<&RouteRun> {
        self.routes.get(index).map(|r| &**r)
    }

    /// Some route sends something new to that hop: an open connection of it is worth keeping.
    pub fn uses_hop(&self, hop_id: u64) -> bool {
        self.used().any(|b| b.hop_id == hop_id)
    }

    /// What takes something new, mirrors and authorizers like backends.
    pub fn used(&self) -> impl Iterator<Item = &Arc<BackendRun>> {
        let of_routes = self.routes.iter().flat_map(|r| r.used().chain(r.mirror.iter().flat_map(|m| m.to.used())));
        of_routes.chain(self.asks.iter().flat_map(|it| it.to.used()))
    }

    /// All that anything can go to, mirrors, authorizers, collectors and stores like backends.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<BackendRun>> {
        let of_routes =
            self.routes.iter().flat_map(|r| r.backends.iter().chain(r.mirror.iter().flat_map(|m| &m.to.backends)));
        let asked = self.asks.iter().flat_map(|it| &it.to.backends);
        let told = self.traces.iter().flat_map(|t| &t.backends);
        of_routes.chain(asked).chain(told).chain(self.stores.iter().flat_map(|s| &s.backends))
    }

    /// Takes new addresses for the names of backends.
    pub fn resolve(&self, names: &HashMap<String, Vec<Found>>) {
        for backend in self.backends() {
            if let Some(found) = resolved(&backend.place, names) {
                let before = backend.addresses.load_full();
                let kept = |at| before.iter().find(|a| a.at == Some(at)).cloned();
                let of = |(at, rank)| match kept(at) {
                    Some(known) => Address { rank, ..known },
                    None => Address::ranked(Some(at), rank),
                };
                backend.addresses.store(Arc::new(found.into_iter().map(of).collect()));
                backend.sum_up();
            }
        }
    }
}
