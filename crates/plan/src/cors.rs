//! Which pages of other origins may read what a route answers: the Fetch standard's CORS protocol, as the edge speaks it.

use serde::{Deserialize, Serialize};

/// Lists are sorted, and as the fields of an answer have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// `https://app.test`, as browsers write it; `https://*.app.test`: all names below; `*`: everybody.
    pub origins: Vec<String>,
    pub methods: Vec<String>,
    /// What they may send.
    pub headers: Vec<String>,
    /// What they may read.
    pub expose: Vec<String>,
    /// How long the answer to a preflight may be remembered.
    pub max_age_s: u32,
    pub credentials: bool,
}
