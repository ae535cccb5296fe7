//! A route: whom it serves, where TLS ends for it, and which backends answer.
//! `Way` is the boundary: a passthrough route has no place to write a path, a terminating one no way to send bytes blind.
//! Read next: `hop.rs`.

use crate::basic::Basic;
use crate::collector::Traced;
use crate::compress::Compress;
use crate::cors::Cors;
use crate::edits::Edits;
use crate::given::Given;
use crate::hop::{Backend, Place};
use crate::limiter::Limiter;
use crate::listener::StartTls;
use crate::mirror::Mirror;
use crate::present;
use crate::returned::{Cookies, Locations};
use crate::spread::Spread;
use crate::target::Target;
use crate::token::Jwt;
use crate::{Most, Retries, RouteLimits, RouteLog};
use serde::{Deserialize, Serialize};

/// A host (and, where TLS ends here, path, method, headers) with one pattern and one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    /// Canonical names, exact or `*.` and a suffix of at least one label.
    pub hosts: Vec<String>,
    /// The only listeners by which it is reached, sorted. `null`: every one.
    #[serde(deserialize_with = "present")]
    pub listeners: Option<Vec<String>>,
    /// Breaks ties; higher wins.
    pub priority: i32,
    pub data: Data,
    /// Capabilities that the route was required to have when the plan was made, sorted.
    pub requires: Vec<String>,
    pub limits: RouteLimits,
    /// `null`: its lines are those of the file.
    #[serde(deserialize_with = "present")]
    pub log: Option<RouteLog>,
    /// Where the plan has `traces`.
    pub traces: Traced,
    pub way: Way,
}

/// Where TLS ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ends", rename_all = "snake_case", deny_unknown_fields)]
pub enum Way {
    /// At the backend: one session through us, routed by SNI.
    AtBackend {
        /// As in `AtEdge`.
        #[serde(deserialize_with = "present")]
        allow_networks: Option<Vec<String>>,
        send_proxy: SendProxy,
        /// As in `AtEdge`.
        #[serde(deserialize_with = "present")]
        starttls: Option<StartTls>,
        /// As in `AtEdge`.
        #[serde(deserialize_with = "present")]
        spread: Option<Box<Spread>>,
        backends: Vec<Place>,
    },
    /// At the edge: HTTP is read here, or bytes go on as they come; then a hop of its own begins.
    AtEdge {
        /// The declared `tls`; each backend's hop is this or stronger.
        pattern: Pattern,
        path: PathMatch,
        /// Empty: any method.
        methods: Vec<String>,
        headers: Vec<HeaderMatch>,
        /// Names (SAN DNS or URI) of verified client certificates that may pass. `null`: not restricted.
        #[serde(deserialize_with = "present")]
        allow_clients: Option<Vec<String>>,
        /// Networks that the client's address must be in, whatever else is asked of it. `null`: it may be any.
        #[serde(deserialize_with = "present")]
        allow_networks: Option<Vec<String>>,
        /// `null`: no token is asked for.
        #[serde(deserialize_with = "present")]
        jwt: Option<Box<Jwt>>,
        /// `null`: no name and password are asked for. Never with `jwt`.
        #[serde(deserialize_with = "present")]
        basic: Option<Box<Basic>>,
        /// The name of an authorizer. `null`: nobody else is asked.
        #[serde(deserialize_with = "present")]
        ask: Option<Box<str>>,
        /// The name of a policy. `null`: requests are not inspected.
        #[serde(deserialize_with = "present")]
        waf: Option<Box<str>>,
        /// The protocols of Upgrade that may become a tunnel, in lower case and sorted.
        upgrades: Vec<String>,
        paths: Paths,
        /// What of the path goes to the backend.
        target: Box<Target>,
        /// The host that backends are asked for. `null`: the one that the client asked for.
        #[serde(deserialize_with = "present")]
        host_header: Option<String>,
        upstream_protocol: UpstreamProtocol,
        /// Of what goes to the backend.
        request: Box<Edits>,
        /// Of a backend's answer.
        response: Box<Edits>,
        /// Where a backend names itself in an answer.
        locations: Locations,
        /// `null`: cookies go on as the backend sets them.
        #[serde(deserialize_with = "present")]
        cookies: Option<Box<Cookies>>,
        /// `null`: what the backend says of it goes on as it is.
        #[serde(deserialize_with = "present")]
        cors: Option<Box<Cors>>,
        /// `null`: answers go out as they came.
        #[serde(deserialize_with = "present")]
        compress: Option<Box<Compress>>,
        /// In the order in which they are asked, each name once.
        limited_by: Vec<Limiter>,
        /// `null`: as many as come.
        #[serde(deserialize_with = "present")]
        most: Option<Most>,
        /// `null`: only what no backend can have acted on goes again.
        #[serde(deserialize_with = "present")]
        retries: Option<Box<Retries>>,
        answers: Answers,
        /// Only with `tcp`: HTTP has fields for it.
        send_proxy: SendProxy,
        /// By which protocol's words a backend is asked for TLS. `null`: TLS is the first thing said. Only with `tcp`.
        #[serde(deserialize_with = "present")]
        starttls: Option<StartTls>,
        /// What counts as a failure of a backend beside connects and handshakes.
        eject_on: Vec<EjectOn>,
        /// An answer counts as one, too, that begins later than that after the whole request was sent. `null`: however late.
        #[serde(deserialize_with = "present")]
        slow_ms: Option<u32>,
        /// `null`: they take turns, one like the other.
        #[serde(deserialize_with = "present")]
        spread: Option<Box<Spread>>,
        backends: Vec<Backend>,
        /// `null`: no request goes anywhere else.
        #[serde(deserialize_with = "present")]
        mirror: Option<Box<Mirror>>,
    },
    /// At the edge, which answers itself: nothing lies behind.
    Here {
        path: PathMatch,
        /// As in `AtEdge`, like the next three.
        methods: Vec<String>,
        headers: Vec<HeaderMatch>,
        #[serde(deserialize_with = "present")]
        allow_clients: Option<Vec<String>>,
        #[serde(deserialize_with = "present")]
        allow_networks: Option<Vec<String>>,
        gives: Given,
    },
}

