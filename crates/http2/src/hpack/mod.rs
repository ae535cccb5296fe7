//! HPACK (RFC 7541): a head's fields out of a block and into one. Read next: `decode.rs`, then `encode.rs`.

mod codes;
mod decode;
mod encode;
mod huffman;
pub(crate) mod statics;
mod table;

pub use decode::Decoder;
pub use encode::Encoder;
pub(crate) use table::{ENTRY, TABLE};
