//! What the edge asks a route's backends by itself, to know which of them are well. Read next: `spread.rs`.

use crate::present;
use serde::{Deserialize, Serialize};

/// What is asked of each backend, how often, and how many answers in a row say something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    pub asks: HealthAsks,
    pub every_s: u32,
    /// For connecting, TLS and the answer together.
    pub timeout_s: u32,
    /// In a row.
    pub down_after: u32,
    pub up_after: u32,
}

/// What is asked, over the route's own hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HealthAsks {
    /// That it takes a connection and, where the hop has TLS that ends here, proves who it is.
    Connect {},
    /// A GET of that path, to be answered with one of these statuses, and with a body that has this text in it.
    Http {
        host: String,
        path: String,
        statuses: Vec<Statuses>,
        #[serde(deserialize_with = "present")]
        body: Option<String>,
    },
    /// `grpc.health.v1.Health/Check` of that service; an empty name is the server as a whole.
    Grpc { host: String, service: String },
}

/// From the first to the last, both within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    pub first: u16,
    pub last: u16,
}