/// Which requests a route takes, beside its hosts.
#[derive(Debug, Clone, Copy)]
pub struct Asks<'a> {
    pub path: &'a PathMatch,
    pub methods: &'a [String],
    pub headers: &'a [HeaderMatch],
}

/// What lets a backend be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EjectOn {
    /// It takes a request and no answer begins in time.
    #[serde(rename = "timeouts")]
    Timeouts,
    /// Its answers have a status of 500 or more.
    #[serde(rename = "5xx")]
    Errors,
}

/// How a backend's answers in HTTP/1.1 are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// As RFC 9112 has them, or not at all.
    Strict,
    /// Also where lines end with LF alone, a length is said twice or a chunk's size is padded; written afresh all the same.
    Lenient,
}

impl Route {
    /// Which requests it takes; `None` where TLS ends at the backend, and no request is seen.
    pub fn asks(&self) -> Option<Asks<'_>> {
        match &self.way {
            Way::AtBackend { .. } => None,
            Way::AtEdge { path, methods, headers, .. } | Way::Here { path, methods, headers, .. } => {
                Some(Asks { path, methods, headers })
            }
        }
    }

    /// It takes whatever comes by its hosts.
    pub fn matches_by_name_alone(&self) -> bool {
        let all =
            |asks: Asks<'_>| *asks.path == PathMatch::Any {} && asks.methods.is_empty() && asks.headers.is_empty();
        self.asks().is_none_or(all)
    }

    /// TLS ends at the edge, and what is in it is not read.
    pub fn is_stream(&self) -> bool {
        matches!(self.way, Way::AtEdge { upstream_protocol: UpstreamProtocol::Tcp, .. })
    }
}

/// Which paths pass, and how they go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paths {
    /// Whatever leads to one route however it is read, byte for byte as it came.
    Faithful,
    /// What every backend reads in one way, in its canonical form.
    Strict,
}

/// The value of `tls` where TLS ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    Plaintext,
    Reencrypt,
    Mutual,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PathMatch {
    Any {},
    Exact {
        path: String,
    },
    /// On segment boundaries: `/v2` matches `/v2` and `/v2/x`, never `/v2x`.
    Prefix {
        path: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    pub of: MatchOf,
    /// Of a field in lower case; of a cookie as it is.
    pub name: String,
    /// Every value of that name must equal this (R03: every value is judged).
    pub equals: String,
}

/// What of a request's head is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchOf {
    Field,
    /// One of the pairs in the `Cookie` fields.
    Cookie,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendProxy {
    Off,
    V2,
}

/// What is spoken to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpstreamProtocol {
    #[serde(rename = "http/1.1")]
    Http1,
    /// By ALPN on a TLS hop, by prior knowledge on a plaintext one; gRPC needs it.
    #[serde(rename = "h2")]
    Http2,
    /// Either of the two, as the backend chooses by ALPN on each connection; only where there is TLS to choose by.
    #[serde(rename = "auto")]
    Auto,
    /// The client's own bytes: no HTTP is read here, and the route is chosen by the server's name alone.
    #[serde(rename = "tcp")]
    Tcp,
}

/// What the route declares about what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    Undeclared,
    Public,
    Internal,
    Confidential,
    MajorIncident,
}
