//! The client's side of one HTTP/2 request: its body in, its answer out, and what is still sent when it was answered.
//! Read next: `h2.rs`, the connection.

use crate::client::answer::{Answer, HSTS, unavailable, with_date};
use crate::client::conn::Conn;
use crate::client::h1_conn::SILENT_SENDING_S;
use crate::client::windows::Loan;
use crate::exchange::carry::Carrier;
use crate::exchange::sides::Client;
use crate::exchange::streams::poll_recv;
use crate::exchange::trailers::{TooLong, into_h2, of_h2, of_request};
use crate::exchange::words::{Behind, BodyLen, Fields, Gone, Got, Meta};
use everyhop_http1::FieldId;
use everyhop_http2::{Code, Fields as Written, Head};
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::h2::{Lost, Stream};
use http::HeaderMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The client's side of one request.
pub(super) struct H2 {
    conn: Rc<Conn>,
    stream: Stream,
    /// What the client may send of it beyond what its connection has.
    loan: Option<Loan>,
    /// It has a body and waits to be told that this is wanted.
    pub(super) expects: bool,
    /// That has to be told here, before the body is waited for: no backend will.
    pub(super) owes_continue: bool,
    /// Of a call of gRPC: its status, once it was told.
    told: Option<Option<u8>>,
    /// Its answer's final head was sent.
    answered: bool,
    /// Of an answer of the edge's own, what is still to be sent; it ends the stream.
    own: Buf,
    /// Bytes of a response that are still to be sent, where its length is known and nothing follows it: the last of
    /// them ends the stream.
    left: Option<u64>,
    trailers: Option<HeaderMap>,
    done: bool,
}

impl H2 {
    pub(super) fn new(conn: Rc<Conn>, (stream, loan): (Stream, Option<Loan>), is_grpc: bool) -> H2 {
        let told = is_grpc.then_some(None);
        H2 {
            conn,
            stream,
            loan,
            expects: false,
            owes_continue: false,
            told,
            answered: false,
            own: Buf::default(),
            left: None,
            trailers: None,
            done: false,
        }
    }

    /// Memory that the next request's head takes.
    pub(super) fn keep(&self, head: Head) {
        self.stream.keep(head);
    }

    /// Something of the request is still to come.
    pub(super) fn is_sending(&self) -> bool {
        !self.stream.is_ended()
    }

    pub(super) fn answer(&mut self, it: &Answer) {
        self.head(&it.meta, it);
        if !self.done && !it.body.is_empty() {
            self.own.push(&it.body);
            self.done = self.stream.send_now(&mut self.own, true).is_err() || self.own.is_empty();
        }
    }

    /// The client's window took no more of an answer of the edge's own.
    pub(super) fn owes(&self) -> bool {
        !self.own.is_empty() && !self.done
    }

    /// What is left of it goes as the window takes it.
    #[cold]
    pub(super) async fn pay(&mut self) {
        let conn = self.conn.clone();
        let arrived = &conn.opened.arrived;
        let (watch, limits) = (arrived.core.watch(), arrived.running.limits());
        watch.within_s(limits.body_progress_s);
        let H2 { stream, own, .. } = self;
        let sent = poll_fn(|cx| {
            loop {
                match stream.poll_send(cx, own, true) {
                    Poll::Ready(Ok(())) if own.is_empty() => return Poll::Ready(true),
                    Poll::Ready(Ok(())) => watch.within_s(limits.body_progress_s),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return watch.poll_late(cx).map(|_| false),
                }
            }
        })
        .await;
        if !sent {
            stream.reset(Code::CANCEL);
        }
        self.done = true;
    }

