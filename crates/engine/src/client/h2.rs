//! HTTP/2 with a client, by the `h2` crate with every limit set (P01 to P04): the connection is one task, each request
//! another of the same thread. GOAWAY goes out twice on a drain, so that no request under way is lost.

use crate::admit::Refused;
use crate::client::answer::{Answer, answer, call, unavailable, with_date};
use crate::client::budget::Budget;
use crate::client::conn::Conn;
use crate::client::ended::ended;
use crate::client::h1::SILENT_SENDING_S;
use crate::client::request::{prepare, refused};
use crate::client::work::Work;
use crate::exchange::asked::{Asked, MapView};
use crate::exchange::carry::{Carried, Carrier, Ready, carry};
use crate::exchange::pulse::{Heard, Pulse};
use crate::exchange::sides::Client;
use crate::exchange::streams::{length, poll_recv, poll_send_some};
use crate::exchange::trailers::{TooLong, of_h2, of_request};
use crate::exchange::words::{Behind, BodyLen, Built, Fields, Gone, Got, Meta};
use bytes::Bytes;
use everyhop_http1::{self as http1, FieldId};
use everyhop_plan::Limits;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Late;
use everyhop_transport::h2_io::Stream;
use everyhop_transport::h2_marks::{Secret, secret};
use everyhop_transport::side::Wire;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

fn builder(limits: &Limits) -> Builder {
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let mut it = Builder::new();
    it.initial_window_size(limits.h2_stream_window_bytes)
        .initial_connection_window_size(limits.h2_connection_window_bytes)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(limits.h2_header_list_bytes)
        .max_frame_size(16 * 1024)
        .max_concurrent_reset_streams(size(limits.h2_streams))
        .max_pending_accept_reset_streams(size(limits.h2_streams))
        .max_local_error_reset_streams(Some(size(limits.h2_resets)))
        .reset_stream_duration(Duration::from_secs(5))
        .max_send_buffer_size(64 * 1024);
    it
}

/// Requests that the connection carries now; the last one to end starts the idle clock.
struct Counted {
    conn: Rc<Conn>,
    active: Rc<Cell<usize>>,
}

impl Counted {
    fn new(conn: &Rc<Conn>, active: &Rc<Cell<usize>>) -> Counted {
        active.set(active.get() + 1);
        conn.opened.arrived.watch.forever();
        Counted { conn: conn.clone(), active: active.clone() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            let arrived = &self.conn.opened.arrived;
            arrived.watch.within_s(arrived.running.limits().idle_s);
        }
    }
}

enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    Closed(Option<h2::Error>),
    /// The client sends frames that ask for work and carry nothing.
    Flooded,
    /// Its streams may hold more.
    Widened,
    /// The plan changed, a drain began, or it was idle too long.
    Look,
}

