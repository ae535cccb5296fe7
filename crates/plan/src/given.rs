//! What the edge answers itself on a route that has nothing behind it: where it leads a client, or what it tells one.
//! A target that a client is led to begins with `https://` and a name, or with `/` and no second slash: the compiler holds
//! it to that, so that nothing a client sends can name another server. Read next: `edits.rs`, for the pieces.

use crate::edits::{Edit, Piece};
use crate::present;
use serde::{Deserialize, Serialize};

/// An answer of the edge's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    pub status: u16,
    /// The value of Location. `null`: the client is led nowhere.
    #[serde(deserialize_with = "present")]
    pub location: Option<Vec<Piece>>,
    /// Names are in lower case, and none of them frames a message.
    pub fields: Vec<Edit>,
    pub body: Content,
}

/// What stands in the body of an answer of the edge's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    Nothing {},
    Words {
        text: String,
    },
    /// A file's content, which is material: `page/...`.
    Page {
        page: String,
    },
}
