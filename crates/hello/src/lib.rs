//! What the client said: a ClientHello from bytes, and the first record of a server's answer; and before it, what protocols
//! say that begin in the clear (`clear`). No I/O, no decision.
//!
//! It reads only what routing and evidence need (SNI, ALPN, whether ECH was offered; version, suite and group of the
//! answer) and is tolerant of the rest, because a passthrough hello is only forwarded. What cannot be read is told
//! apart from what is not there: unreadable is never "no SNI". Read next: `client.rs`, `server.rs`, `sni.rs`.

#![forbid(unsafe_code)]

mod bytes;
pub mod clear;
mod client;
mod names;
mod server;
mod sni;

pub use client::{Hello, Peeked, Unreadable, read};
pub use names::{group_name, suite_name, version_name};
pub use server::{ServerFirst, ServerHello, first_server_record};
pub use sni::{Invalid, Sni, host_name};
