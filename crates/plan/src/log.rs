//! What is written down of requests and connections: where, in which form, and what happens when it cannot keep up.
//! The supervisor opens the files and hands the descriptors over: the engine opens none.

use crate::{Plan, present};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub access: AccessLog,
    pub form: LogForm,
    pub on_full: OnFull,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum AccessLog {
    Off {},
    Stdout {},
    File { path: String },
}

impl AccessLog {
    /// What the place is called by whoever hands its descriptor over; `None` where nothing is written.
    pub fn place(&self) -> Option<&str> {
        match self {
            AccessLog::Off {} => None,
            AccessLog::Stdout {} => Some(STDOUT),
            AccessLog::File { path } => Some(path),
        }
    }
}

/// What standard output is called where places are.
pub const STDOUT: &str = "stdout";

/// How a line is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogForm {
    Json {
        /// In this order; `header:` and a name is a field of the request. `null`: all that a line has by itself.
        #[serde(deserialize_with = "present")]
        fields: Option<Vec<String>>,
    },
    Combined {},
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// Drop the line and count it.
    Drop,
    /// Refuse new requests until there is room.
    Refuse,
}

/// What a route does otherwise than the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RouteLog {
    /// What went as decided leaves no line; anything else goes where the file says.
    Quiet {},
    Own {
        access: AccessLog,
        form: LogForm,
    },
}

impl Plan {
    /// Every place that lines go to, once: the file's own first, then those of routes in their order.
    pub fn log_places(&self) -> Vec<&str> {
        let own = self.routes.iter().filter_map(|r| match &r.log {
            Some(RouteLog::Own { access, .. }) => access.place(),
            Some(RouteLog::Quiet {}) | None => None,
        });
        let mut found: Vec<&str> = Vec::new();
        for place in self.log.access.place().into_iter().chain(own) {
            if !found.contains(&place) {
                found.push(place);
            }
        }
        found
    }
}
