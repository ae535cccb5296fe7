//! HTTP/2 with a client, by the `h2` crate with every limit set (P01 to P04): the connection is one task, each request
//! another of the same thread. GOAWAY goes out twice on a drain, so that no request under way is lost.
//! Read next: `h2_side.rs`, one request.

use crate::client::asks::settled;
use crate::client::budget::Budget;
use crate::client::conn::Conn;
use crate::client::ended::ended;
use crate::client::given::Stays;
use crate::client::h2_side::H2;
use crate::client::held::Holding;
use crate::client::keys::{self, Waited};
use crate::client::owed::{Counted, Ear, Owed};
use crate::client::plain::{called, refusal};
use crate::client::request::{prepare, refused};
use crate::client::tunnel;
use crate::client::wants::Wants;
use crate::client::windows::{Loan, Windows};
use crate::client::work::Work;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carried, Ready, carry};
use crate::exchange::ends::End;
use crate::exchange::pulse::{Heard, Pulse};
use crate::exchange::streams::length;
use crate::exchange::views::MapView;
use crate::exchange::words::BodyLen;
use bytes::Bytes;
use everyhop_http1 as http1;
use everyhop_plan::Limits;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Late;
use everyhop_transport::h2_io::Stream;
use everyhop_transport::h2_marks::{Secret, secret};
use everyhop_transport::side::Wire;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

fn builder(limits: &Limits, window: u32) -> Builder {
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let mut it = Builder::new();
    it.initial_window_size(window)
        .initial_connection_window_size(limits.h2_connection_window_bytes)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(limits.h2_header_list_bytes)
        .max_frame_size(16 * 1024)
        .max_concurrent_reset_streams(size(limits.h2_streams))
        .max_pending_accept_reset_streams(size(limits.h2_streams))
        .max_local_error_reset_streams(Some(size(limits.h2_resets)))
        .reset_stream_duration(Duration::from_secs(5))
        .max_send_buffer_size(64 * 1024)
        // Whether a route takes a WebSocket is said by its answer, as in HTTP/1.1 (RFC 8441 §3).
        .enable_connect_protocol();
    it
}

enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    Closed(Option<h2::Error>),
    /// The client sends frames that ask for work and carry nothing.
    Flooded,
    /// Its streams may hold more.
    Widened,
    /// What was lent to a request can be taken back.
    Over,
    /// The plan changed, a drain began, or it was idle too long.
    Look,
}

