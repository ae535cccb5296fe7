//! Bytes both ways between a client whose TLS ended here and a backend, until both are done, or a term of the connection
//! is over: its route is gone or stricter, it is too idle or too old, or what it was opened by holds no more. Each
//! direction ends by itself, as it was ended: an end without TLS's goodbye goes on as one without. Nothing is read.

use crate::backend::link::Link;
use crate::stream::{Stream, terms};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::RouteRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::side::Wire;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

/// One direction.
#[derive(Default)]
pub(super) struct Way {
    buf: Buf,
    end: Option<End>,
    /// The other side was told of the end.
    done: bool,
    pub(super) moved: u64,
}

/// How a side ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Goodbye,
    /// Its socket ended and its TLS did not: nobody knows whether that was all (RFC 8446 §6.1).
    Cut,
}

/// Which side of a direction broke, and how.
enum Broke {
    From(io::Error),
    To(io::Error),
}

/// How a tunnel ended.
pub(super) struct Ended {
    pub(super) why: Result<(), Refusal>,
    /// What the end alone does not tell.
    pub(super) detail: Option<&'static str>,
}

/// What holds for it beside its idleness.
pub(super) struct Terms {
    pub(super) max_age_s: u32,
    pub(super) closes_at_s: i64,
}

/// The client's side, which may outlive one backend that ends before anything was sent to it.
pub(super) struct Tunnel {
    pub(super) client: Wire,
    pub(super) there: Way,
    pub(super) back: Way,
}

impl Tunnel {
    pub(super) fn new(client: Wire) -> Tunnel {
        Tunnel { client, there: Way::default(), back: Way::default() }
    }

    /// Carries bytes to and from the backend of `link` until the end.
    pub(super) async fn run(
        &mut self,
        stream: &Stream,
        route: &RouteRun,
        mut up: Wire,
        link: &Rc<Link>,
        mut generation: u64,
    ) -> Ended {
        let Tunnel { client, there, back } = self;
        // What the client said so far waits for this backend; of another's end it was told nothing.
        (there.done, *back) = (false, Way::default());
        let arrived = &stream.opened.arrived;
        let (core, watch) = (&arrived.core, &arrived.watch);
        let clock = core.clock();
        up.sock_mut().may_be_silent(route.limits.tunnel_idle_s);
        let idle_ms = u64::from(route.limits.tunnel_idle_s) * 1000;
        let since_ms = clock.now_ms.get();
        let mut old_ms = since_ms + u64::from(route.limits.max_age_s) * 1000;
        let mut closes_at_s = link.backend.closes_at_s;
        let mut idle_at_ms = since_ms + idle_ms;
        let why = poll_fn(|cx| {
            // Asked anew each time: somebody may have set the clock.
            let (now_ms, now_s) = (clock.now_ms.get(), clock.unix_s.get());
            let (ends_s, over) = ends(stream, link, closes_at_s, arrived.running.drain_s);
            if now_s > ends_s {
                return Poll::Ready(Err(over));
            }
            let before = there.moved + back.moved;
            let sent = pump(cx, client, &mut up, there);
            // What it says before its end, also where it takes nothing more, is the client's.
            let said = pump(cx, &mut up, client, back);
            if back.moved > 0 || !back.buf.is_empty() {
                link.answer_came();
            }
            match (sent, said) {
                (_, Err(Broke::From(e))) | (Err(Broke::To(e)), Ok(())) => {
                    return Poll::Ready(Err(broken(link, &e)));
                }
                (Ok(()), Ok(())) => {}
                _ => return Poll::Ready(Err(Refusal::ConnectionBroken)),
            }
            // It ended without a word while the client waited for one: that is no end that the client is told.
            if back.end.is_some() && !link.was_answered() && there.end.is_none() {
                return Poll::Ready(Err(Refusal::BackendClosed));
            }
            if finish(cx, &mut up, there).is_err() || finish(cx, client, back).is_err() {
                return Poll::Ready(Err(Refusal::ConnectionBroken));
            }
            if there.done && back.done {
                return Poll::Ready(Ok(()));
            }
            if there.moved + back.moved != before {
                idle_at_ms = now_ms + idle_ms;
            }
            if generation != core.generation() {
                generation = core.generation();
                let Some(terms) = terms(stream, route, link) else {
                    return Poll::Ready(Err(Refusal::RouteGone));
                };
                old_ms = since_ms + u64::from(terms.max_age_s) * 1000;
                closes_at_s = terms.closes_at_s;
            }
            let left_s = u64::try_from(ends_s.saturating_add(1).saturating_sub(now_s)).unwrap_or(0);
            watch.at_ms(old_ms.min(idle_at_ms).min(now_ms.saturating_add(left_s.saturating_mul(1000))));
            if core.is_draining() {
                watch.at_ms(watch.deadline_ms().min(core.drain_deadline_ms()));
            }
            watch.poll_late(cx).map(|_| {
                Err(match (now_ms >= old_ms, now_ms >= idle_at_ms) {
                    (true, _) => Refusal::TunnelAge,
                    (false, true) => Refusal::TunnelIdle,
                    (false, false) if core.is_draining() => Refusal::Draining,
                    // A date: whichever comes first.
                    (false, false) => over,
                })
            })
        })
        .await;
        if why.is_err() {
            up.sock_mut().reset_on_close();
        }
        let detail = match (there.end, back.end) {
            (Some(End::Cut), _) => Some("the client ended its connection without ending TLS"),
            (_, Some(End::Cut)) => Some("the backend ended its connection without ending TLS"),
            _ => None,
        };
        Ended { why, detail }
    }
}

