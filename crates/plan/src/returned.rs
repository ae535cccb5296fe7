//! What becomes of what backends say of themselves, and of the cookies that they set.

use crate::present;
use serde::{Deserialize, Serialize};

/// Where a backend names itself in an answer: by a host or a path that its client knows by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locations {
    /// It is named as its client knows it.
    Rewrite,
    Keep,
}

/// What is added to each cookie that lacks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cookies {
    pub secure: bool,
    pub http_only: bool,
    #[serde(deserialize_with = "present")]
    pub same_site: Option<SameSite>,
    /// In the place of its own.
    #[serde(deserialize_with = "present")]
    pub path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

impl SameSite {
    /// As `Set-Cookie` has it.
    pub fn name(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}
