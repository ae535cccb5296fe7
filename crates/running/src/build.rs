//! Makes a plan ready with its material, all or nothing, on the control thread. What did not change is carried over from
//! the plan before: ticket keys, backends' sessions, health, counters. Read next: `hops.rs`, then `carried.rs`.

use crate::address::Found;
use crate::asks::AsksRun;
use crate::basic::UsersRun;
use crate::carried::{carry_turns, redirected_before, retries, spread};
use crate::cors::CorsRun;
use crate::given::GivenRun;
use crate::hops::{Checks, Hops, Lists, Speaks};
use crate::limiter::{self, LimiterRun, LimitsRun};
use crate::logging::Logging;
use crate::material::{self, Blob, Listed, Unusable};
use crate::pages::PagesRun;
use crate::resumption::{self, Resumption};
use crate::returned::ReturnedRun;
use crate::running::{Listening, RouteRun, Running, Shape, SiteRun};
use crate::token::{IssuerRun, JwtRun, keys_id};
use crate::turns::Turns;
use crate::waf::WafRun;
use everyhop_canon::cidr::Cidr;
use everyhop_decide::Matcher;
use everyhop_plan::{
    Answers, Basic, ClientDemand, Compress, Cors, Edits, Jwt, Limits, Paths, Pattern, Plan, Protocol, SendProxy,
    TokenFrom, Way,
};
use everyhop_record::counters::Stats;
use everyhop_record::digest::sha256_hex;
use everyhop_record::exchanges::Exchanges;
use everyhop_record::lines::Lines;
use everyhop_record::log::Logs;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

mod beside;
use beside::wafs;

/// What `apply` brings beside the plan.
pub struct Brought<'a> {
    pub text: String,
    pub digest: String,
    pub material: Vec<Listed>,
    pub material_digest: String,
    pub blob: &'a Blob,
    pub names: &'a HashMap<String, Vec<Found>>,
    /// Worker threads that are there.
    pub threads: usize,
    /// Whose writers its lines go to.
    pub logs: &'a Logs,
    /// Where this edge is, if it was told: one plan serves edges in several zones.
    pub zone: Option<&'a str>,
    /// By which the inspector is known that was given the plan's policies; `None` where it has none.
    pub inspector: Option<&'a str>,
}

