//! What was decided: the compiled, immutable plan that the engine runs and that evidence refers to.
//!
//! The plan is canonical JSON (sorted keys, no floats, units in the names). Python writes it, both languages read it,
//! and both refuse a stray, a missing or a doubled key: every field is present, every choice is a tagged enum with
//! brace variants, nothing has a default. It names key material by id and never holds any. No I/O here.
//! Read next: `route.rs` (a route and its hops), then `site.rs` and `listener.rs`.

#![forbid(unsafe_code)]

mod authorizer;
mod basic;
mod collector;
mod compress;
mod cors;
mod edits;
mod given;
mod health;
mod hop;
mod limiter;
mod limits;
mod listener;
mod log;
mod mirror;
mod pages;
mod returned;
mod route;
mod site;
mod spread;
mod store;
mod target;
mod tickets;
mod token;
mod waf;

pub use authorizer::{Authorizer, AuthorizerSpeaks, PassAcceptance, WhenDown};
pub use basic::Basic;
pub use collector::{Attribute, Collector, Traced, Traces};
pub use compress::{Coding, Compress};
pub use cors::Cors;
pub use edits::{Edit, Edits, Piece, Variable};
pub use given::{Content, Given};
pub use health::{HealthAsks, HealthCheck, Statuses};
pub use hop::{Acceptance, Backend, BackendHop, Context, Place, Proof, Reach, TlsPolicy, Verify};
pub use limiter::{KeyPart, LimitMode, LimitTells, Limiter, Rate};
pub use limits::{Limits, Most, Retries, RouteLimits};
pub use listener::{Believe, Listener, Speaks, StartTls, Unnamed};
pub use log::{AccessLog, Log, LogForm, OnFull, RouteLog, STDOUT};
pub use mirror::Mirror;
pub use pages::ErrorPage;
pub use returned::{Cookies, Locations, SameSite};
pub use route::{
    Answers, Asks, Data, EjectOn, HeaderMatch, MatchOf, PathMatch, Paths, Pattern, Route, SendProxy, UpstreamProtocol,
    Way,
};
pub use site::{Cert, ClientDemand, Hsts, Identity, Protocol, Site, StaleCrl};
pub use spread::{Balance, Share, Spread, Sticky};
pub use store::{Shared, Store, StoreSpeaks, WhenSilent};
pub use target::Target;
pub use tickets::Tickets;
pub use token::{Algorithm, ClaimMatch, ClaimValue, Issuer, Jwt, Keys, TokenFrom, TokenType};
pub use waf::{Exclusion, OverBody, Waf, WafMode};

use serde::{Deserialize, Deserializer, Serialize};

/// The version of this form. A reader refuses any other.
pub const FORM: u32 = 1;

/// The whole that the engine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`FORM`].
    pub plan: u32,
    pub engine: Engine,
    pub log: Log,
    pub status: Status,
    pub limits: Limits,
    /// `null`: each engine has ticket keys of its own, which nobody else has.
    #[serde(deserialize_with = "present")]
    pub tickets: Option<Tickets>,
    pub pages: Vec<ErrorPage>,
    pub collectors: Vec<Collector>,
    /// `null`: no request becomes a span.
    #[serde(deserialize_with = "present")]
    pub traces: Option<Traces>,
    /// Where limits are counted together with other edges.
    pub stores: Vec<Store>,
    pub listeners: Vec<Listener>,
    pub sites: Vec<Site>,
    pub identities: Vec<Identity>,
    /// Whose tokens are believed.
    pub issuers: Vec<Issuer>,
    /// Who is asked whether requests may pass.
    pub authorizers: Vec<Authorizer>,
    /// What requests are inspected by.
    pub wafs: Vec<Waf>,
    pub routes: Vec<Route>,
}

impl Plan {
    /// What a question means that names no listener.
    pub fn first_of_tls(&self) -> Option<&Listener> {
        self.listeners.iter().find(|l| !l.is_plain())
    }
}

/// The engine's own settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Worker threads, each with its own runtime. Not reloadable.
    pub threads: Threads,
    /// How long a drain waits for what is in flight.
    pub drain_s: u32,
    /// How the engine is confined; it holds from its start on. Not reloadable.
    pub sandbox: Sandbox,
    pub keys: KeysAt,
}

/// Where private keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeysAt {
    /// In the engine's memory.
    Engine,
    /// In that of another process, which signs handshakes and does nothing else.
    Apart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    Off,
    /// As far as the kernel goes.
    BestEffort,
    /// All of it, or no start.
    Enforce,
}

/// How many worker threads. The plan keeps the word: what was decided is the same on a machine with other cores, and so is
/// its digest. Who starts the threads counts the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "count", rename_all = "snake_case", deny_unknown_fields)]
pub enum Threads {
    /// One for each core that the process may use.
    Cores {},
    Fixed {
        threads: std::num::NonZeroU16,
    },
}

impl Threads {
    /// Their number, where `cores` is what "one for each core" means.
    pub fn number(self, cores: usize) -> usize {
        match self {
            Threads::Cores {} => cores.max(1),
            Threads::Fixed { threads } => usize::from(threads.get()),
        }
    }
}

/// The read-only /metrics, /livez and /readyz address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Status {
    Off {},
    Bound { bind: String },
}

/// Reads a plan.
///
/// Refuses: what is not this form, with serde's line and column and the offending key.
pub fn read(json: &str) -> Result<Plan, Unread> {
    let plan: Plan = serde_json::from_str(json).map_err(|e| Unread { why: e.to_string() })?;
    if plan.plan != FORM {
        return Err(Unread { why: format!("plan form {} is not {FORM}", plan.plan) });
    }
    Ok(plan)
}

/// A text that is not a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    pub why: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unread {}

/// An optional value whose key must be there all the same: serde would read a dropped key as `None`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::<T>::deserialize(d)
}
