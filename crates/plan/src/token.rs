//! Tokens that somebody else issues: whose are believed, and what a route wants of them.

use crate::hop::Backend;
use crate::present;
use serde::{Deserialize, Serialize};

/// Whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    pub name: String,
    /// As `iss` has it, to the letter.
    pub issuer: String,
    /// One of them stands in `aud`; sorted, never empty.
    pub audience: Vec<String>,
    /// Sorted, never empty.
    pub algorithms: Vec<Algorithm>,
    #[serde(rename = "type", deserialize_with = "present")]
    pub kind: Option<TokenType>,
    pub leeway_s: u32,
    pub keys: Keys,
}

/// By what a token may be signed (RFC 7518, RFC 8037): never by a secret that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "ES512")]
    Es512,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Of which type tokens must say to be; without a word on it `JWT`, `at+jwt` and nothing will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TokenType {
    #[serde(rename = "jwt")]
    Jwt,
    /// Access tokens (RFC 9068).
    #[serde(rename = "at+jwt")]
    Access,
}

/// Where an issuer's public keys come from. The engine is sent them as material, and opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Keys {
    File {
        path: String,
    },
    /// The supervisor fetches them, by a hop that is opened as one to a backend.
    Server {
        /// What a request there names as its host.
        authority: String,
        /// With its query, if it has one.
        path: String,
        backend: Box<Backend>,
    },
}

/// The token that a route asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Names of issuers; a token of any of them will do. Sorted.
    pub issuers: Vec<String>,
    /// Where a request has it.
    pub at: TokenFrom,
    /// All of them must hold.
    pub claims: Vec<ClaimMatch>,
    /// The token goes no further than the edge.
    pub strip: bool,
}

/// Where a request has its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenFrom {
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Authorization {},
    Cookie {
        name: String,
    },
    /// A field whose whole value it is, in lower case.
    Field {
        name: String,
    },
}

/// A claim with what it must be, or hold if it is a list: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMatch {
    /// Its name, each before the last one that of an object around it.
    pub path: Vec<String>,
    pub any: Vec<ClaimValue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClaimValue {
    Text { text: String },
    Whole { whole: i64 },
    Truth { truth: bool },
}
