//! A connection of HTTP/2 over a wire: one task moves its bytes, and each stream is a handle that the task of its request
//! holds. What frames mean is `everyhop-http2`'s to say; here is who is woken, and what waits for whom.
//! Read next: `talk.rs`, how they see it; `shared.rs`, what they share; `mover.rs`, the task's part; `stream.rs`, a request's.

mod asking;
mod inbox;
mod mover;
mod shared;
mod stream;
mod talk;

pub use asking::Asking;
pub use inbox::{Lost, Trailers};
pub use mover::{Came, Ends, Incoming, Mover, Tap, Untaken};
pub use stream::{Answered, Stream};
pub use talk::{Ended, Talk};
