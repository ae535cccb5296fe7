//! A client whose request's body was read before anybody took it: what is held goes first, what is still to come follows. Nothing
//! else of it is another. Read next: `inspected.rs`, which holds it.

use crate::exchange::sides::Client;
use crate::exchange::words::{Fields, Gone, Got, Meta};
use everyhop_record::refusal::Refusal;
use everyhop_running::waf::HeldBytes;
use everyhop_transport::buf::Buf;
use http::HeaderMap;
use std::task::{Context, Poll};

/// What was read of a body.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) body: Buf,
    /// That is all of it.
    pub(crate) is_whole: bool,
    /// Behind it, once it is whole.
    pub(crate) trailers: Option<HeaderMap>,
    /// As what its policy counts it.
    pub(crate) counted: Option<HeldBytes>,
}

pub(crate) struct Holding<'a, C> {
    pub(crate) client: &'a mut C,
    pub(crate) held: Box<Held>,
}

impl<C: Client> Client for Holding<'_, C> {
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        let n = self.held.body.len();
        if n > 0 {
            into.take_from(&mut self.held.body, n);
            self.held.counted = None;
            return Poll::Ready(Ok(Got::Some));
        }
        if self.held.is_whole { Poll::Ready(Ok(Got::End)) } else { self.client.poll_body(cx, into) }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        if self.held.is_whole { self.held.trailers.take() } else { self.client.trailers() }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.client.poll_gone(cx)
    }

    fn informational(&mut self, status: u16, fields: &impl Fields) {
        self.client.informational(status, fields);
    }

    fn head(&mut self, meta: &Meta, fields: &impl Fields) {
        self.client.head(meta, fields);
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.client.poll_room(cx)
    }

    fn sent(&self) -> u64 {
        self.client.sent()
    }

    fn pushes(&mut self) -> bool {
        self.client.pushes()
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>> {
        self.client.poll_take(cx, from)
    }

    fn frames(&self) -> bool {
        self.client.frames()
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        self.client.finish(trailers);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.client.poll_flush(cx)
    }

    fn grpc(&self) -> Option<u8> {
        self.client.grpc()
    }
}