/// `first`: what was read of the connection before.
pub(crate) async fn serve(conn: Rc<Conn>, wire: Wire, first: Buf) {
    let arrived = &conn.opened.arrived;
    let (core, watch, limits) = (&arrived.core, &arrived.watch, arrived.running.limits());
    watch.within_s(limits.head_s);
    let flooded = Rc::new(Cell::new(false));
    let heard = Heard::new(core.watches().clock.clone());
    let budget = Budget::new(core.watches().clock.clone(), flooded.clone(), heard.clone());
    let owed = Owed::new(conn.clone());
    let tap = Ear::new(budget, owed.clone());
    let (secret, own) = (secret(), limits.h2_connection_window_bytes);
    let windows = Windows::new(core.lent.clone(), own, conn.opened.way);
    let window = windows.of_streams(limits.h2_stream_window_bytes);
    let mut shaking = pin!(builder(limits, window).handshake::<_, Bytes>(Stream::of_client(wire, first, tap, secret)));
    let shaken = poll_fn(|cx| match shaking.as_mut().poll(cx) {
        Poll::Ready(r) => Poll::Ready(r.map_err(Some)),
        Poll::Pending => watch.poll_late(cx).map(|Late| Err(None)),
    })
    .await;
    let mut session = match shaken {
        Ok(session) => session,
        Err(e) => return ended(&conn, e.as_ref().and_then(broken).unwrap_or(Refusal::NoRequest), 0, 0),
    };
    // A client that fills it may fill the connection's window with one stream: that is the bound of what it holds.
    let mut pulse = Pulse::new(session.ping_pong(), heard, window, own.max(window));
    let mut asked_any = false;
    let mut generation = core.generation();
    let mut leaving = false;
    watch.within_s(limits.idle_s);
    loop {
        let event = poll_fn(|cx| match session.poll_accept(cx) {
            Poll::Pending if windows.has_over(cx) => Poll::Ready(Event::Over),
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
            Event::Over => windows.settle(|target| session.set_target_window_size(target)),
            // It was told to go when it became old, and goes on opening streams.
            Event::Request(..) if leaving && conn.is_long_old() => return ended(&conn, Refusal::TunnelAge, 0, 0),
            Event::Request(request, respond) => {
                asked_any = true;
                if !leaving && conn.is_old() {
                    leaving = true;
                    session.graceful_shutdown();
                }
                let loan = windows.lend(body_of(&request));
                if loan.is_some() {
                    session.set_target_window_size(windows.target());
                }
                let counted = Counted::new(&owed);
                // Boxed where it is made: a task moves its future several times.
                tokio::task::spawn_local(Box::pin(stream(conn.clone(), request, respond, secret, loan, counted)));
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
                let moved = core.running().is_none_or(|r| !conn.stands_in(&r));
                if watch.is_late() {
                    if leaving && (owed.is_nothing() || core.is_draining()) {
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

fn widens(cx: &mut Context<'_>, pulse: &mut Pulse, session: &mut Connection<Stream<Ear>, Bytes>) -> bool {
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
    loan: Option<Loan>,
    _counted: Counted,
) {
    let began = Instant::now();
    let core = &conn.opened.arrived.core;
    let body_len = body_of(&request);
    let (parts, body) = request.into_parts();
    let mut work = Work::take();
    let Work { asked, scratch, .. } = &mut *work;
    (asked.id, asked.protocol) = (core.next_id(), "h2");
    // gRPC insists on trailers, so that nobody else is asked for a type.
    asked.grpc = parts.headers.contains_key(http::header::TE)
        && parts.headers.get(http::header::CONTENT_TYPE).is_some_and(|v| is_grpc(v.as_bytes()));
    let mut client = H2::new(conn.clone(), (body, loan), respond, secret, asked.grpc);
    let mut waited = Waited::Not;
    let mut wants = Wants::Plain;
    let mut ready = loop {
        let ready = judge(&conn, &parts, asked, body_len, (std::mem::take(scratch), began));
        let Err(stays) = ready else { break ready };
        wants = Wants::of_fields(&MapView(&parts.headers));
        if asked.lacks.is_none() {
            break Err(stays);
        }
        if let Err(stays) = Box::pin(keys::again(core, asked, stays, &mut waited)).await {
            break Err(stays);
        }
    };
    let mut held = None;
    if let Err(Stays::Asks(question)) = ready {
        let view = MapView(&parts.headers);
        ready = Box::pin(settled(&conn, asked, &view, question, (&mut client, &mut held))).await;
    }
    drop(parts);
    let carried = match ready {
        Ok(mut ready) => {
            let watch = core.watch();
            let carried = match held {
                None => carry(&*conn, asked, &mut ready, &mut client, &watch, began).await,
                Some(held) => {
                    let mut client = Holding { client: &mut client, held };
                    Box::pin(carry(&*conn, asked, &mut ready, &mut client, &watch, began)).await
                }
            };
            if matches!(carried, Carried::Refused(_)) {
                wants = Wants::of_built(&ready.built);
            }
            if let Carried::Switched(switched) = carried {
                let Some(stream) = client.into_stream() else { return };
                let client = (End::Stream(stream), Buf::default());
                return Box::pin(tunnel::run(&conn, asked, ready, client, switched, &watch)).await;
            }
            *scratch = ready.built.scratch().unwrap_or_default();
            carried
        }
        Err(Stays::Refused(by)) => {
            refused(&conn, asked, by, began);
            if by.why == Refusal::ClientGone { Carried::Cut } else { Carried::Refused(by.why) }
        }
        // It was settled above.
        Err(Stays::Asks(_)) => Carried::Cut,
        Err(Stays::Given(own)) => {
            if let Some(it) = own.answer(&conn, asked, began) {
                client.answer(&it);
            }
            Carried::Done { read_all: false }
        }
    };
    match carried {
        Carried::Done { .. } => {}
        Carried::Refused(why) if asked.grpc => client.answer(&called(why, asked)),
        Carried::Refused(why) => client.answer(&refusal(&conn, why, asked, wants)),
        Carried::Cut if asked.grpc => client.cut_short(),
        Carried::Cut | Carried::Switched(_) => client.reset(),
    }
    // What would be in a tunnel that was not opened nobody sends.
    let lingers = !matches!(carried, Carried::Cut) && !asked.websocket;
    Work::give(Some(work));
    if lingers && client.is_sending() {
        Box::pin(client.linger()).await;
    }
    client.end();
}

fn body_of(request: &Request<RecvStream>) -> BodyLen {
    match length(request.headers()) {
        _ if request.body().is_end_stream() => BodyLen::None,
        // A tunnel declares nothing (RFC 9110 §9.3.6).
        Some(n) if request.method() != http::Method::CONNECT => BodyLen::Known(n),
        _ => BodyLen::Unknown,
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
    (scratch, began): (Vec<u8>, Instant),
) -> Result<Ready, Stays> {
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
    prepare(conn, asked, &view, scratch, began)
}
