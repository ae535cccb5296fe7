//! The way to a backend: choose one, take an open connection or make a new one, and speak HTTP over it.
//! Upstream TLS verifies chain and name before a byte of the request is sent; nothing falls back to plaintext.
//! Read next: `choose.rs`, `connect.rs`, `pool.rs`, then `h1.rs` and `h2.rs`.

pub(crate) mod choose;
pub(crate) mod connect;
pub(crate) mod pool;
