//! HTTP/2 with a client, every limit set (P01 to P04): the connection is one task, each request another of the same thread.
//! GOAWAY goes out twice on a drain, so that no request under way is lost.
//! Read next: `h2_side.rs`, one request.

use crate::client::asks::settled;
use crate::client::conn::Conn;
use crate::client::ended::{ended, untaken};
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
use crate::exchange::views::HeadView;
use crate::exchange::words::BodyLen;
use everyhop_http1::{self as http1, FieldId};
use everyhop_http2::{Code, Config, Connection, Fault, Head};
use everyhop_plan::Limits;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Late;
use everyhop_transport::h2::{Came, Ended, Incoming, Mover, Talk, Untaken};
use everyhop_transport::side::Wire;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

/// Streams that were reset, of which frames may still come: at least so many.
const REMEMBERED: u32 = 128;

fn config(limits: &Limits, window: u32) -> Config {
    Config {
        streams: limits.h2_streams,
        window_bytes: window,
        connection_window_bytes: limits.h2_connection_window_bytes,
        head_bytes: limits.h2_header_list_bytes,
        // Those that are too many are judged with their request, which is told.
        head_fields: u32::MAX,
        resets: limits.h2_resets,
        // Those that are refused are remembered, too.
        remembered: limits.h2_streams.saturating_mul(2).max(REMEMBERED),
        output_bytes: 64 * 1024,
        // Whether a route takes a WebSocket is said by its answer, as in HTTP/1.1 (RFC 8441 §3).
        extended_connect: true,
        ..Config::server()
    }
}

enum Event {
    Request(Box<Incoming>),
    Untaken(Untaken),
    Ended(Ended),
    /// Its streams may hold more.
    Widened,
    /// What is held of some keeps others from sending.
    HeldUp,
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
    let heard = Heard::new(core.watches().clock.clone());
    let owed = Owed::new(conn.clone());
    let own = limits.h2_connection_window_bytes;
    let windows = Windows::new(core.lent.clone(), own, conn.opened.way);
    let window = windows.of_streams(limits.h2_stream_window_bytes);
    let codec = Connection::server(config(limits, window));
    let mut mover = Mover::server(codec, wire, first, Ear::new(heard.clone(), owed.clone()));
    let talk = mover.talk().clone();
    // A client that fills it may fill the connection's window with one stream: that is the bound of what it holds.
    let mut pulse = Pulse::new(talk.clone(), heard, window, own.max(window));
    let mut asked_any = false;
    let mut greeted = false;
    let mut generation = core.generation();
    let mut leaving = false;
    loop {
        let event = poll_fn(|cx| match mover.poll_next(cx) {
            Poll::Pending if windows.has_over(cx) => Poll::Ready(Event::Over),
            Poll::Ready(Came::Request(request)) => Poll::Ready(Event::Request(request)),
            Poll::Ready(Came::Untaken(why)) => Poll::Ready(Event::Untaken(why)),
            Poll::Ready(Came::Ended(ended)) => Poll::Ready(Event::Ended(ended)),
            // What is set is sent when the session is looked at again.
            Poll::Pending if widens(&mut pulse, &talk) => Poll::Ready(Event::Widened),
            Poll::Pending if talk.is_held_up(windows.least()) && windows.widen() => Poll::Ready(Event::HeldUp),
            Poll::Pending if !leaving && (core.is_draining() || generation != core.generation()) => {
                Poll::Ready(Event::Look)
            }
            Poll::Pending if !greeted && talk.takes_extended_connect().is_some() => {
                greeted = true;
                if !leaving {
                    watch.within_s(limits.idle_s);
                }
                watch.poll_late(cx).map(|Late| Event::Look)
            }
            Poll::Pending => watch.poll_late(cx).map(|Late| Event::Look),
        })
        .await;
        match event {
            Event::Widened => {}
            Event::HeldUp => talk.set_connection_window(windows.target()),
            Event::Over => windows.settle(|target| talk.set_connection_window(target)),
            // It was told to go when it became old, and goes on opening streams.
            Event::Request(..) if leaving && conn.is_long_old() => return ended(&conn, Refusal::TunnelAge, 0, 0),
            Event::Request(request) => {
                (asked_any, greeted) = (true, true);
                if !leaving && conn.is_old() {
                    leaving = true;
                    talk.leave();
                }
                let loan = windows.lend(body_of(&request.head, request.last));
                if loan.is_some() {
                    talk.set_connection_window(windows.target());
                }
                let counted = Counted::new(&owed);
                // Boxed where it is made: a task moves its future several times.
                tokio::task::spawn_local(Box::pin(stream(conn.clone(), request, loan, counted)));
            }
            Event::Untaken(why) => {
                asked_any = true;
                untaken(&conn, why);
            }
            Event::Ended(how) => {
                match broken(how) {
                    Some(why) => ended(&conn, why, 0, 0),
                    None if !asked_any => ended(&conn, Refusal::NoRequest, 0, 0),
                    None => {}
                }
                if how != Ended::Closed {
                    watch.within_s(1);
                    poll_fn(|cx| match mover.poll_close(cx) {
                        Poll::Ready(()) => Poll::Ready(()),
                        Poll::Pending => watch.poll_late(cx).map(|Late| ()),
                    })
                    .await;
                }
                return;
            }
            Event::Look if !greeted && watch.is_late() => return ended(&conn, Refusal::NoRequest, 0, 0),
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
                    talk.leave();
                    // Streams under way have until the drain's end; an idle peer a moment to see the GOAWAY.
                    watch.within_s(1);
                } else if !leaving && (core.is_draining() || moved) {
                    leaving = true;
                    talk.leave();
                    if core.is_draining() {
                        watch.at_ms(core.drain_deadline_ms());
                    }
                }
            }
        }
    }
}