pub(crate) async fn serve(conn: Rc<Conn>, wire: Wire) {
    let arrived = &conn.opened.arrived;
    let (core, watch, limits) = (&arrived.core, &arrived.watch, arrived.running.limits());
    watch.within_s(limits.head_s);
    let flooded = Rc::new(Cell::new(false));
    let heard = Heard::new(core.watches().clock.clone());
    let tap = Budget::new(core.watches().clock.clone(), flooded.clone(), heard.clone());
    let secret = secret();
    let mut shaking = pin!(builder(limits).handshake::<_, Bytes>(Stream::of_client(wire, tap, secret)));
    let shaken = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Ready(r) => Poll::Ready(r.map_err(Some)),
        Poll::Pending => watch.poll_late(cx).map(|Late| Err(None)),
    })
    .await;
    let mut session = match shaken {
        Ok(session) => session,
        Err(e) => return ended(&conn, e.as_ref().and_then(broken).unwrap_or(Refusal::NoRequest), 0, 0),
    };
    // A client that is far away may fill the connection's window with one stream: that is the bound of what it holds.
    let (window, most) = (limits.h2_stream_window_bytes, limits.h2_connection_window_bytes);
    let mut pulse = Pulse::new(session.ping_pong(), heard, window, most.max(window));
    let mut asked_any = false;
    let active = Rc::new(Cell::new(0));
    let mut generation = core.generation();
    let mut leaving = false;
    watch.within_s(limits.idle_s);
    loop {
        let event = poll_fn(|cx| match session.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => Poll::Ready(Event::Request(Box::new(request), respond)),
            Poll::Ready(Some(Err(e))) => Poll::Ready(Event::Closed(Some(e))),
            Poll::Ready(None) => Poll::Ready(Event::Closed(None)),
            Poll::Pending if flooded.get() => Poll::Ready(Event::Flooded),
            // What is set is sent when the session is looked at again.
            Poll::Pending if widens(cx, &mut pulse, &mut session) => Poll::Ready(Event::Widened),
            Poll::Pending if !leaving && (core.is_draining() || generation != core.generation()) => {
                Poll::Ready(Event::Look)
            }
            Poll::Pending => watch.poll_late(cx).map(|Late| Event::Look),
        })
        .await;
        match event {
            Event::Widened => {}
            // It was told to go when it became old, and goes on opening streams.
            Event::Request(..) if leaving && conn.is_long_old() => return ended(&conn, Refusal::TunnelAge, 0, 0),
            Event::Request(request, respond) => {
                asked_any = true;
                if !leaving && conn.is_old() {
                    leaving = true;
                    session.graceful_shutdown();
                }
                let counted = Counted::new(&conn, &active);
                // Boxed where it is made: a task moves its future several times.
                tokio::task::spawn_local(Box::pin(stream(conn.clone(), request, respond, secret, counted)));
            }
            Event::Closed(e) => match e.as_ref().and_then(broken) {
                Some(why) => return ended(&conn, why, 0, 0),
                None if !asked_any => return ended(&conn, Refusal::NoRequest, 0, 0),
                None => return,
            },
            Event::Flooded => {
                ended(&conn, Refusal::Http2Flood, 0, 0);
                session.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                watch.within_s(1);
                return poll_fn(|cx| match session.poll_closed(cx) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => watch.poll_late(cx).map(|Late| ()),
                })
                .await;
            }
            Event::Look => {
                generation = core.generation();
                let moved = core.running().is_none_or(|r| conn.site_in(&r).is_none());
                if watch.is_late() {
                    if leaving && (active.get() == 0 || core.is_draining()) {
                        if !asked_any {
                            ended(&conn, Refusal::NoRequest, 0, 0);
                        }
                        return;
                    }
                    leaving = true;
                    session.graceful_shutdown();
                    // Streams under way have until the drain's end; an idle peer a moment to see the GOAWAY.
                    watch.within_s(1);
                } else if !leaving && (core.is_draining() || moved) {
                    leaving = true;
                    session.graceful_shutdown();
                    if core.is_draining() {
                        watch.at_ms(core.drain_deadline_ms());
                    }
                }
            }
        }
    }
}

fn widens(cx: &mut Context<'_>, pulse: &mut Pulse, session: &mut Connection<Stream<Budget>, Bytes>) -> bool {
    let Some(window) = pulse.poll(cx) else { return false };
    // Not while it has not acknowledged the one before.
    let set = session.set_initial_window_size(window).is_ok();
    if set {
        pulse.set_window(window);
    }
    set
}

/// What the client did wrong, where a session ended by that: of a socket that ended its requests tell.
fn broken(e: &h2::Error) -> Option<Refusal> {
    match e.reason() {
        Some(Reason::ENHANCE_YOUR_CALM) if e.is_library() => Some(Refusal::Http2Flood),
        Some(_) if e.is_library() => Some(Refusal::Http2Broken),
        Some(_) => Some(Refusal::ConnectionBroken),
        None => None,
    }
}

