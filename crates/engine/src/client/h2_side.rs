//! The client's side of one HTTP/2 request: its body in, its answer out, and what is still sent when it was answered.
//! Read next: `h2.rs`, the connection.

use crate::client::answer::{Answer, HSTS, unavailable, with_date};
use crate::client::conn::Conn;
use crate::client::h1::SILENT_SENDING_S;
use crate::client::windows::Loan;
use crate::exchange::carry::Carrier;
use crate::exchange::ends::Stream;
use crate::exchange::sides::Client;
use crate::exchange::streams::{poll_recv, poll_send_some};
use crate::exchange::trailers::{TooLong, of_h2, of_request};
use crate::exchange::words::{Behind, BodyLen, Fields, Gone, Got, Meta};
use bytes::Bytes;
use everyhop_http1::FieldId;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::h2_marks::Secret;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The client's side of one request.
pub(super) struct H2 {
    conn: Rc<Conn>,
    body: RecvStream,
    /// What the client may send of it beyond what its connection has.
    loan: Option<Loan>,
    respond: SendResponse<Bytes>,
    /// Of a call of gRPC: its status, once it was told.
    told: Option<Option<u8>>,
    /// Of the mark behind its trailers.
    secret: Secret,
    send: Option<SendStream<Bytes>>,
    /// Bytes of a response that are still to be sent, where its length is known and nothing follows it: the last of
    /// them ends the stream.
    left: Option<u64>,
    trailers: Option<HeaderMap>,
    done: bool,
}

impl H2 {
    /// `secret`: of the mark behind its trailers.
    pub(super) fn new(
        conn: Rc<Conn>,
        (body, loan): (RecvStream, Option<Loan>),
        respond: SendResponse<Bytes>,
        secret: Secret,
        is_grpc: bool,
    ) -> H2 {
        let told = is_grpc.then_some(None);
        H2 { conn, body, loan, respond, secret, told, send: None, left: None, trailers: None, done: false }
    }

    /// Something of the request is still to come.
    pub(super) fn is_sending(&self) -> bool {
        !self.body.is_end_stream()
    }

    pub(super) fn answer(&mut self, it: &Answer) {
        self.head(&it.meta, it);
        if let Some(send) = &mut self.send
            && !it.body.is_empty()
        {
            // Short, and flow control is `h2`'s: it goes out as the window allows.
            let _ = send.send_data(it.body.clone(), true);
        }
    }

    /// A call that had begun ends with a status that says to try again, and not as if something had crashed.
    pub(super) fn cut_short(&mut self) {
        match &mut self.send {
            Some(send) if !self.done => {
                if send.send_trailers(unavailable()).is_err() {
                    self.reset();
                }
            }
            _ => self.reset(),
        }
    }

