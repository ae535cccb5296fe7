//! Every limit of the data path, by name and unit. Defaults and their reasons live with the configuration's model in
//! Python; a plan spells all of them out. A dependency's own default is never our decision.

use crate::present;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The ClientHello with its record headers.
    pub hello_bytes: u32,
    /// From accept to the end of the TLS handshake; for passthrough to the end of the hello.
    pub handshake_s: u32,
    /// A request or response head.
    pub head_bytes: u32,
    pub head_fields: u32,
    pub target_bytes: u32,
    /// From a request's first byte to the end of its head.
    pub head_s: u32,
    /// Longest silence of a client within a request's body, or of one that takes nothing of its answer.
    pub body_progress_s: u32,
    /// A request's body; 0: as long as it is.
    pub body_bytes: u64,
    /// Longest silence of a backend within an answer.
    pub answer_silence_s: u32,
    /// From a request's head to the end of its answer; 0: as long as it takes.
    pub total_s: u32,
    /// A client connection between requests.
    pub idle_s: u32,
    /// How long, and how much, is read and thrown away of what a client still sends after its last answer.
    pub linger_s: u32,
    pub linger_bytes: u32,
    /// How long an answer is waited for whose client has ended its own direction; 0: it is gone at once.
    pub half_closed_s: u32,
    /// TCP and TLS to a backend.
    pub connect_s: u32,
    /// From the request's end to the response head's first byte.
    pub first_byte_s: u32,
    /// A passthrough or upgraded connection without bytes.
    pub tunnel_idle_s: u32,
    /// A client's connection at all: passthrough and upgraded ones are cut, HTTP ends between two requests.
    pub max_age_s: u32,
    /// Idle backend connections: kept how long, and how many a backend and thread.
    pub upstream_idle_s: u32,
    pub upstream_idle_connections: u32,
    /// Consecutive failures before a backend is ejected, and for how long.
    pub eject_after: u32,
    pub eject_s: u32,
    pub informational_responses: u32,
    pub h2_streams: u32,
    pub h2_header_list_bytes: u32,
    pub h2_header_fields: u32,
    pub h2_stream_window_bytes: u32,
    pub h2_connection_window_bytes: u32,
    pub h2_resets: u32,
    /// Of one source (an IPv4 address, an IPv6 network of `source_ipv6_prefix` bits); 0 is no limit.
    pub connections_per_source: u32,
    /// New TLS connections a second.
    pub handshakes_per_source: u32,
    pub source_ipv6_prefix: u32,
}

/// How much of one route is under way at once, and how many requests wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Most {
    /// Open to each backend, whatever route they are of; `null`: as many as it takes.
    #[serde(deserialize_with = "present")]
    pub connections: Option<u32>,
    /// `null`: as many as come.
    #[serde(deserialize_with = "present")]
    pub requests: Option<u32>,
    pub waiting: u32,
    pub wait_s: u32,
}

impl Most {
    /// As many requests are under way and wait by both.
    pub fn lets_as_many(&self, other: &Most) -> bool {
        (self.requests, self.waiting, self.wait_s) == (other.requests, other.waiting, other.wait_s)
    }
}

/// When a request that a backend did not answer well goes to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often it is sent in all.
    pub attempts: u32,
    /// After which answers: some of 502, 503 and 504, sorted.
    pub on: Vec<u16>,
    /// A try whose answer has not begun by then is over, where another may follow. `null`: `first_byte_s` alone ends it.
    #[serde(deserialize_with = "present")]
    pub per_try_s: Option<u32>,
    /// Of the requests under way as many in a hundred, and three at least, may be such that go again.
    pub budget_percent: u32,
}

/// What holds for the requests and hops of one route instead of the file's; `null` where the file's holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteLimits {
    #[serde(deserialize_with = "present")]
    pub connect_s: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub first_byte_s: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub body_progress_s: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub body_bytes: Option<u64>,
    #[serde(deserialize_with = "present")]
    pub answer_silence_s: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub total_s: Option<u32>,
    #[serde(deserialize_with = "present")]
    pub tunnel_idle_s: Option<u32>,
}

impl RouteLimits {
    /// The file's limits with the route's own; `None` where it has none of its own.
    pub fn over(&self, file: &Limits) -> Option<Limits> {
        let own = Limits {
            connect_s: self.connect_s.unwrap_or(file.connect_s),
            first_byte_s: self.first_byte_s.unwrap_or(file.first_byte_s),
            body_progress_s: self.body_progress_s.unwrap_or(file.body_progress_s),
            body_bytes: self.body_bytes.unwrap_or(file.body_bytes),
            total_s: self.total_s.unwrap_or(file.total_s),
            answer_silence_s: self.answer_silence_s.unwrap_or(file.answer_silence_s),
            tunnel_idle_s: self.tunnel_idle_s.unwrap_or(file.tunnel_idle_s),
            ..file.clone()
        };
        (own != *file).then_some(own)
    }
}