async fn stream(
    conn: Rc<Conn>,
    request: Box<Request<RecvStream>>,
    respond: SendResponse<Bytes>,
    secret: Secret,
    _counted: Counted,
) {
    let began = Instant::now();
    let core = &conn.opened.arrived.core;
    let (parts, body) = request.into_parts();
    let body_len = match length(&parts.headers) {
        _ if body.is_end_stream() => BodyLen::None,
        Some(n) => BodyLen::Known(n),
        None => BodyLen::Unknown,
    };
    let mut work = Work::take();
    let Work { asked, scratch, .. } = &mut *work;
    (asked.id, asked.protocol) = (core.next_id(), "h2");
    // gRPC insists on trailers, so that nobody else is asked for a type.
    asked.grpc = parts.headers.contains_key(http::header::TE)
        && parts.headers.get(http::header::CONTENT_TYPE).is_some_and(|v| is_grpc(v.as_bytes()));
    let told = asked.grpc.then_some(None);
    let mut client =
        H2 { conn: conn.clone(), body, respond, secret, told, send: None, left: None, trailers: None, done: false };
    let ready = judge(&conn, &parts, asked, body_len, std::mem::take(scratch));
    drop(parts);
    let carried = match ready {
        Ok(ready) => {
            let watch = core.watch();
            let carried = carry(&*conn, asked, &ready, &mut client, &watch, began).await;
            if let Built::H1(used) = ready.built {
                *scratch = used;
            }
            carried
        }
        Err(by) => {
            refused(&conn, asked, by, began);
            Carried::Refused(by.why)
        }
    };
    match carried {
        Carried::Done { .. } => {}
        Carried::Refused(why) if asked.grpc => client.answer(&call(why, asked.id)),
        Carried::Refused(why) => client.answer(&answer(why, asked.id, asked.is_head())),
        Carried::Cut if asked.grpc => client.cut_short(),
        Carried::Cut | Carried::Switched(_) => client.reset(),
    }
    Work::give(Some(work));
    if !matches!(carried, Carried::Cut) && !client.body.is_end_stream() {
        Box::pin(client.linger()).await;
    }
}

/// `application/grpc` and `application/grpc+proto`, and not gRPC-Web, which has its trailers in the body.
fn is_grpc(kind: &[u8]) -> bool {
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn judge(
    conn: &Conn,
    parts: &http::request::Parts,
    asked: &mut Asked,
    body: BodyLen,
    scratch: Vec<u8>,
) -> Result<Ready, Refused> {
    let limits = conn.opened.arrived.running.limits();
    // Crumbs of a cookie count each (threat P03).
    if parts.headers.len() > usize::try_from(limits.h2_header_fields).unwrap_or(usize::MAX) {
        return Err(Refusal::TooManyFields.into());
    }
    let view = MapView(&parts.headers);
    let twice = parts.headers.get_all(http::header::AUTHORIZATION).iter().count() > 1;
    if twice || !view.has_proper_names() || !view.has_proper_values() {
        return Err(Refusal::BadFields.into());
    }
    // The same as in HTTP/1: an expectation that a backend would have to understand, and might not.
    let mut expected = parts.headers.get_all(http::header::EXPECT).iter();
    if expected.next().is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"100-continue")) || expected.next().is_some()
    {
        return Err(Refusal::Http1(http1::Refused::Expectation).into());
    }
    asked.of_h2(parts, body)?;
    if asked.target.len() > usize::try_from(limits.target_bytes).unwrap_or(usize::MAX) {
        return Err(Refusal::BadTarget.into());
    }
    prepare(conn, asked, &view, scratch)
}

struct H2 {
    conn: Rc<Conn>,
    body: RecvStream,
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
    fn answer(&mut self, it: &Answer) {
        self.head(&it.meta, it);
        if let Some(send) = &mut self.send
            && !it.body.is_empty()
        {
            // Short, and flow control is `h2`'s: it goes out as the window allows.
            let _ = send.send_data(Bytes::copy_from_slice(&it.body), true);
        }
    }

    /// A call that had begun ends with a status that says to try again, and not as if something had crashed.
    fn cut_short(&mut self) {
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
    async fn linger(&mut self) {
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
                        if self.body.flow_control().release_capacity(some.len()).is_err() {
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

    fn tell(&mut self, fields: &HeaderMap) {
        if let Some(told) = &mut self.told
            && let Some(value) = fields.get("grpc-status")
        {
            *told = Some(grpc::read(value.as_bytes()));
        }
    }

    fn reset(&mut self) {
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
        match ready!(poll_recv(&mut self.body, cx, into)) {
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
        let (mut dated, rewritten) = (false, meta.body != BodyLen::None || meta.status == 204);
        let mut it = response(meta.status, fields, |id| {
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
        let ends = match meta.body {
            BodyLen::None => true,
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