impl Running {
    /// Makes a plan ready. Takes: `count_of`, which gives a listener's count of connections by its name; it outlives
    /// plans. Keeps: everything, if it fails.
    pub fn build(
        brought: Brought<'_>,
        before: Option<&Running>,
        count_of: impl Fn(&str) -> Arc<AtomicU32>,
    ) -> Result<Running, Unusable> {
        let plan = everyhop_plan::read(&brought.text).map_err(|e| Unusable(e.why))?;
        if sha256_hex(brought.text.as_bytes()) != brought.digest {
            return Err(Unusable("the plan's digest is not that of its text".into()));
        }
        let matcher = Matcher::build(&plan).map_err(|e| Unusable(e.0))?;
        let listed = Lists::of(&brought.material);
        let threads = plan.engine.threads.number(brought.threads);
        let old_sites = before.iter().flat_map(|b| &b.sites).map(|s| (s.resume_key.as_str(), s)).collect();
        let named = before.iter().flat_map(|b| b.plan.sites.iter().zip(&b.sites));
        let exchanges = named.map(|(site, run)| (site.name.as_str(), &run.exchanges)).collect();
        let limits = Arc::new(plan.limits.clone());
        let mut building = Building {
            blob: brought.blob,
            listed: &listed,
            hops: Hops::after(before, &plan.identities, &listed, brought.blob, brought.names),
            old_sites,
            shared: resumption::Shared::of(&plan, brought.blob)?,
            exchanges,
            plan: &plan,
            threads,
            limits: limits.clone(),
            issuers: Vec::new(),
            asks: Vec::new(),
            users: Vec::new(),
            wafs: Vec::new(),
        };
        let old_issuers = before.map(|b| b.issuers.as_slice()).unwrap_or_default();
        for it in &plan.issuers {
            let digest = building.listed.hash(&keys_id(&it.name));
            let made = IssuerRun::of(it, brought.blob, digest, old_issuers)?;
            building.issuers.push(made);
        }
        for it in &plan.authorizers {
            let old = before.and_then(|b| b.asks.iter().find(|old| old.by.name == it.name));
            let made = building.asks(it, old.map(|it| &**it))?;
            building.asks.push(Arc::new(made));
        }
        building.wafs = wafs(&plan, brought.inspector, before)?;

        let mut listeners = Vec::new();
        for l in &plan.listeners {
            listeners.push(Arc::new(Listening {
                name: l.name.clone(),
                accept_proxy: cidrs(&l.accept_proxy)?,
                trusted: cidrs(&l.trusted_proxies)?,
                trusted_clients: l.trusted_clients.clone(),
                believe: l.believe.clone(),
                count: count_of(&l.name),
                limit: l.connections,
                speaks: l.speaks.clone(),
                starttls: l.starttls,
                redirected: redirected_before(before, &l.name),
            }));
        }
        let mut sites = Vec::new();
        for (i, _) in plan.sites.iter().enumerate() {
            sites.push(building.site(i)?);
        }
        let lines = Logging::of(&plan, &brought);
        let traces = building.traces()?.map(Arc::new);
        let stores = building.stores(before)?;
        let mut routes = Vec::new();
        let limiters = limiter::limiters(plan.routes.iter().map(|r| &r.way), before, &stores)?;
        let old_routes: HashMap<&str, &RouteRun> =
            before.iter().flat_map(|b| &b.routes).map(|r| (&*r.name, &**r)).collect();
        for (i, route) in plan.routes.iter().enumerate() {
            let old = old_routes.get(route.name.as_str()).copied();
            let stats = old.map_or_else(|| Arc::new(Stats::new(threads)), |r| r.stats.clone());
            let mut run = building.route(i, stats, old)?;
            carry_turns(&mut run, old);
            run.retries = retries(&route.way, old);
            if let Some(mirror) = run.mirror.as_mut().and_then(Arc::get_mut) {
                mirror.follows(old.and_then(|o| o.mirror.as_deref()));
            }
            run.limited = limiter::of_route(&route.way, &limiters, old);
            run.response = told(run.response, run.limited.as_deref());
            run.counts_on(old);
            run.lines = lines.of_route(route, run.pattern)?;
            run.spread = spread(&route.way, &run, old, (threads, brought.zone), brought.blob.sticky.as_ref())?;
            if matches!(route.way, Way::Here { .. } | Way::AtEdge { .. }) && !route.is_stream() {
                run.traces = traces.as_ref().and_then(|t| t.share_of(route.traces));
            }
            routes.push(Arc::new(run));
        }
        let issuers = std::mem::take(&mut building.issuers);
        let asks = std::mem::take(&mut building.asks);
        let wafs = std::mem::take(&mut building.wafs);
        Ok(Running {
            issuers,
            asks,
            wafs,
            generation: before.map_or(1, |b| b.generation + 1),
            lines: lines.elsewhere()?,
            digest: brought.digest,
            zone: brought.zone.map(str::to_owned),
            material_digest: brought.material_digest,
            material: brought.material,
            text: brought.text,
            matcher,
            listeners,
            sites,
            routes,
            limits,
            limiters: by_name(limiters),
            pages: PagesRun::of(&plan.pages, brought.blob)?,
            traces,
            stores,
            elsewhere: before.map_or_else(|| Arc::new(Stats::new(threads)), |b| b.elsewhere.clone()),
            plan,
        })
    }
}

fn cidrs(texts: &[String]) -> Result<Vec<Cidr>, Unusable> {
    texts.iter().map(|t| t.parse().map_err(|_| Unusable(format!("{t:?} is not a network")))).collect()
}

/// What a route changes on the way to its backends, where its token or password goes no further too. That of a cookie is taken
/// out of it.
fn stripped<'a>(request: &'a Edits, jwt: Option<&Jwt>, basic: Option<&Basic>) -> Cow<'a, Edits> {
    let name = match jwt.filter(|it| it.strip).map(|it| &it.at) {
        None if basic.is_some_and(|it| it.strip) => "authorization",
        None | Some(TokenFrom::Cookie { .. }) => return Cow::Borrowed(request),
        Some(TokenFrom::Authorization {}) => "authorization",
        Some(TokenFrom::Field { name }) => name,
    };
    let mut request = request.clone();
    request.remove.push(name.to_owned());
    Cow::Owned(request)
}

struct Building<'a> {
    blob: &'a Blob,
    listed: &'a Lists<'a>,
    hops: Hops<'a>,
    /// By their resume keys.
    old_sites: HashMap<&'a str, &'a SiteRun>,
    /// Ticket keys that are not this engine's own.
    shared: Option<resumption::Shared>,
    /// What sites counted so far, by their names.
    exchanges: HashMap<&'a str, &'a Arc<Exchanges>>,
    plan: &'a Plan,
    threads: usize,
    limits: Arc<Limits>,
    issuers: Vec<Arc<IssuerRun>>,
    asks: Vec<Arc<AsksRun>>,
    /// Files of users, each once.
    users: Vec<Arc<UsersRun>>,
    wafs: Vec<Arc<WafRun>>,
}

