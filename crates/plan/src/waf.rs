//! Rules that requests are inspected by, in a process of its own on this host. What it inspects by stands here, and what becomes
//! of a request of which it says nothing. Read next: `route.rs`, which names one.

use crate::authorizer::WhenDown;
use serde::{Deserialize, Serialize};

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waf {
    pub name: String,
    pub mode: WafMode,
    /// Of the OWASP Core Rule Set, 1 to 4.
    pub paranoia: u8,
    /// Files of rules beside those.
    pub extra: Vec<String>,
    /// What is not asked of some requests.
    pub exclude: Vec<Exclusion>,
    /// What of a body is inspected.
    pub body_bytes: u32,
    pub over_body: OverBody,
    /// Where the inspector is not there, or has too much to do.
    pub when_down: WhenDown,
    /// From the moment on at which the request is whole.
    pub deadline_ms: u32,
    /// Requests that are held and inspected at once, of all threads together.
    pub at_once: u32,
}

/// What becomes of a request that the rules deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WafMode {
    /// It is held until the verdict is there, and refused.
    Block,
    /// It goes on at once; a copy of it is inspected, and what was found is told.
    Detect,
}

/// A rule that is not asked of requests to that path, or of one of their arguments: somebody's word, with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    pub rule: u32,
    /// Its beginning. Empty: any.
    pub path: String,
    /// Empty: all of the request.
    pub argument: String,
    pub owner: String,
    pub why: String,
    /// ISO date, for people.
    pub until: String,
    /// Unix time from which on the rule is asked again.
    pub closes_at_s: i64,
}

/// What becomes of a request whose body is longer than what is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverBody {
    Refuse,
    /// It passes if its beginning does.
    PassInspected,
}
