//! What a route changes in the fields of a head on its way: of a request to the backend, of an answer to the client.
//! Names are in lower case, and none of them frames a message, concerns one connection, or says who the client is.

use serde::{Deserialize, Serialize};

/// Removed first, then set (in place of whatever was there), then added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    pub remove: Vec<String>,
    pub set: Vec<Edit>,
    pub add: Vec<Edit>,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A field with its value in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    pub name: String,
    pub value: Vec<Piece>,
}

/// A piece of a value: written, or known when the request is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Piece {
    Text {
        text: String,
    },
    Of {
        of: Variable,
    },
    /// Of the token that its route asked for: the claim's name, each before the last one that of an object around it.
    Claim {
        path: Vec<String>,
    },
    /// The name that its route asked for with its password.
    User {},
    /// Of the answer of whoever was asked whether the request may pass: the values of that field.
    Answer {
        name: String,
    },
}

/// What of a request can stand in a value; empty where it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variable {
    /// As trusted proxies vouch for it.
    #[serde(rename = "client.address")]
    ClientAddress,
    /// The first name of its verified certificate.
    #[serde(rename = "client.name")]
    ClientName,
    #[serde(rename = "tls.version")]
    TlsVersion,
    #[serde(rename = "request.id")]
    RequestId,
    /// In its canonical form, without port.
    #[serde(rename = "host")]
    Host,
    /// As it came.
    #[serde(rename = "path")]
    Path,
    /// With its question mark.
    #[serde(rename = "query")]
    Query,
    #[serde(rename = "method")]
    Method,
}