impl Building<'_> {
    fn site(&mut self, index: usize) -> Result<SiteRun, Unusable> {
        let Some(site) = self.plan.sites.get(index) else {
            return Err(Unusable("a site is missing".into()));
        };
        let (ca, crl, knows_clients) = match &site.clients {
            ClientDemand::Nothing {} => ("", "", false),
            ClientDemand::Ask { ca, crl, .. } | ClientDemand::Require { ca, crl, .. } => {
                (self.listed.hash(ca), crl.as_deref().map_or("", |id| self.listed.hash(id)), true)
            }
        };
        // A ticket carries a client past the question whether it was revoked: another list, other tickets.
        let resume_key = format!("{} {:?} {:?} {ca} {crl} {:?}", site.name, site.protocol, site.clients, site.policy);
        let promise = resume_key.as_str().into();
        let old = self.old_sites.get(resume_key.as_str()).copied();
        let bound_to = || resumption::bound_to(site, ca, crl);
        let keep = Resumption::after(old.map(|s| &s.keep), knows_clients, self.shared.as_ref(), bound_to)?;
        let end_of = |id: &str| self.listed.end_of(id);
        let shown = material::shown(site, self.blob);
        let certs: Vec<_> = site.certs.iter().map(|c| self.listed.get(&c.material)).collect();
        let made_of = format!("{resume_key} {site:?} {certs:?} {:?}", keep.shared);
        let config = match old.filter(|s| s.made_of == made_of) {
            Some(same) => same.config.clone(),
            None => material::server(site, self.blob, &keep, end_of)?,
        };
        let ends = shown.iter().map(|c| end_of(&c.material));
        Ok(SiteRun {
            config,
            made_of,
            is_uncertified: shown.is_empty(),
            not_after_s: ends.max().unwrap_or(i64::MAX),
            knows_clients,
            is_streaming: site.protocol == Protocol::Tcp,
            hsts: site.hsts.map(|it| it.to_string().into()),
            exchanges: self.exchanges.get(site.name.as_str()).map_or_else(Arc::default, |it| Arc::clone(it)),
            keep,
            resume_key,
            promise,
        })
    }

    fn route(&mut self, index: usize, stats: Arc<Stats>, before: Option<&RouteRun>) -> Result<RouteRun, Unusable> {
        let Some(route) = self.plan.routes.get(index) else {
            return Err(Unusable("a route is missing".into()));
        };
        let name: Arc<str> = route.name.as_str().into();
        let limits = route.limits.over(&self.limits).map_or_else(|| self.limits.clone(), Arc::new);
        let bare = |pattern| bare(&name, pattern, &stats, &limits);
        match &route.way {
            Way::AtBackend { send_proxy, starttls, backends, spread, .. } => Ok(RouteRun {
                backends: {
                    let checks = Checks::of(spread.as_deref(), (*send_proxy, *starttls));
                    backends.iter().map(|p| self.hops.splice(p, checks)).collect()
                },
                send_proxy: *send_proxy == SendProxy::V2,
                starttls: *starttls,
                ..bare("passthrough")
            }),
            Way::Here { gives, .. } => {
                Ok(RouteRun { given: Some(GivenRun::of(gives, self.blob)?), ..bare("answered") })
            }
            Way::AtEdge {
                pattern,
                upstream_protocol,
                paths,
                target,
                host_header,
                jwt,
                basic,
                ask,
                waf,
                request,
                response,
                locations,
                cookies,
                cors,
                compress,
                answers,
                eject_on,
                slow_ms,
                most,
                send_proxy,
                starttls,
                spread,
                backends,
                mirror,
                ..
            } => {
                let some = |edits: &Edits| (!edits.is_empty()).then(|| edits.clone());
                let lenient_answers = *answers == Answers::Lenient;
                let speaks = Speaks { protocol: *upstream_protocol, lenient_answers, apart: false };
                let checks = Checks::of(spread.as_deref(), (*send_proxy, *starttls));
                let backends = backends.iter().map(|b| self.hops.backend(b, speaks, checks));
                let backends = backends.collect::<Result<Vec<_>, _>>()?;
                let pattern = match pattern {
                    Pattern::Plaintext => "plaintext",
                    Pattern::Reencrypt => "reencrypt",
                    Pattern::Mutual => "mutual",
                };
                let mirror = match mirror.as_deref() {
                    Some(by) => Some(Arc::new(self.mirror(by, lenient_answers, bare(pattern))?)),
                    None => None,
                };
                let asks = match ask.as_deref() {
                    Some(name) => Some(self.asked(name)?),
                    None => None,
                };
                let by_password = match basic.as_deref() {
                    Some(it) => Some(Box::new(self.basic(it, before)?)),
                    None => None,
                };
                let waf = match waf.as_deref() {
                    Some(name) => Some(self.inspected(name)?),
                    None => None,
                };
                // Its client may be told by a cookie where it comes back to, or who it is.
                let sets = asks.is_some() || spread.as_ref().is_some_and(|s| s.sticky.is_some());
                let asked = (host_header.as_deref(), &**target);
                let returned = ReturnedRun::of(*locations, asked, cookies.as_deref(), &backends);
                Ok(RouteRun {
                    backends,
                    send_proxy: *send_proxy == SendProxy::V2 && route.is_stream(),
                    starttls: starttls.filter(|_| route.is_stream()),
                    strict_paths: *paths == Paths::Strict,
                    host_header: host_header.as_deref().map(Into::into),
                    target: (!target.is_as_it_came()).then(|| (**target).clone()),
                    eject_on: eject_on.clone(),
                    slow: slow_ms.map(|ms| Duration::from_millis(ms.into())),
                    asks_others: asks.is_some() || waf.as_ref().is_some_and(|it| it.blocks()),
                    is_copied: mirror.is_some() || waf.as_ref().is_some_and(|it| !it.blocks()),
                    asks,
                    waf,
                    mirror,
                    request: some(&stripped(request, jwt.as_deref(), basic.as_deref())),
                    jwt: match jwt {
                        Some(it) => Some(Box::new(JwtRun::of(it, request, &self.issuers)?)),
                        None => None,
                    },
                    basic: by_password,
                    response: shape(response, cors.as_deref(), compress.as_deref(), returned, sets),
                    turns: most.and_then(Turns::of).map(Arc::new),
                    connections: most.and_then(|m| m.connections).map(|most| self.bound(most)),
                    limits: self.limits_within(&limits, most.and_then(|m| m.connections)),
                    ..bare(pattern)
                })
            }
        }
    }

    /// A thread has connections of its own: one for each at the least, or some would have none at all.
    fn bound(&self, most: u32) -> u32 {
        most.max(u32::try_from(self.threads).unwrap_or(u32::MAX))
    }

    /// Of a backend that takes so many connections, each thread keeps its share of them idle, and no other's.
    fn limits_within(&self, limits: &Arc<Limits>, most: Option<u32>) -> Arc<Limits> {
        let threads = u32::try_from(self.threads.max(1)).unwrap_or(u32::MAX);
        let Some(share) = most.map(|most| self.bound(most).div_ceil(threads)) else { return limits.clone() };
        let upstream_idle_connections = limits.upstream_idle_connections.min(share);
        Arc::new(Limits { upstream_idle_connections, ..Limits::clone(limits) })
    }
}

