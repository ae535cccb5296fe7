//! HTTP/2 to a backend, every limit set: one connection carries many requests of its thread.
//! gRPC needs it end to end: trailers, resets and back-pressure pass through. Read next: `../client/h2.rs`, the other side.

use crate::backend::connect::Opened;
use crate::backend::h2_task::{FEW, GOODBYE_S, SILENT_S, State, Task, WIDEST};
use crate::backend::link::{Ending, Link};
use crate::exchange::asked::Asked;
use crate::exchange::edits::Shaping;
use crate::exchange::pulse::Heard;
use crate::exchange::shape::give;
use crate::exchange::sides::Client;
use crate::exchange::streams::poll_recv;
use crate::exchange::trailers::{TooLong, into_h2, of_answer, of_h2};
use crate::exchange::views::HeadView;
use crate::exchange::websocket::{Accept, Opening};
use crate::exchange::words::{Behind, BodyLen, Got, Meta};
use everyhop_http2::{Code, Config, Connection, Fault, Head};
use everyhop_plan::{Coding, Limits};
use everyhop_record::failure::Failure;
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watch, Watched, Watches};
use everyhop_transport::h2::{Answered, Asking, Ended, Lost, Mover, Stream, Talk};
use http::HeaderMap;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

const TRAILERS: &str = "the trailers are longer than limits.head_bytes, or more than limits.h2_header_fields";

