//! Who is asked whether requests may pass: another service, over a hop as one to a backend. What it is told stands here, and it is
//! told nothing else. Read next: `hop.rs`.

use crate::hop::Backend;
use serde::{Deserialize, Serialize};

/// Is asked a question of its own for each request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorizer {
    pub name: String,
    pub speaks: AuthorizerSpeaks,
    /// Fields of the request that it is shown, in lower case.
    pub sends: Vec<String>,
    /// Fields of its answer that the backend is shown, in lower case.
    pub takes: Vec<String>,
    pub when_down: WhenDown,
    /// For connecting, TLS and the answer together, whatever is tried.
    pub deadline_ms: u32,
    /// Requests that are asked about at once, of all threads together; above it none is.
    pub at_once: u32,
    pub backends: Vec<Backend>,
}

/// In which words it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AuthorizerSpeaks {
    /// By GET of a path, perhaps with a query; it answers by its status.
    Http { target: String },
    /// By a call of gRPC, `envoy.service.auth.v3.Authorization/Check`.
    Envoy {},
}

/// What becomes of a request that nobody decides about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum WhenDown {
    Refuse {},
    /// It passes unasked, on somebody's word.
    Pass {
        acceptance: PassAcceptance,
    },
}

/// A person's dated, reasoned, expiring agreement that requests pass unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassAcceptance {
    pub owner: String,
    pub why: String,
    /// ISO dates, for people.
    pub since: String,
    pub until: String,
    /// Unix time from which on nothing passes unasked: the end of `until`, 24:00 UTC.
    pub closes_at_s: i64,
}
