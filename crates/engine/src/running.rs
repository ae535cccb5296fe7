//! A plan with its material, made ready: matcher, TLS configurations, backends, counters. Shared by all threads behind an
//! atomic pointer; nothing of it changes but counts, health and addresses. Read next: `build.rs`, which makes it.

use crate::backend_run::BackendRun;
use crate::counters::Stats;
use crate::material::{Listed, Resumption};
use everyhop_canon::cidr::Cidr;
use everyhop_decide::Matcher;
use everyhop_plan::{Limits, Place, Plan};
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// The plan that runs.
pub(crate) struct Running {
    pub(crate) generation: u64,
    pub(crate) digest: String,
    pub(crate) material_digest: String,
    pub(crate) material: Vec<Listed>,
    pub(crate) text: String,
    pub(crate) plan: Plan,
    pub(crate) matcher: Matcher,
    pub(crate) listeners: Vec<Listening>,
    pub(crate) sites: Vec<SiteRun>,
    pub(crate) routes: Vec<RouteRun>,
    /// What reached no route.
    pub(crate) elsewhere: Arc<Stats>,
    /// What the lines of what reached no route share.
    pub(crate) labels: Vec<u8>,
}

/// A listener's own.
pub(crate) struct Listening {
    pub(crate) name: String,
    pub(crate) accept_proxy: Vec<Cidr>,
    pub(crate) trusted: Vec<Cidr>,
    pub(crate) count: Arc<AtomicU32>,
    pub(crate) limit: u32,
}

/// A site with its TLS.
pub(crate) struct SiteRun {
    pub(crate) config: Arc<ServerConfig>,
    /// All certificates of the site are over at this Unix time.
    pub(crate) not_after_s: i64,
    /// A client may be known by certificate here.
    pub(crate) knows_clients: bool,
    pub(crate) keep: Resumption,
    /// What decides who may resume: client demand with its roots' hash, and the policy.
    pub(crate) resume_key: String,
    /// What an open connection was promised: [`SiteRun::resume_key`] and the hosts and protocols.
    pub(crate) promise: String,
}

/// A route with its backends and counts.
pub(crate) struct RouteRun {
    pub(crate) name: Arc<str>,
    /// What its lines share.
    pub(crate) labels: Vec<u8>,
    pub(crate) pattern: &'static str,
    pub(crate) backends: Vec<Arc<BackendRun>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) send_proxy: bool,
    /// What holds for its requests and hops: its own limits, where it is silent the file's.
    pub(crate) limits: Arc<Limits>,
    /// What a tunnel of this route was promised; a different one in a new plan cuts it.
    pub(crate) promise: String,
}

impl Running {
    /// What holds for a connection before its route is known.
    pub(crate) fn limits(&self) -> &Limits {
        &self.plan.limits
    }

    pub(crate) fn has_hop(&self, hop_id: u64) -> bool {
        self.routes.iter().flat_map(|r| &r.backends).any(|b| b.hop_id == hop_id)
    }

    /// Takes new addresses for the names of backends.
    pub(crate) fn resolve(&self, names: &HashMap<String, Vec<std::net::IpAddr>>) {
        for backend in self.routes.iter().flat_map(|r| &r.backends) {
            if let Place::Name { name, port } = &backend.place
                && let Some(ips) = names.get(name)
            {
                backend.addrs.store(Arc::new(ips.iter().map(|ip| SocketAddr::new(*ip, *port)).collect()));
            }
        }
    }
}