/// The last second for which all holds by which it was opened, in Unix time, and what is over after it: what the client
/// proved, what the backend proved, or the word of whoever accepted plaintext, which has a drain's time to end.
fn ends(stream: &Stream, link: &Link, closes_at_s: i64, drain_s: u32) -> (i64, Refusal) {
    let accepted = closes_at_s.saturating_add(i64::from(drain_s)).saturating_sub(1);
    let (proven, over) = link.ends();
    let all = [
        (stream.client_not_after_s, Refusal::ClientExpired),
        (proven.saturating_sub(1), over),
        (accepted, Refusal::AcceptanceExpired),
    ];
    let first = all.into_iter().min_by_key(|(ends_s, _)| *ends_s);
    first.unwrap_or((i64::MAX, Refusal::AcceptanceExpired))
}

/// Why the backend's side broke: before it said anything, it is the hop that failed.
fn broken(link: &Link, e: &io::Error) -> Refusal {
    if link.was_answered() { Refusal::ConnectionBroken } else { link.broken(e) }
}

/// Tells the other side that a direction ended, once all that came before has gone out.
fn finish(cx: &mut Context<'_>, to: &mut Wire, way: &mut Way) -> io::Result<()> {
    let Some(end) = way.end.filter(|_| !way.done && way.buf.is_empty()) else { return Ok(()) };
    let said = match end {
        End::Goodbye => to.poll_close(cx),
        End::Cut => to.poll_flush(cx).map_ok(|()| to.sock_mut().shutdown_write()),
    };
    match said {
        Poll::Ready(Ok(())) => {
            way.done = true;
            way.buf.release();
            Ok(())
        }
        Poll::Ready(Err(e)) => Err(e),
        Poll::Pending => Ok(()),
    }
}

/// Moves what can be moved one way, and notes its end.
fn pump(cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire, way: &mut Way) -> Result<(), Broke> {
    loop {
        while !way.buf.is_empty() {
            match to.poll_write(cx, &mut way.buf) {
                Poll::Ready(Ok(n)) => way.moved += n as u64,
                Poll::Ready(Err(e)) => return Err(Broke::To(e)),
                Poll::Pending => return Ok(()),
            }
        }
        match to.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(e)) => return Err(Broke::To(e)),
            Poll::Pending => return Ok(()),
        }
        if way.end.is_some() {
            return Ok(());
        }
        match from.poll_read(cx, &mut way.buf) {
            Poll::Ready(Ok(0)) => way.end = Some(End::Goodbye),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => way.end = Some(End::Cut),
            Poll::Ready(Err(e)) => return Err(Broke::From(e)),
            Poll::Pending => return Ok(()),
        }
    }
}
