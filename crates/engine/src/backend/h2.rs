//! HTTP/2 to a backend, by the `h2` crate with every limit set: one connection carries many requests of its thread.
//! gRPC needs it end to end: trailers, resets and back-pressure pass through. Read next: `../client/h2.rs`, the other side.

use crate::backend::connect::Opened;
use crate::backend::h2_task::{FEW, SILENT_S, State, Task, WIDEST};
use crate::backend::link::{Ending, Link};
use crate::exchange::asked::Asked;
use crate::exchange::edits::Shaping;
use crate::exchange::ends;
use crate::exchange::pulse::Heard;
use crate::exchange::shape::give;
use crate::exchange::sides::Client;
use crate::exchange::streams::{length, poll_recv, poll_send_some};
use crate::exchange::trailers::{TooLong, of_answer, of_h2};
use crate::exchange::views::MapView;
use crate::exchange::websocket::{Accept, Opening};
use crate::exchange::words::{Behind, BodyLen, Got, Meta};
use bytes::Bytes;
use everyhop_plan::{Coding, Limits};
use everyhop_record::failure::Failure;
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watch, Watched, Watches};
use everyhop_transport::h2_io::Stream;
use everyhop_transport::h2_marks::{self, Secret, secret};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

const GOODBYE_S: u32 = 2;
const TRAILERS: &str = "the trailers are longer than limits.head_bytes, or more than limits.h2_header_fields";
const NAME: &str = "a field's name is no token";

/// A connection that several requests share.
pub(crate) struct H2Conn {
    send: SendRequest<Bytes>,
    /// Ends the waits of the task that moves its frames.
    watch: Rc<Watched>,
    pub(crate) link: Rc<Link>,
    /// Of the mark behind an answer's trailers.
    secret: Secret,
    state: Rc<State>,
    idle_until_ms: Cell<u64>,
    idle_ms: u64,
}

impl Drop for H2Conn {
    fn drop(&mut self) {
        // Nobody uses it any more; a backend that takes not even our goodbye is not waited for.
        self.watch.within_s(GOODBYE_S);
    }
}

impl H2Conn {
    pub(crate) fn is_open(&self) -> bool {
        self.state.open.get()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state.streams.get() < self.send.current_max_send_streams().min(STREAMS)
    }

    /// Nothing new is asked over it; what is under way goes on to its own end.
    fn close(&self) {
        self.state.open.set(false);
    }

    /// It served just now.
    fn touch(&self) {
        self.idle_until_ms.set(self.state.clock.now_ms.get() + self.idle_ms);
    }

    pub(crate) fn is_idle_since(&self, now_ms: u64) -> bool {
        self.state.streams.get() == 0 && self.idle_until_ms.get() <= now_ms
    }
}

/// Requests under way on one connection, above which another is opened, however many the backend would take.
const STREAMS: usize = 100;
/// RFC 9113 §6.9.1.
const MOST_WINDOW: u32 = (1 << 31) - 1;

/// Speaks HTTP/2 on a new connection.
pub(crate) async fn open(watches: &Rc<Watches>, opened: Opened, limits: &Limits) -> Result<Rc<H2Conn>, Box<Failure>> {
    let secret = secret();
    let heard = Heard::new(watches.clock.clone());
    let tap = Ending { link: opened.link.clone(), heard: heard.clone(), settings: Rc::default() };
    let settings = tap.settings.clone();
    let stream = Stream::of_backend(opened.wire, tap, secret);
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let window = limits.h2_stream_window_bytes;
    let few = |n: usize| u32::try_from(n).unwrap_or(1);
    let wide = WIDEST.saturating_sub(window).saturating_mul(few(FEW));
    let of_all_streams = window.saturating_mul(few(STREAMS)).saturating_add(wide).min(MOST_WINDOW);
    let handshake = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(window)
        // It holds the windows of all streams: those that nobody reads leave the others theirs (threat F03).
        .initial_connection_window_size(limits.h2_connection_window_bytes.max(of_all_streams))
        .max_header_list_size(limits.h2_header_list_bytes)
        .max_concurrent_streams(0)
        .max_concurrent_reset_streams(size(limits.h2_streams))
        .reset_stream_duration(Duration::from_secs(5))
        .max_send_buffer_size(64 * 1024)
        .handshake::<_, Bytes>(stream);
    let failed = |_| {
        let why = opened.link.why().unwrap_or(Refusal::BackendClosed);
        Box::new(opened.link.failure(why, None, 0))
    };
    let (send, connection) = handshake.await.map_err(failed)?;
    let watch = Rc::new(watches.watch());
    let state = Rc::new(State::new(watches.clock.clone()));
    let task = Task { connection, state: Rc::downgrade(&state), watch: watch.clone(), heard, settings, window };
    let conn = Rc::new(H2Conn {
        send,
        watch,
        link: opened.link,
        secret,
        state,
        idle_until_ms: Cell::new(u64::MAX),
        idle_ms: u64::from(limits.upstream_idle_s) * 1000,
    });
    tokio::task::spawn_local(Box::pin(task.run()));
    Ok(conn)
}

