//! The way to a backend: choose one, take an open connection or make a new one, and speak HTTP over it.
//! Upstream TLS verifies chain and name before a byte of the request is sent; nothing falls back to plaintext.
//! It knows no client and no thread. Read next: `reach.rs`, then `choose.rs`, `connect.rs`, `pool.rs`.

pub(crate) mod ask;
pub(crate) mod ask_call;
pub(crate) mod check;
pub(crate) mod check_asks;
pub(crate) mod check_kept;
pub(crate) mod check_text;
pub(crate) mod choose;
pub(crate) mod connect;
pub(crate) mod greeting;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod h2_task;
pub(crate) mod heard;
pub(crate) mod link;
pub(crate) mod pool;
pub(crate) mod preface;
pub(crate) mod probe;
pub(crate) mod reach;
pub(crate) mod spread;
pub(crate) mod streams;
pub(crate) mod up;
