//! HTTP/2 (RFC 9113), either side of a connection, strict and without I/O: bytes in and events out, calls in and bytes out.
//!
//! A [`Connection`] is given what came, in order and however it was cut, and gives one [`Event`] after the other; what it has
//! to say itself it puts into its output, which the caller sends. It holds no body and queues no event: heads are decoded into
//! memory that each fills anew, bodies go by in pieces of the caller's own buffer, and the caller releases what it passed
//! on. In a steady state nothing is allocated.
//!
//! **Waiting.** Nothing blocks and nothing is called back. A body that a window or the output stops waits in the connection's
//! own order, and [`Connection::pop_ready`] names each stream that may go on, once: for a task to be woken. What came is told
//! by events, each once. A stream is the caller's until it says [`Connection::done`], however it ended: until then it counts
//! towards what a peer may have open where the peer reset it, and what was not released of it stays held.
//!
//! **Errors.** What a peer does to a stream ends the stream ([`Event::Broken`], RFC 9113 §5.4.2), what it does to the connection is
//! the error of [`Connection::next`] and ends all (§5.4.1); either is told to the peer first. What asks for work and carries
//! nothing is weighed where it is read, and forgiven as time goes by ([`Connection::at_ms`]).
//!
//! Server push is refused, priorities are read and not followed (§5.3.2). Which hosts and paths there are is not judged here, only
//! that they are such.
//!
//! Read next: `connection.rs`, what is kept; then `read.rs`, `heads.rs`, `data.rs`; `write.rs`, `turns.rs`; `ends.rs`.
//!
//! ```
//! use everyhop_http2::{Config, Connection, Event, Request};
//!
//! /// What `from` has to say, said to `to`.
//! fn pass(from: &mut Connection, to: &mut Vec<u8>) {
//!     to.extend_from_slice(from.output());
//!     from.sent(from.output().len());
//! }
//!
//! let (mut client, mut server) = (Connection::client(Config::client()), Connection::server(Config::server()));
//! let (mut up, mut down) = (Vec::new(), Vec::new());
//! let request = Request { method: b"GET", scheme: b"https", authority: b"a.test", path: b"/", ..Request::default() };
//! let stream = client.request(&request, true, |fields| assert!(fields.put(b"accept", b"*/*"))).expect("room for one");
//! pass(&mut client, &mut up);
//!
//! let mut at = 0;
//! while let Some(event) = server.next(&up, &mut at).expect("right frames") {
//!     if let Event::Head { stream, last: true } = event {
//!         assert_eq!((server.head().path(), server.head().get(b"accept")), (&b"/"[..], Some(&b"*/*"[..])));
//!         server.answer(stream, 200, false, |fields| assert!(fields.put(b"content-length", b"5"))).expect("open");
//!         assert_eq!(server.body(stream, b"hello", true), Ok(5));
//!         server.done(stream);
//!     }
//! }
//! pass(&mut server, &mut down);
//!
//! let (mut at, mut body) = (0, Vec::new());
//! while let Some(event) = client.next(&down, &mut at).expect("right frames") {
//!     if let Event::Data { bytes, .. } = event {
//!         body.extend_from_slice(bytes);
//!         client.release(stream, bytes.len());
//!     }
//! }
//! client.done(stream);
//! assert_eq!(body, b"hello");
//! ```

#![forbid(unsafe_code)]

mod budget;
mod config;
mod connection;
mod control;
mod data;
mod ends;
mod event;
mod fault;
mod fields;
mod frame;
mod goodbye;
mod head;
mod heads;
pub mod hpack;
mod message;
mod output;
mod read;
mod rules;
mod settings;
mod streams;
mod turns;
mod write;

pub use config::Config;
pub use connection::Connection;
pub use event::{Event, NoStream, NotSent, Ready};
pub use fault::{Code, Fault};
pub use fields::Fields;
pub use frame::PREFACE;
pub use head::{Field, Head};
pub use write::Request;
