//! Stores in which edges count together: Valkey or Redis, or a service of Envoy's rate limits. The hop to one is as that to a backend. Read next: `limiter.rs`.

use crate::hop::Backend;
use crate::present;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub name: String,
    pub speaks: StoreSpeaks,
    pub backends: Vec<Backend>,
    /// As whom it is spoken to. `null`: as its default user.
    #[serde(deserialize_with = "present")]
    pub user: Option<String>,
    /// Where the password is. `null`: it asks for none.
    #[serde(deserialize_with = "present")]
    pub password: Option<String>,
    /// The number of its database.
    pub database: u32,
}

/// In which words it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreSpeaks {
    /// Those of Valkey and Redis: some requests at a time are leased there.
    Redis {},
    /// By a call of gRPC for each request, `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`.
    Envoy {
        /// Which of its limits are meant.
        domain: String,
    },
}

/// A limit counts in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// The name of the store.
    pub store: String,
    pub when_down: WhenSilent,
}

/// What holds while a store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenSilent {
    /// The edge's own count alone.
    Local,
    /// Nothing passes that the store was not asked of.
    Refuse,
}
