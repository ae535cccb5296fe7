//! Tickets by which a client takes its session up at other edges too. Read next: `site.rs`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tickets {
    /// Where the secrets stand that ticket keys are made of, as the configuration names it: `file:`, `env:` or `cred:`; never a
    /// secret. The first one's keys seal, those of all open. Each is `tickets/0`... in the material.
    pub keys: Vec<String>,
    /// How long one key seals, and how long what it sealed may be opened.
    pub rotate_s: u32,
}
