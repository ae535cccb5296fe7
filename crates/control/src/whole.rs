//! A request in a file, read as an edge reads one from the wire.

pub use everyhop_engine::exchange::whole::{NoWhole, Whole};
use everyhop_http1::Limits;

/// Reads the first request of `bytes` under what a head may cost.
pub fn read_request(bytes: &[u8], head_bytes: usize, fields: usize, target_bytes: usize) -> Result<Whole, NoWhole> {
    everyhop_engine::exchange::whole::read(bytes, &Limits { head_bytes, fields, target_bytes })
}