    /// Reads and throws away what is still sent of a request that is answered, as HTTP/1 does: some clients read nothing
    /// before they have sent everything, and a reset takes the answer from others. Who sends on is then told to stop, by
    /// RST_STREAM(NO_ERROR) (RFC 9113 §8.1).
    pub(super) async fn linger(&mut self) {
        let conn = self.conn.clone();
        let arrived = &conn.opened.arrived;
        let (watch, now_ms, limits) = (arrived.core.watch(), &arrived.core.clock().now_ms, arrived.running.limits());
        let until_ms = now_ms.get() + u64::from(limits.linger_s) * 1000;
        let wait = || watch.at_ms(until_ms.min(now_ms.get() + u64::from(SILENT_SENDING_S) * 1000));
        wait();
        let mut left = u64::from(limits.linger_bytes);
        poll_fn(|cx| {
            loop {
                match self.body.poll_data(cx) {
                    Poll::Ready(Some(Ok(some))) if some.len() as u64 <= left && !watch.is_late() => {
                        left -= some.len() as u64;
                        let n = self.loan.as_mut().map_or(some.len(), |it| it.came(some.len()));
                        if self.body.flow_control().release_capacity(n).is_err() {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if conn.is_overdue() => return Poll::Ready(()),
                    Poll::Pending => return watch.poll_late(cx).map(drop),
                }
                wait();
            }
        })
        .await;
    }

    /// Nothing more is read of its body.
    pub(super) fn end(self) {
        if let Some(loan) = self.loan {
            loan.end(self.body);
        }
    }

    /// Both directions of what became a tunnel.
    pub(super) fn into_stream(self) -> Option<Stream> {
        Some(Stream { recv: self.body, send: self.send? })
    }

    fn tell(&mut self, fields: &HeaderMap) {
        if let Some(told) = &mut self.told
            && let Some(value) = fields.get("grpc-status")
        {
            *told = Some(grpc::read(value.as_bytes()));
        }
    }

    pub(super) fn reset(&mut self) {
        match &mut self.send {
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// A response's head with the fields that `goes` lets through.
fn response(status: u16, fields: &impl Fields, mut goes: impl FnMut(FieldId) -> bool) -> Response<()> {
    let mut it = Response::new(());
    *it.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = it.headers_mut();
    headers.reserve(12);
    fields.each(|id, name, value| {
        if !goes(id) {
            return;
        }
        // Our own codec has checked both; what HTTP/2 cannot carry all the same is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    });
    it
}

impl Client for H2 {
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        let H2 { body, loan, .. } = self;
        match ready!(poll_recv(body, cx, into, |n| loan.as_mut().map_or(n, |it| it.came(n)))) {
            Ok((got, trailers)) => {
                let limits = self.conn.opened.arrived.running.limits();
                self.trailers = match trailers.map(|map| of_h2(&map, &self.secret, limits)).transpose() {
                    Ok(trailers) => trailers.flatten().map(of_request),
                    Err(TooLong) => return Poll::Ready(Err(Refusal::TrailersTooLong)),
                };
                Poll::Ready(Ok(got))
            }
            Err(e) if e.reason() == Some(Reason::PROTOCOL_ERROR) => Poll::Ready(Err(Refusal::BodyMalformed)),
            Err(_) => Poll::Ready(Err(Refusal::ClientGone)),
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done {
            return Poll::Pending;
        }
        match &mut self.send {
            Some(send) => send.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }

    fn informational(&mut self, status: u16, fields: &impl Fields) {
        // A stream that is gone shows when the final head is sent.
        let _ = self.respond.send_informational(response(status, fields, |id| id != FieldId::ContentLength));
    }

    fn head(&mut self, meta: &Meta, fields: &impl Fields) {
        // A tunnel: HTTP/2 has no switch of protocols, and says yes by 200 (RFC 8441 §4).
        let opens = meta.status == 101;
        let status = if opens { 200 } else { meta.status };
        let (mut dated, rewritten) = (false, meta.body != BodyLen::None || matches!(meta.status, 101 | 204));
        let mut it = response(status, fields, |id| {
            dated |= id == FieldId::Date;
            id != FieldId::ContentLength || !rewritten
        });
        let headers = it.headers_mut();
        if let BodyLen::Known(n) = meta.body {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(n));
        }
        if !dated {
            let now = self.conn.opened.arrived.core.clock().unix_s.get();
            if let Ok(date) = with_date(now, HeaderValue::from_bytes) {
                headers.insert(http::header::DATE, date);
            }
        }
        if let Some(Ok(hsts)) = self.conn.hsts.borrow().as_deref().map(HeaderValue::from_str) {
            // In the place of whatever the backend said.
            headers.insert(HSTS, hsts);
        }
        let ends = match meta.body {
            BodyLen::None => !opens,
            BodyLen::Known(0) => meta.behind == Behind::Nothing,
            _ => false,
        };
        self.done = ends;
        self.left = match (meta.body, meta.behind) {
            (BodyLen::Known(n), Behind::Nothing) => Some(n),
            _ => None,
        };
        self.tell(it.headers());
        self.send = self.respond.send_response(it, ends).ok();
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        // The end of a body needs no window, so a piece is read ahead; it is a small one (see `Wire::greedy`).
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Err(Gone)) };
        let before = from.len() as u64;
        let last = self.left == Some(before);
        if ready!(poll_send_some(send, cx, from, last)).is_err() {
            return Poll::Ready(Err(Gone));
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(before - from.len() as u64);
            self.done = *left == 0;
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        if self.done {
            return;
        }
        self.done = true;
        if let Some(map) = &trailers {
            self.tell(map);
        }
        if let Some(send) = &mut self.send {
            // Short of the declared length `h2` resets the stream: never a complete short body.
            let _ = match trailers {
                Some(map) => send.send_trailers(map),
                None => send.send_data(Bytes::new(), true),
            };
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(if self.send.is_some() || !self.done { Ok(()) } else { Err(Gone) })
    }

    fn grpc(&self) -> Option<u8> {
        self.told.flatten()
    }
}