/// One request on a shared connection.
pub(crate) struct H2Up {
    conn: Rc<H2Conn>,
    sender: SendRequest<Bytes>,
    request: Option<(Request<()>, bool)>,
    /// Of what opens a tunnel: what a client of HTTP/1.1 is answered with.
    opens: Option<Option<Accept>>,
    /// The request's body was over before its head went: what is behind it.
    ended: Option<Option<HeaderMap>>,
    response: Option<ResponseFuture>,
    send: Option<SendStream<Bytes>>,
    recv: Option<RecvStream>,
    head: Option<HeaderMap>,
    informational: Option<HeaderMap>,
    trailers: Option<HeaderMap>,
    answered: bool,
    unprocessed: bool,
    to_head: bool,
    rule: Option<&'static str>,
}

impl Drop for H2Up {
    fn drop(&mut self) {
        self.conn.state.streams.set(self.conn.state.streams.get().saturating_sub(1));
        self.conn.touch();
    }
}

impl H2Up {
    pub(crate) fn on(conn: Rc<H2Conn>) -> H2Up {
        if conn.state.streams.get() == 0 {
            conn.watch.within_s(SILENT_S);
        }
        conn.state.streams.set(conn.state.streams.get() + 1);
        H2Up {
            sender: conn.send.clone(),
            conn,
            request: None,
            opens: None,
            ended: None,
            response: None,
            send: None,
            recv: None,
            head: None,
            informational: None,
            trailers: None,
            answered: false,
            unprocessed: false,
            to_head: false,
            rule: None,
        }
    }

    pub(crate) fn start(&mut self, request: &Request<()>, asked: &Asked) {
        self.to_head = asked.is_head();
        self.opens = asked.websocket.then(|| asked.key.filter(|_| asked.protocol != "h2").map(|key| key.accept()));
        self.request = Some((request.clone(), asked.body == BodyLen::None && !asked.websocket));
    }

    /// As [`H2Up::start`], of a question of the edge's own. `bodiless`: it ends with its head.
    pub(crate) fn ask(&mut self, request: Request<()>, bodiless: bool) {
        self.request = Some((request, bodiless));
    }

