//! Doing it: accept, peek, decide, splice or terminate, admit, carry, observe; one thread a core.
//!
//! The way of a connection on one page is `connection.rs`, that of a request `client/request.rs`; `LIFECYCLE.md` beside
//! this tells both in prose. The engine opens no file, resolves no name and talks to no supervisor: `everyhop-control`
//! hands it what it needs. Each folder only looks down; `tests/arrows.rs` says in which order they stand.

#![forbid(unsafe_code)]

mod accept;
pub mod admit;
mod arrived;
mod backend;
mod challenged;
mod client;
mod connection;
pub mod exchange;
pub mod export;
pub mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod head;
pub mod inspect;
mod peek;
mod plain;
mod refuse;
mod splice;
mod starttls;
pub mod store;
mod stream;
mod terminate;
pub mod worker;

use crate::worker::run::Order;
use crate::worker::shared::Shared;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// Runs one thread of the engine until the process ends: what its orders tell it to accept, it serves.
pub fn run(index: usize, shared: Arc<Shared>, orders: UnboundedReceiver<Order>) -> std::io::Result<()> {
    worker::run::run(index, shared, orders, |core, listener, socket| {
        tokio::task::spawn_local(accept::run(core, listener, socket, connection::serve))
    })
}
