//! Bytes and time: buffers, clocks and deadlines, shares of descriptors, TLS sessions, one side of a connection.
//! It knows no plan, no HTTP but the frames of HTTP/2, and nobody's reasons. Read next: `side.rs`, then `deadlines.rs`.

pub mod alarm;
pub mod buf;
pub mod clock;
pub mod deadlines;
pub mod h2;
pub mod line;
pub mod pipe;
pub mod shares;
pub mod side;
pub mod sock;
pub mod thread;
pub mod ticker;
pub mod tls;