    /// A field of the head that was read last, where there is one of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.as_ref()?.get(name).map(http::HeaderValue::as_bytes)
    }

    pub(crate) fn facts(&self) -> Rc<HopFragment> {
        self.conn.link.facts.clone()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.conn.link
    }

    pub(crate) fn shared_link(&self) -> Rc<Link> {
        self.conn.link.clone()
    }

    /// The rule or limit that the answer broke.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.rule
    }

    /// Whether the backend takes tunnels (RFC 8441), which it says first of all; late is no.
    pub(crate) async fn takes_tunnels(&self, watch: &Watch) -> bool {
        poll_fn(|cx| {
            if self.sender.is_extended_connect_protocol_enabled() {
                return Poll::Ready(true);
            }
            match self.conn.state.poll_settled(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => watch.poll_late(cx).map(|_| false),
            }
        })
        .await
    }

    /// It did not answer in time: what shares the connection goes on to its own end, and nothing new is asked there.
    pub(crate) fn give_up(&self) {
        self.conn.close();
    }

    fn answer_came(&mut self) {
        self.answered = true;
        self.conn.link.answer_came();
    }

    pub(crate) fn answered(&self) -> bool {
        self.answered
    }

    pub(crate) fn was_unprocessed(&self) -> bool {
        self.unprocessed
    }

    fn failed(&mut self, why: &h2::Error) -> Refusal {
        if why.is_go_away() || why.is_io() {
            self.conn.close();
        }
        // RFC 9113 §6.8, §8.7: a refused stream and those above the one that a GOAWAY names were not looked at. The `h2`
        // crate ends only these with the GOAWAY; the others go on, and end with the connection at worst.
        if why.is_remote() && (why.reason() == Some(Reason::REFUSED_STREAM) || why.is_go_away()) {
            self.unprocessed = true;
        } else if why.is_reset() && why.is_remote() {
            self.answered = true;
        }
        match why.reason() {
            // What it sent is no HTTP/2, so it sent something: that is an answer, if a bad one.
            Some(
                Reason::PROTOCOL_ERROR
                | Reason::FRAME_SIZE_ERROR
                | Reason::FLOW_CONTROL_ERROR
                | Reason::COMPRESSION_ERROR
                | Reason::STREAM_CLOSED,
            ) if why.is_library() => {
                self.rule = Some(broken_rule(why.reason()));
                Refusal::BackendMalformed
            }
            _ if why.is_reset() => Refusal::BackendReset,
            _ => self.conn.link.why().unwrap_or(Refusal::BackendClosed),
        }
    }

    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if self.request.is_none() {
            return Poll::Ready(Ok(()));
        }
        if let Err(e) = ready!(self.sender.poll_ready(cx)) {
            // Nothing of this request was sent, and nothing more will be over this connection.
            self.unprocessed = true;
            self.conn.close();
            return Poll::Ready(Err(self.failed(&e)));
        }
        let Some((request, bodiless)) = self.request.take() else { return Poll::Ready(Ok(())) };
        let ended = self.ended.take();
        // A stream that nobody said the length of is ended by DATA, were it empty: so gRPC demands, and servers wait for it.
        let is_last = bodiless || matches!(ended, Some(None)) && request.headers().contains_key(CONTENT_LENGTH);
        match self.sender.send_request(request, is_last) {
            Ok((response, mut send)) => {
                self.response = Some(response);
                match ended {
                    _ if is_last => {}
                    Some(Some(trailers)) => drop(send.send_trailers(trailers)),
                    Some(None) => drop(send.send_data(Bytes::new(), true)),
                    None => self.send = Some(send),
                }
                Poll::Ready(Ok(()))
            }
            Err(e) => Poll::Ready(Err(self.failed(&e))),
        }
    }

    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Refusal>> {
        ready!(self.poll_start(cx))?;
        let Some(send) = &mut self.send else { return Poll::Ready(Err(Refusal::BackendClosed)) };
        match ready!(poll_send_some(send, cx, from, false)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(Refusal::BackendReset)),
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        // A backend that reset the stream meanwhile says so when its answer is read.
        match &mut self.send {
            Some(send) => {
                let _ = match trailers {
                    Some(map) => send.send_trailers(map),
                    None => send.send_data(Bytes::new(), true),
                };
            }
            // The head has not gone yet: the stream ends with it.
            None if self.request.is_some() => self.ended = Some(trailers),
            None => {}
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.poll_start(cx)
    }

    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>> {
        if self.request.is_some() {
            ready!(self.poll_start(cx))?;
        }
        let Some(response) = &mut self.response else { return Poll::Ready(Err(Refusal::BackendClosed)) };
        if let Poll::Ready(Some(Ok(early))) = response.poll_informational(cx) {
            self.answer_came();
            let (parts, ()) = early.into_parts();
            if !MapView(&parts.headers).has_proper_names() || parts.status == StatusCode::SWITCHING_PROTOCOLS {
                let switches = "a switch of protocols, which HTTP/2 does not have (RFC 9113 §8.6)";
                self.rule = Some(if parts.status == StatusCode::SWITCHING_PROTOCOLS { switches } else { NAME });
                return Poll::Ready(Err(Refusal::BackendMalformed));
            }
            self.informational = Some(parts.headers);
            return Poll::Ready(Ok(Meta {
                status: parts.status.as_u16(),
                body: BodyLen::None,
                behind: Behind::Nothing,
            }));
        }
        let (mut parts, recv) = match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => response.into_parts(),
            Err(e) => return Poll::Ready(Err(self.failed(&e))),
        };
        if recv.is_end_stream() {
            parts.headers.remove(h2_marks::NAME);
        }
        self.answer_came();
        let too_many = parts.headers.len() > usize::try_from(limits.h2_header_fields).unwrap_or(usize::MAX);
        let status = parts.status.as_u16();
        // The `http` crate takes any three digits; RFC 9110 §15 ends at 599, and so does the HTTP/1 codec.
        self.rule = match () {
            () if too_many => Some("the head has more fields than limits.h2_header_fields"),
            () if status > 599 => Some("the status is above 599"),
            () if !MapView(&parts.headers).has_proper_names() => Some(NAME),
            () => None,
        };
        if self.rule.is_some() {
            return Poll::Ready(Err(Refusal::BackendMalformed));
        }
        if self.opens.is_some() && parts.status.is_success() {
            // RFC 8441 §4: as 101 is in HTTP/1.1.
            (self.head, self.recv) = (Some(parts.headers), Some(recv));
            return Poll::Ready(Ok(Meta { status: 101, body: BodyLen::None, behind: Behind::Nothing }));
        }
        let body = match recv.is_end_stream() {
            _ if self.to_head || matches!(status, 204 | 304) => BodyLen::None,
            true => BodyLen::Known(0),
            false => length(&parts.headers).map_or(BodyLen::Unknown, BodyLen::Known),
        };
        // A head that ends the stream is all there is: with gRPC it is an answer's trailers alone.
        let behind = if recv.is_end_stream() { Behind::Nothing } else { Behind::PerhapsTrailers };
        self.head = Some(parts.headers);
        self.recv = Some(recv);
        Poll::Ready(Ok(Meta { status, body, behind }))
    }

    pub(crate) fn give_head(
        &mut self,
        meta: &Meta,
        client: &mut impl Client,
        by: Option<Shaping<'_>>,
    ) -> Option<Coding> {
        let head = self.head.take().unwrap_or_default();
        if let (101, Some(accept)) = (meta.status, self.opens) {
            give(client, meta, &Opening { fields: &MapView(&head), accept }, by)
        } else {
            give(client, meta, &MapView(&head), by)
        }
    }

    pub(crate) fn give_informational(&mut self, status: u16, client: &mut impl Client) {
        let head = self.informational.take().unwrap_or_default();
        client.informational(status, &MapView(&head));
    }

    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Buf,
        limits: &Limits,
    ) -> Poll<Result<Got, Refusal>> {
        let Some(recv) = &mut self.recv else { return Poll::Ready(Err(Refusal::BackendClosed)) };
        match ready!(poll_recv(recv, cx, into, |n| n)) {
            Ok((got, trailers)) => {
                self.trailers = match trailers.map(|map| of_h2(&map, &self.conn.secret, limits)).transpose() {
                    Ok(trailers) => trailers.flatten().map(of_answer),
                    Err(TooLong) => {
                        self.rule = Some(TRAILERS);
                        return Poll::Ready(Err(Refusal::BackendMalformed));
                    }
                };
                Poll::Ready(Ok(got))
            }
            Err(e) => {
                let why = self.failed(&e);
                Poll::Ready(Err(if why == Refusal::BackendClosed { Refusal::BackendTruncated } else { why }))
            }
        }
    }

    pub(crate) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Both directions of what became a tunnel.
    pub(crate) fn take_stream(&mut self) -> Option<ends::Stream> {
        Some(ends::Stream { recv: self.recv.take()?, send: self.send.take()? })
    }
}

fn broken_rule(reason: Option<Reason>) -> &'static str {
    match reason {
        Some(Reason::FRAME_SIZE_ERROR) => "a frame has a size that it must not have",
        Some(Reason::FLOW_CONTROL_ERROR) => "more was sent than the window allows",
        Some(Reason::COMPRESSION_ERROR) => "the compressed head cannot be read",
        Some(Reason::STREAM_CLOSED) => "a frame came on a stream that was closed",
        _ => "what came is not HTTP/2, or its head is longer than limits.h2_header_list_bytes",
    }
}
