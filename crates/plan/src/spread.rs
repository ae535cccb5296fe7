//! How a route spreads what comes among its backends, where it says more than that they take turns alike.
//! Read next: `health.rs`, `route.rs`.

use crate::health::HealthCheck;
use crate::present;
use serde::{Deserialize, Serialize};

/// By what a backend is chosen, and which share each takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    pub by: Balance,
    /// One for each backend of the route, in their order.
    pub shares: Vec<Share>,
    /// `null`: by `by` alone.
    #[serde(deserialize_with = "present")]
    pub sticky: Option<Sticky>,
    /// `null`: the edge asks no backend whether it is well.
    #[serde(deserialize_with = "present")]
    pub health: Option<HealthCheck>,
    /// In how long a backend that came back up takes its own share again; 0: at once.
    pub slow_start_s: u32,
}

/// By what a backend is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Balance {
    /// In turn, each as often as its weight says.
    Turns {},
    /// Of two at random the one that has less to do for its weight.
    Least {},
    /// The same backend for the same client address.
    ClientAddress {},
    /// For the same value of that field, in lower case; who has none goes by turns.
    Header { name: String },
    /// For the same value of that cookie; who has none goes by turns.
    Cookie { name: String },
    /// For the same path, without its query.
    Path {},
}

/// A cookie of the edge's by which a client comes back to the backend that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// As clients are told it: with its `__Host-`.
    pub cookie: String,
}

/// What one backend takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// 0: nothing new, and it stays known.
    pub weight: u16,
    /// Only while none of the others is up.
    pub backup: bool,
    /// Where it is, for edges that are there too; it says nothing of how the way there is protected. `null`: in none.
    #[serde(deserialize_with = "present")]
    pub zone: Option<String>,
}
