//! HTTP/1.1 heads and bodies, strict by RFC 9112: read in one pass, without allocation per message, without I/O.
//!
//! What could be read in two ways is refused, never repaired, because what an edge repairs a backend may read otherwise.
//! Heads keep offsets into the caller's buffer; nothing is copied until it is written afresh for the other side.
//! Read next: `request.rs`, then `line.rs`, `framing.rs`, `chunked.rs`.

#![forbid(unsafe_code)]

mod chunked;
mod framing;
mod line;
mod names;
mod refused;
mod request;
mod response;
pub mod write;

pub use chunked::{Chunk, Chunked};
pub use framing::{Connection, Framing};
pub use line::{Field, Limits, Parsed, Span, is_token};
pub use names::{FieldId, binds_the_connection, field_id, is_twin};
pub use refused::Refused;
pub use request::RequestHead;
pub use response::ResponseHead;
