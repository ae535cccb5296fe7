//! The engine's core as a playbook: what a connection does at exactly its limits, when a backend fails, when the plan is
//! another one. Over sockets in memory and a clock that the test moves; no test waits. Read next: `stage.rs`.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod backends;
mod deadlines;
mod http2;
mod plan;
mod plans;
mod slow;
mod stage;
mod tunnels;
