//! A thread of the engine: what it has of its own, what it shares with the others, and its loop.
//! Read next: `core.rs`, then `run.rs`.

pub(crate) mod checks;
pub mod core;
pub(crate) mod ids;
pub mod run;
pub mod shared;
pub(crate) mod sources;
