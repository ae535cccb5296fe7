//! A body in a stream of HTTP/2, for both sides: sent as the peer's window takes it, received with room for more given at
//! once. It knows no connection. Read next: `body.rs`, the same of HTTP/1.

use crate::exchange::words::Got;
use bytes::Bytes;
use everyhop_transport::buf::Buf;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use std::task::{Context, Poll, ready};

/// A declared length; `h2` has refused what is not one.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Sends as much of `from` as the peer's window takes now, at least a byte. `last`: with it the stream ends.
pub(crate) fn poll_send_some(
    send: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
    from: &mut Buf,
    last: bool,
) -> Poll<Result<(), h2::Error>> {
    send.reserve_capacity(from.len());
    while send.capacity() == 0 {
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(e)) => return Poll::Ready(Err(e)),
            None => return Poll::Ready(Err(Reason::CANCEL.into())),
        }
    }
    let n = send.capacity().min(from.len());
    let bytes = Bytes::copy_from_slice(from.bytes().get(..n).unwrap_or_default());
    let all = n == from.len();
    from.consume_keep(n);
    Poll::Ready(send.send_data(bytes, last && all))
}

/// Receives a piece of a body, or its end with its trailers. What was received makes room for more at once: the caller
/// asks only when it has passed the piece before on. `room`: how much of it is made room for, of so many bytes.
pub(crate) fn poll_recv(
    recv: &mut RecvStream,
    cx: &mut Context<'_>,
    into: &mut Buf,
    mut room: impl FnMut(usize) -> usize,
) -> Poll<Result<(Got, Option<HeaderMap>), h2::Error>> {
    loop {
        match ready!(recv.poll_data(cx)) {
            Some(Ok(bytes)) => {
                recv.flow_control().release_capacity(room(bytes.len()))?;
                if !bytes.is_empty() {
                    into.push(&bytes);
                    return Poll::Ready(Ok((Got::Some, None)));
                }
            }
            Some(Err(e)) => return Poll::Ready(Err(e)),
            None => {
                let trailers = ready!(recv.poll_trailers(cx))?;
                return Poll::Ready(Ok((Got::End, trailers)));
            }
        }
    }
}