/// A connection that several requests share.
pub(crate) struct H2Conn {
    talk: Rc<Talk>,
    /// Ends the waits of the task that moves its frames.
    watch: Rc<Watched>,
    pub(crate) link: Rc<Link>,
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
        self.state.open.get() && !self.talk.is_away()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.state.streams.get() < STREAMS && self.talk.has_room()
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
/// Requests that were taken back, of which frames may still come: at least so many.
const REMEMBERED: u32 = 256;
/// RFC 9113 §6.9.1.
const MOST_WINDOW: u32 = (1 << 31) - 1;

/// Speaks HTTP/2 on a new connection.
pub(crate) async fn open(watches: &Rc<Watches>, opened: Opened, limits: &Limits) -> Result<Rc<H2Conn>, Box<Failure>> {
    let heard = Heard::new(watches.clock.clone());
    let tap = Ending { link: opened.link.clone(), heard: heard.clone() };
    let window = limits.h2_stream_window_bytes;
    let few = |n: usize| u32::try_from(n).unwrap_or(1);
    let wide = WIDEST.saturating_sub(window).saturating_mul(few(FEW));
    let of_all_streams = window.saturating_mul(few(STREAMS)).saturating_add(wide).min(MOST_WINDOW);
    let config = Config {
        streams: few(STREAMS),
        window_bytes: window,
        // It holds the windows of all streams: those that nobody reads leave the others theirs (threat F03).
        connection_window_bytes: limits.h2_connection_window_bytes.max(of_all_streams),
        head_bytes: limits.h2_header_list_bytes,
        // Those that are too many are told as that.
        head_fields: u32::MAX,
        // Those that are refused are remembered, too.
        remembered: limits.h2_streams.saturating_mul(2).max(REMEMBERED),
        output_bytes: 64 * 1024,
        ..Config::client()
    };
    let mover = Mover::client(Connection::client(config), opened.wire, tap);
    let talk = mover.talk().clone();
    let watch = Rc::new(watches.watch());
    let state = Rc::new(State::new(watches.clock.clone()));
    let task = Task { mover, state: Rc::downgrade(&state), watch: watch.clone(), heard, window };
    let conn = Rc::new(H2Conn {
        talk,
        watch,
        link: opened.link,
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
    /// What is asked, and whether it ends with its head.
    request: Option<(Asking, bool)>,
    /// Of what opens a tunnel: what a client of HTTP/1.1 is answered with.
    opens: Option<Option<Accept>>,
    /// The request's body was over before its head went: what is behind it.
    ended: Option<Option<HeaderMap>>,
    stream: Option<Stream>,
    /// There is a body to be sent still.
    sends: bool,
    /// An answer's final head was read.
    receives: bool,
    head: Option<Head>,
    informational: Option<Head>,
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
            conn,
            request: None,
            opens: None,
            ended: None,
            stream: None,
            sends: false,
            receives: false,
            head: None,
            informational: None,
            trailers: None,
            answered: false,
            unprocessed: false,
            to_head: false,
            rule: None,
        }
    }

    pub(crate) fn start(&mut self, asking: &Asking, asked: &Asked) {
        self.to_head = asked.is_head();
        self.opens = asked.websocket.then(|| asked.key.filter(|_| asked.protocol != "h2").map(|key| key.accept()));
        self.request = Some((asking.clone(), asked.body == BodyLen::None && !asked.websocket));
    }

    /// As [`H2Up::start`], of a question of the edge's own. `bodiless`: it ends with its head.
    pub(crate) fn ask(&mut self, asking: Asking, bodiless: bool) {
        self.request = Some((asking, bodiless));
    }

    /// A field of the head that was read last, where there is one of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.as_ref()?.get(name.as_bytes())
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
        poll_fn(|cx| match self.conn.talk.takes_extended_connect() {
            Some(takes) => Poll::Ready(takes),
            None => match self.conn.state.poll_settled(cx) {
                Poll::Ready(()) => Poll::Ready(self.conn.talk.takes_extended_connect() == Some(true)),
                Poll::Pending => watch.poll_late(cx).map(|_| false),
            },
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

    fn failed(&mut self, why: Lost) -> Refusal {
        match why {
            // RFC 9113 §6.8, §8.7: a refused stream and those above the one that a GOAWAY names were not looked at.
            Lost::Unprocessed => {
                self.conn.close();
                self.unprocessed = true;
                self.conn.link.why().unwrap_or(Refusal::BackendClosed)
            }
            Lost::Reset(Code::REFUSED_STREAM) => {
                self.unprocessed = true;
                Refusal::BackendReset
            }
            Lost::Reset(_) => {
                self.answered = true;
                Refusal::BackendReset
            }
            // What it sent is no HTTP/2, so it sent something: that is an answer, if a bad one.
            Lost::Broken(fault) | Lost::Connection(Ended::Fault(fault)) => {
                self.rule = Some(broken_rule(fault));
                Refusal::BackendMalformed
            }
            Lost::Connection(_) => {
                self.conn.close();
                self.conn.link.why().unwrap_or(Refusal::BackendClosed)
            }
        }
    }

    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let Some((asking, bodiless)) = &self.request else { return Poll::Ready(Ok(())) };
        // A stream that nobody said the length of is ended by DATA, were it empty: so gRPC demands, and servers wait for it.
        let is_last = *bodiless || matches!(self.ended, Some(None)) && asking.has(b"content-length");
        let began = ready!(self.conn.talk.poll_ask(cx, asking, is_last));
        self.request = None;
        let mut stream = match began {
            Ok(stream) => stream,
            Err(why) => {
                // Nothing of this request was sent, and nothing more will be over this connection.
                self.unprocessed = true;
                self.conn.close();
                return Poll::Ready(Err(self.failed(why)));
            }
        };
        match self.ended.take() {
            _ if is_last => {}
            Some(Some(trailers)) => drop(stream.trailers(|fields| into_h2(&trailers, fields))),
            Some(None) => drop(stream.finish()),
            None => self.sends = true,
        }
        self.stream = Some(stream);
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Refusal>> {
        ready!(self.poll_start(cx))?;
        let Some(stream) = self.stream.as_mut().filter(|_| self.sends) else {
            return Poll::Ready(Err(Refusal::BackendClosed));
        };
        match ready!(stream.poll_send(cx, from, false)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(Refusal::BackendReset)),
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) {
        // A backend that reset the stream meanwhile says so when its answer is read.
        match &mut self.stream {
            Some(stream) if self.sends => {
                let _ = match trailers {
                    Some(map) => stream.trailers(|fields| into_h2(&map, fields)),
                    None => stream.finish(),
                };
            }
            // The head has not gone yet: the stream ends with it.
            None if self.request.is_some() => self.ended = Some(trailers),
            _ => {}
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.poll_start(cx)
    }

    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>> {
        ready!(self.poll_start(cx))?;
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(Refusal::BackendClosed)) };
        let (head, last) = match ready!(stream.poll_answer(cx)) {
            Ok(Answered::Informational(head)) => {
                let status = head.status();
                self.informational = Some(head);
                self.answer_came();
                return Poll::Ready(Ok(Meta { status, body: BodyLen::None, behind: Behind::Nothing }));
            }
            Ok(Answered::Final { head, last }) => (head, last),
            Err(why) => return Poll::Ready(Err(self.failed(why))),
        };
        self.answer_came();
        if head.fields().len() > usize::try_from(limits.h2_header_fields).unwrap_or(usize::MAX) {
            self.rule = Some("the head has more fields than limits.h2_header_fields");
            return Poll::Ready(Err(Refusal::BackendMalformed));
        }
        let (status, length) = (head.status(), head.content_length());
        (self.head, self.receives) = (Some(head), true);
        if self.opens.is_some() && (200..300).contains(&status) {
            // RFC 8441 §4: as 101 is in HTTP/1.1.
            return Poll::Ready(Ok(Meta { status: 101, body: BodyLen::None, behind: Behind::Nothing }));
        }
        let body = match last {
            _ if self.to_head || matches!(status, 204 | 304) => BodyLen::None,
            true => BodyLen::Known(0),
            false => length.map_or(BodyLen::Unknown, BodyLen::Known),
        };
        // A head that ends the stream is all there is: with gRPC it is an answer's trailers alone.
        let behind = if last { Behind::Nothing } else { Behind::PerhapsTrailers };
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
            give(client, meta, &Opening { fields: &HeadView(&head), accept }, by)
        } else {
            give(client, meta, &HeadView(&head), by)
        }
    }

    pub(crate) fn give_informational(&mut self, status: u16, client: &mut impl Client) {
        let head = self.informational.take().unwrap_or_default();
        client.informational(status, &HeadView(&head));
    }

    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Buf,
        limits: &Limits,
    ) -> Poll<Result<Got, Refusal>> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.receives) else {
            return Poll::Ready(Err(Refusal::BackendClosed));
        };
        match ready!(poll_recv(stream, cx, into, |n| n)) {
            Ok((got, trailers)) => {
                self.trailers = match trailers.map(|it| of_h2(it, limits)).transpose() {
                    Ok(trailers) => trailers.flatten().map(of_answer),
                    Err(TooLong) => {
                        self.rule = Some(TRAILERS);
                        return Poll::Ready(Err(Refusal::BackendMalformed));
                    }
                };
                Poll::Ready(Ok(got))
            }
            Err(why) => {
                let why = self.failed(why);
                Poll::Ready(Err(if why == Refusal::BackendClosed { Refusal::BackendTruncated } else { why }))
            }
        }
    }

    pub(crate) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// What became a tunnel.
    pub(crate) fn take_stream(&mut self) -> Option<Stream> {
        self.stream.take().filter(|_| self.sends && self.receives)
    }
}

fn broken_rule(fault: Fault) -> &'static str {
    match fault {
        Fault::FieldName => "a field's name is no token",
        Fault::Status => "the status is none that HTTP/2 has (RFC 9110 §15, RFC 9113 §8.6)",
        _ => match fault.code() {
            Code::FRAME_SIZE_ERROR => "a frame has a size that it must not have",
            Code::FLOW_CONTROL_ERROR => "more was sent than the window allows",
            Code::COMPRESSION_ERROR => "the compressed head cannot be read",
            Code::STREAM_CLOSED => "a frame came on a stream that was closed",
            _ => "what came is not HTTP/2, or its head is longer than limits.h2_header_list_bytes",
        },
    }
}
