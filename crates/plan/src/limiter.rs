//! How many requests of one kind a route takes in a time, and at once: whose they are is what tells one kind from another.
//! Routes that name the same limit count together. Read next: `route.rs`.

use crate::present;
use crate::store::Shared;
use serde::{Deserialize, Serialize};

/// A limit, whole, as each route has it that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limiter {
    pub name: String,
    /// `null`: as many in a time as come.
    #[serde(deserialize_with = "present")]
    pub rate: Option<Rate>,
    /// How many are under way at once. `null`: as many as come.
    #[serde(deserialize_with = "present")]
    pub at_once: Option<u32>,
    /// What makes a key, sorted. Empty: all requests have one.
    pub by: Vec<KeyPart>,
    /// Bits of an IPv6 address that count.
    pub ipv6_prefix: u32,
    /// How many keys are remembered at a time.
    pub keys: u32,
    pub mode: LimitMode,
    /// `null`: each edge counts by itself.
    #[serde(deserialize_with = "present")]
    pub shared: Option<Shared>,
    /// Which answers tell what is left.
    pub tells: LimitTells,
    /// They tell it in `X-RateLimit-*` too.
    pub x_ratelimit: bool,
}

/// So many in so many seconds on average, and so many at a time where none came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub count: u32,
    pub per_s: u32,
    pub burst: u32,
}

/// Something of a request by which it is told from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyPart {
    /// As trusted proxies tell it.
    ClientAddress {},
    /// The first name in its verified certificate.
    ClientName {},
    Route {},
    Host {},
    /// All values of that field, in lower case its name.
    Header {
        name: String,
    },
    Cookie {
        name: String,
    },
    /// Of the token that its route asks for, by the path to it.
    Claim {
        path: Vec<String>,
    },
    /// The name that its route asks for with its password.
    User {},
}

/// What becomes of a request beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitMode {
    Refuse,
    /// It passes, and is counted and logged.
    Observe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitTells {
    /// Those that refuse.
    Refusals,
    /// All of the route's.
    Answers,
}
