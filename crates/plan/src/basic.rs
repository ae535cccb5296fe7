//! Names and passwords (RFC 7617) that a route asks for: who has them, and how they are asked for.

use crate::present;
use serde::{Deserialize, Serialize};

/// Whose names and passwords a route asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The file of users as the configuration names it; its text is material, and no hash of it is here.
    pub file: String,
    /// Whom it has, sorted. `null` where it was not read: such a plan is not run.
    #[serde(deserialize_with = "present")]
    pub names: Option<Vec<String>>,
    /// What clients are told that the password is for. `null`: the host that was asked for.
    #[serde(deserialize_with = "present")]
    pub realm: Option<String>,
    /// Name and password go no further than the edge.
    pub strip: bool,
}