fn widens(pulse: &mut Pulse, talk: &Talk) -> bool {
    let Some(window) = pulse.look() else { return false };
    // Not while it has not acknowledged the one before.
    let set = talk.set_window(window);
    if set {
        pulse.set_window(window);
    }
    set
}

/// What the client did wrong, where a session ended by that: of a socket that ended its requests tell.
fn broken(how: Ended) -> Option<Refusal> {
    match how {
        Ended::Fault(fault) if fault.code() == Code::ENHANCE_YOUR_CALM => Some(Refusal::Http2Flood),
        Ended::Fault(Fault::Truncated) => None,
        Ended::Fault(_) => Some(Refusal::Http2Broken),
        Ended::Away(_) => Some(Refusal::ConnectionBroken),
        Ended::Closed | Ended::Over => None,
    }
}

async fn stream(conn: Rc<Conn>, request: Box<Incoming>, loan: Option<Loan>, _counted: Counted) {
    let began = Instant::now();
    let core = &conn.opened.arrived.core;
    let Incoming { stream, head, last } = *request;
    let body_len = body_of(&head, last);
    let mut work = Work::take();
    let Work { asked, scratch, .. } = &mut *work;
    (asked.id, asked.protocol) = (core.next_id(), "h2");
    // gRPC insists on trailers, so that nobody else is asked for a type.
    asked.grpc = head.get(b"te").is_some() && head.get(b"content-type").is_some_and(is_grpc);
    let mut client = H2::new(conn.clone(), (stream, loan), asked.grpc);
    client.expects = body_len != BodyLen::None && head.get(b"expect").is_some();
    let mut waited = Waited::Not;
    let mut wants = Wants::Plain;
    let mut ready = loop {
        let ready = judge(&conn, &head, asked, body_len, (std::mem::take(scratch), began));
        let Err(stays) = ready else { break ready };
        wants = Wants::of_fields(&HeadView(&head));
        if asked.lacks.is_none() {
            break Err(stays);
        }
        if let Err(stays) = Box::pin(keys::again(core, asked, stays, &mut waited)).await {
            break Err(stays);
        }
    };
    let mut held = None;
    if let Err(Stays::Asks(question)) = ready {
        let view = HeadView(&head);
        ready = Box::pin(settled(&conn, asked, &view, question, (&mut client, &mut held))).await;
    }
    client.keep(head);
    let carried = match ready {
        Ok(mut ready) => {
            let watch = core.watch();
            let carried = match held {
                None => {
                    client.owes_continue = client.expects && ready.built.may_be_h2();
                    carry(&*conn, asked, &mut ready, &mut client, &watch, began).await
                }
                Some(held) => {
                    client.owes_continue = false;
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
    if client.owes() {
        Box::pin(client.pay()).await;
    }
    // What would be in a tunnel that was not opened nobody sends.
    let lingers = !matches!(carried, Carried::Cut) && !asked.websocket;
    Work::give(Some(work));
    if lingers && client.is_sending() {
        Box::pin(client.linger()).await;
    }
    client.end();
}

fn body_of(head: &Head, last: bool) -> BodyLen {
    match head.content_length() {
        _ if last => BodyLen::None,
        // A tunnel declares nothing (RFC 9110 §9.3.6).
        Some(n) if head.method() != b"CONNECT" => BodyLen::Known(n),
        _ => BodyLen::Unknown,
    }
}

/// `application/grpc` and `application/grpc+proto`, and not gRPC-Web, which has its trailers in the body.
fn is_grpc(kind: &[u8]) -> bool {
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn judge(
    conn: &Conn,
    head: &Head,
    asked: &mut Asked,
    body: BodyLen,
    (scratch, began): (Vec<u8>, Instant),
) -> Result<Ready, Stays> {
    let limits = conn.opened.arrived.running.limits();
    // Crumbs of a cookie count each (threat P03).
    if head.fields().len() > usize::try_from(limits.h2_header_fields).unwrap_or(usize::MAX) {
        return Err(Refusal::TooManyFields.into());
    }
    let (mut proofs, mut expects, mut as_usual) = (0, 0, true);
    for it in head.fields() {
        match http1::field_id(it.name) {
            FieldId::Authorization => proofs += 1,
            // The same as in HTTP/1: an expectation that a backend would have to understand, and might not.
            FieldId::Expect => {
                expects += 1;
                as_usual &= it.value.eq_ignore_ascii_case(b"100-continue");
            }
            _ => {}
        }
    }
    if proofs > 1 {
        return Err(Refusal::BadFields.into());
    }
    if expects > 1 || !as_usual {
        return Err(Refusal::Http1(http1::Refused::Expectation).into());
    }
    asked.of_h2(head, body)?;
    if asked.target.len() > usize::try_from(limits.target_bytes).unwrap_or(usize::MAX) {
        return Err(Refusal::BadTarget.into());
    }
    prepare(conn, asked, &HeadView(head), scratch, began)
}
