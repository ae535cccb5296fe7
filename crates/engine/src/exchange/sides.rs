//! The two sides of an exchange, as each is for the other: what a client's side must be able to do, and what a backend's.
//! Read next: `both_ways.rs`, which knows no more of them.

use crate::exchange::asked::Asked;
use crate::exchange::edits::Shaping;
use crate::exchange::words::{Built, Fields, Gone, Got, Meta};
use everyhop_plan::{Coding, Limits};
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use http::HeaderMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// True if the client left by now.
pub(crate) async fn is_gone(client: &mut impl Client) -> bool {
    poll_fn(|cx| Poll::Ready(client.poll_gone(cx).is_ready())).await
}

/// The client's side of one request.
pub(crate) trait Client {
    /// Appends decoded bytes of the request's body.
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>>;
    /// The body is wanted now: a client that waits to be asked for it is.
    fn wants_body(&mut self) {}
    /// The request's trailers, once after [`Got::End`].
    fn trailers(&mut self) -> Option<HeaderMap>;
    /// Ready when the client left while it only waits.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    fn informational(&mut self, status: u16, fields: &impl Fields);
    /// Queues the response's head.
    fn head(&mut self, meta: &Meta, fields: &impl Fields);
    /// Ready when the next piece of the response's body can be taken: before that none is read, so that a slow reader
    /// holds one buffer and not three.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
    /// Takes bytes of the response's body; Pending while there is no room.
    fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>>;
    /// It can be told where a body ends whose length is not known.
    fn frames(&self) -> bool {
        true
    }
    /// The response's body is complete.
    fn finish(&mut self, trailers: Option<HeaderMap>);
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
    /// Bytes that its socket took so far, where that is one request's at a time.
    fn sent(&self) -> u64 {
        0
    }
    /// Sends what waits as far as that socket takes it now; whether it took any.
    fn pushes(&mut self) -> bool {
        false
    }
    /// What a call of gRPC was told so far.
    fn grpc(&self) -> Option<u8> {
        None
    }
}

/// The backend's side of one request.
pub(crate) trait Backend {
    /// Queues the request's head.
    fn start(&mut self, built: &Built, asked: &Asked);
    /// What is known of the connection.
    fn facts(&self) -> Rc<HopFragment>;
    /// A byte of an answer came.
    fn answered(&self) -> bool;
    /// The backend says that it did not look at the request.
    fn was_unprocessed(&self) -> bool;
    /// Takes bytes of the request's body.
    fn poll_send(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Refusal>>;
    /// The request's body is complete.
    fn finish(&mut self, trailers: Option<HeaderMap>);
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>>;
    /// As [`Client::sent`].
    fn sent(&self) -> u64;
    /// As [`Client::pushes`].
    fn pushes(&mut self) -> bool;
    /// The next head: informational or final.
    fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>>;
    /// Hands the head that was just read to the client's side, perhaps shaped; the coding is that in which its body has to
    /// follow.
    fn give_head(&mut self, meta: &Meta, client: &mut impl Client, by: Option<Shaping<'_>>) -> Option<Coding>;
    fn give_informational(&mut self, status: u16, client: &mut impl Client);
    /// Appends decoded bytes of the response's body.
    fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Buf, limits: &Limits) -> Poll<Result<Got, Refusal>>;
    /// The response's trailers, once after [`Got::End`].
    fn trailers(&mut self) -> Option<HeaderMap>;
}
