//! Collectors of telemetry, and what is sent to them: who has them reads of requests what stands here. The hop to one is as
//! that to a backend. Read next: `hop.rs`.

use crate::hop::Backend;
use serde::{Deserialize, Serialize};

/// Takes OTLP by HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    pub name: String,
    /// What stands before `/v1/traces`; empty where nothing does.
    pub under: String,
    pub backends: Vec<Backend>,
}

/// Which requests become spans, and what of them is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The name of a collector.
    pub collector: String,
    /// Of a million that nobody in front has decided about.
    pub ppm: u32,
    /// What takes as long until its answer begins is always kept.
    pub slow_ms: u32,
    /// `service.name`.
    pub service: String,
    /// What else is said of the edge in every message, by name.
    pub resource: Vec<Attribute>,
    /// Query strings are sent as well.
    pub query: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// Whether a route's requests become spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Traced {
    /// As the file says.
    AsFile {},
    /// None of them, and what a client says of a trace goes on as it came.
    Never {},
    /// As the file says, but for how many.
    Share { ppm: u32 },
}
