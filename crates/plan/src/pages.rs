//! Which page of an operator's an error of the edge's own is told by, to who prefers HTML. Read next: `given.rs`.

use serde::{Deserialize, Serialize};

/// Of errors from the first status to the last, both within. Of several the first that fits is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    pub first: u16,
    pub last: u16,
    /// A file's content, which is material: `page/...`.
    pub page: String,
}
