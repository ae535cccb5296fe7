//! A body in a stream of HTTP/2, for both sides: received with room for more given at once. It knows no connection.
//! Read next: `body.rs`, the same of HTTP/1.

use crate::exchange::words::Got;
use everyhop_transport::buf::Buf;
use everyhop_transport::h2::{Lost, Stream, Trailers};
use std::task::{Context, Poll, ready};

/// Receives a piece of a body, or its end with its trailers. What was received makes room for more at once: the caller
/// asks only when it has passed the piece before on. `room`: how much of it is made room for, of so many bytes.
pub(crate) fn poll_recv(
    stream: &mut Stream,
    cx: &Context<'_>,
    into: &mut Buf,
    mut room: impl FnMut(usize) -> usize,
) -> Poll<Result<(Got, Option<Trailers>), Lost>> {
    match ready!(stream.poll_body(cx, into))? {
        0 => Poll::Ready(Ok((Got::End, stream.take_trailers()))),
        n => {
            stream.release(room(n));
            Poll::Ready(Ok((Got::Some, None)))
        }
    }
}
