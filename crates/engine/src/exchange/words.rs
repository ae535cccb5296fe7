//! The words in which a client's side and a backend's side speak to each other of one request and its answer, whichever
//! protocol each of them has on the wire. Nothing is read or written here. Read next: `both_ways.rs`.

use crate::exchange::asked::Asked;
use everyhop_http1::FieldId;
use everyhop_plan::Limits;
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use http::{HeaderMap, Request};
use std::rc::Rc;
use std::task::{Context, Poll};

/// A step of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    Some,
    End,
}

/// What a head says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLen {
    None,
    Known(u64),
    Unknown,
}

/// The fields of a head or trailer, from either protocol.
pub(crate) trait Fields {
    fn each(&self, f: impl FnMut(FieldId, &[u8], &[u8]));
}

/// A final response head, without its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) status: u16,
    /// `None` where the status or the method allows no body.
    pub(crate) body: BodyLen,
    pub(crate) behind: Behind,
}

/// What may follow a body's last byte: a length that is declared says nothing of trailers in HTTP/2 (RFC 9113 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    PerhapsTrailers,
}

/// The client left: its side takes no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone;

/// The client's side of one request.
pub(crate) trait Client {
    /// Appends decoded bytes of the request's body.
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>>;
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
    /// The response's body is complete.
    fn finish(&mut self, trailers: Option<HeaderMap>);
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
}

/// A head for the backend, ready to be sent, once or again.
pub(crate) enum Built {
    H1(Vec<u8>),
    H2(Box<Request<()>>),
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
    /// The next head: informational or final.
    fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>>;
    /// Hands the head that was just read to the client's side.
    fn give_head(&mut self, meta: &Meta, client: &mut impl Client);
    fn give_informational(&mut self, status: u16, client: &mut impl Client);
    /// Appends decoded bytes of the response's body.
    fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>>;
    /// The response's trailers, once after [`Got::End`].
    fn trailers(&mut self) -> Option<HeaderMap>;
}
