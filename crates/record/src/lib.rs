//! What is said about what happened: the closed list of refusals, what TLS came to, lines, the log, counters.
//! It decides nothing and opens nothing. Read next: `refusal.rs`, then `line.rs`.

#![forbid(unsafe_code)]

pub mod certificate;
mod combined;
pub mod counters;
pub mod der;
pub mod digest;
pub mod exchanges;
pub mod facts;
pub mod failure;
pub mod grpc;
pub mod inspected;
pub mod json;
pub mod kept;
pub mod line;
pub mod lines;
pub mod log;
pub mod order;
pub mod otlp;
mod picked;
pub mod printable;
pub mod reason;
pub mod refusal;
pub mod span;
pub mod spans;
pub mod times;
pub mod trouble;
