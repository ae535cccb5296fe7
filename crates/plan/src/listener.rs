//! A listener: an address where connections arrive, and whose word about the client is believed there.
//! Read next: `site.rs`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub name: String,
    /// Socket addresses, `[::]:443`. The supervisor binds them.
    pub bind: Vec<String>,
    pub no_sni: Unnamed,
    pub unknown_sni: Unnamed,
    /// Peers (CIDR) that must send a PROXY header; all others must not.
    pub accept_proxy: Vec<String>,
    /// Peers (CIDR) whose X-Forwarded-* and Forwarded are believed.
    pub trusted_proxies: Vec<String>,
    /// At most this many connections at once, over all threads.
    pub connections: u32,
}

/// The answer to a hello that names nothing of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Unnamed {
    /// Fatal unrecognized_name before any certificate is shown.
    Refuse {},
    Site {
        site: String,
    },
    /// A passthrough route.
    Route {
        route: String,
    },
}
