//! Asking the inspector: a process of its own on this host, which has the rules and sees the requests of routes that want it. The
//! supervisor starts it and hands its socket here; a thread of its own speaks with it, and data threads wait for what it says of
//! one request. An inspector that is gone, or does not come to an end, is known by its socket; the next one is handed here again.
//! Read next: `frames.rs`, then `link.rs`.

pub mod frames;
mod link;

pub(crate) use link::{Answered, Unasked};
pub use link::{Inspectors, Link};
