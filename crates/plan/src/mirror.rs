//! Where a copy of some of a route's requests goes, whose answers nobody gets. It is a hop like any other. Read next: `hop.rs`.

use crate::edits::Edits;
use crate::hop::Backend;
use crate::route::UpstreamProtocol;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Of a million requests so many, chosen by chance.
    pub share_per_million: u32,
    pub upstream_protocol: UpstreamProtocol,
    /// Of the copy, after the route's own.
    pub request: Edits,
    /// A request with a longer body is not copied.
    pub body_bytes: u32,
    /// Copies under way, or being made, of all threads together; above it none is made.
    pub at_once: u32,
    /// For connecting, TLS, the copy and its answer together.
    pub timeout_s: u32,
    pub backends: Vec<Backend>,
}