    /// A call that had begun ends with a status that says to try again, and not as if something had crashed.
    pub(super) fn cut_short(&mut self) {
        let may = self.answered && !self.done;
        if !may || self.stream.trailers(|fields| into_h2(&unavailable(), fields)).is_err() {
            self.reset();
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
        let mut some = Buf::default();
        poll_fn(|cx| {
            loop {
                match self.stream.poll_body(cx, &mut some) {
                    Poll::Ready(Ok(n @ 1..)) if n as u64 <= left && !watch.is_late() => {
                        left -= n as u64;
                        some.consume_keep(n);
                        let n = self.loan.as_mut().map_or(n, |it| it.came(n));
                        self.stream.release(n);
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
            loan.end(self.stream);
        }
    }

    /// Both directions of what became a tunnel.
    pub(super) fn into_stream(self) -> Option<Stream> {
        self.answered.then_some(self.stream)
    }

    fn tell(&mut self, fields: &HeaderMap) {
        if let Some(told) = &mut self.told
            && let Some(value) = fields.get("grpc-status")
        {
            *told = Some(grpc::read(value.as_bytes()));
        }
    }

    pub(super) fn reset(&mut self) {
        self.stream.reset(Code::INTERNAL_ERROR);
    }
}

/// The fields that `goes` lets through; what HTTP/2 cannot carry all the same the codec leaves out.
fn write(fields: &impl Fields, out: &mut Written<'_>, mut goes: impl FnMut(FieldId, &[u8], &[u8]) -> bool) {
    let is_secret = fields.has_secrets();
    fields.each(|id, name, value| match goes(id, name, value) {
        true if is_secret => drop(out.put_secret(name, value)),
        true => drop(out.put(name, value)),
        false => {}
    });
}

impl Client for H2 {
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        let H2 { stream, loan, owes_continue, .. } = self;
        let got = poll_recv(stream, cx, into, |n| loan.as_mut().map_or(n, |it| it.came(n)));
        // Whoever began to send does not wait for it.
        if std::mem::take(owes_continue) && got.is_pending() {
            // A stream that is gone shows by itself.
            let _ = stream.informational(100, |_| ());
        }
        match ready!(got) {
            Ok((got, trailers)) => {
                let limits = self.conn.opened.arrived.running.limits();
                self.trailers = match trailers.map(|it| of_h2(it, limits)).transpose() {
                    Ok(trailers) => trailers.flatten().map(of_request),
                    Err(TooLong) => return Poll::Ready(Err(Refusal::TrailersTooLong)),
                };
                Poll::Ready(Ok(got))
            }
            Err(Lost::Broken(fault)) if fault.code() == Code::PROTOCOL_ERROR => {
                Poll::Ready(Err(Refusal::BodyMalformed))
            }
            Err(_) => Poll::Ready(Err(Refusal::ClientGone)),
        }
    }

    fn wants_body(&mut self) {
        self.owes_continue = self.expects;
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.done {
            return Poll::Pending;
        }
        self.stream.poll_lost(cx).map(drop)
    }

    fn informational(&mut self, status: u16, fields: &impl Fields) {
        // A stream that is gone shows when the final head is sent.
        let _ = self.stream.informational(status, |out| write(fields, out, |id, _, _| id != FieldId::ContentLength));
    }

    fn head(&mut self, meta: &Meta, fields: &impl Fields) {
        // A tunnel: HTTP/2 has no switch of protocols, and says yes by 200 (RFC 8441 §4).
        let opens = meta.status == 101;
        let status = if opens { 200 } else { meta.status };
        let rewritten = meta.body != BodyLen::None || matches!(meta.status, 101 | 204);
        let ends = match meta.body {
            BodyLen::None => !opens,
            BodyLen::Known(0) => meta.behind == Behind::Nothing,
            _ => false,
        };
        let H2 { conn, stream, told, .. } = self;
        let hsts = conn.hsts.borrow();
        let hsts = hsts.as_deref();
        let sent = stream.answer(status, ends, |out| {
            let mut dated = false;
            write(fields, out, |id, name, value| {
                dated |= id == FieldId::Date;
                if let Some(told) = told
                    && name.eq_ignore_ascii_case(b"grpc-status")
                {
                    *told = Some(grpc::read(value));
                }
                // In the place of whatever the backend said.
                let is_ours = hsts.is_some() && name.eq_ignore_ascii_case(HSTS.as_bytes());
                !is_ours && (id != FieldId::ContentLength || !rewritten)
            });
            if let BodyLen::Known(n) = meta.body {
                let mut text = [0; 20];
                out.put(b"content-length", decimal(n, &mut text));
            }
            if !dated {
                let now = conn.opened.arrived.core.clock().unix_s.get();
                with_date(now, |date| out.put(b"date", date));
            }
            if let Some(hsts) = hsts {
                out.put(HSTS.as_bytes(), hsts.as_bytes());
            }
        });
        self.answered = sent.is_ok();
        self.done = ends || sent.is_err();
        self.left = match (meta.body, meta.behind) {
            (BodyLen::Known(n), Behind::Nothing) => Some(n),
            _ => None,
        };
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        // The end of a body needs no window, so a piece is read ahead; it is a small one (see `Wire::greedy`).
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>> {
        if !self.answered {
            return Poll::Ready(Err(Gone));
        }
        let before = from.len() as u64;
        let last = self.left == Some(before);
        if ready!(self.stream.poll_send(cx, from, last)).is_err() {
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
        if self.answered {
            // Short of the declared length the codec resets the stream: never a complete short body.
            let _ = match trailers {
                Some(map) => self.stream.trailers(|fields| into_h2(&map, fields)),
                None => self.stream.finish(),
            };
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(if self.answered || !self.done { Ok(()) } else { Err(Gone) })
    }

    fn grpc(&self) -> Option<u8> {
        self.told.flatten()
    }
}

fn decimal(mut n: u64, text: &mut [u8; 20]) -> &[u8] {
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(n % 10).unwrap_or(0);
        n /= 10;
        if n == 0 {
            return &text[at..];
        }
    }
}