/// A route that goes nowhere yet, and does nothing with what it takes.
fn bare(name: &Arc<str>, pattern: &'static str, stats: &Arc<Stats>, limits: &Arc<Limits>) -> RouteRun {
    RouteRun {
        name: name.clone(),
        lines: Lines::default(),
        pattern,
        backends: Vec::new(),
        given: None,
        sent: Vec::new(),
        stats: stats.clone(),
        send_proxy: false,
        starttls: None,
        strict_paths: false,
        target: None,
        host_header: None,
        eject_on: Vec::new(),
        slow: None,
        request: None,
        jwt: None,
        basic: None,
        response: None,
        spread: None,
        retries: None,
        asks: None,
        waf: None,
        asks_others: false,
        is_copied: false,
        limited: None,
        mirror: None,
        turns: None,
        connections: None,
        traces: None,
        limits: limits.clone(),
    }
}

/// What becomes of an answer; `None` where nothing does. `sets`: its client may be told something in a cookie of the edge's, or of
/// whoever was asked about it.
fn shape(
    edits: &Edits,
    cors: Option<&Cors>,
    compress: Option<&Compress>,
    returned: Option<Box<ReturnedRun>>,
    sets: bool,
) -> Option<Shape> {
    let cors = cors.map(|it| Arc::new(CorsRun::of(it)));
    let shapes = !edits.is_empty() || cors.is_some() || compress.is_some() || returned.is_some() || sets;
    shapes.then(|| Shape { edits: edits.clone(), cors, compress: compress.cloned(), returned })
}

const NO_EDITS: Edits = Edits { remove: Vec::new(), set: Vec::new(), add: Vec::new() };

/// Where its answers tell what is left of a limit they are shaped, too.
fn told(shape: Option<Shape>, limited: Option<&LimitsRun>) -> Option<Shape> {
    let tells = limited.is_some_and(|it| it.tells);
    shape.or_else(|| tells.then(|| Shape { edits: NO_EDITS, cors: None, compress: None, returned: None }))
}

fn by_name(all: HashMap<String, Arc<LimiterRun>>) -> Vec<Arc<LimiterRun>> {
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
    all
}
