//! An upgraded connection: after a backend's 101, bytes both ways until one side ends, the route is gone, or it is too
//! idle or too old. Only for WebSocket, only after the backend agreed.

use crate::backend::h1::H1Up;
use crate::client::conn::Conn;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carrier, Ready, Switched};
use crate::exchange::observed::{Seen, record};
use everyhop_decide::{Answer, Ask, NoHeaders};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Watch;
use everyhop_transport::side::Wire;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One direction.
struct Way {
    buf: Buf,
    ended: bool,
    moved: u64,
}

/// Carries the tunnel to its end. `waiting` is what the client sent behind its request.
pub(crate) async fn run(
    conn: &Conn,
    asked: &Asked,
    ready: Ready,
    mut client: Wire,
    waiting: Buf,
    switched: Switched<Box<H1Up>>,
) {
    let Switched { mut up, reused, began, failed } = switched;
    let arrived = &conn.opened.arrived;
    let (core, watch): (_, &Watch) = (&arrived.core, &arrived.watch);
    // Its route, and not the plan.
    let Some(route) = ready.running.routes.get(ready.route).cloned() else { return };
    drop(ready);
    let (route, limits) = (&*route, &route.limits);
    let idle_ms = u64::from(limits.tunnel_idle_s) * 1000;
    let since_ms = core.clock().now_ms.get();
    let mut old_ms = since_ms + u64::from(limits.max_age_s) * 1000;
    let mut closes_at_s = up.link.backend.closes_at_s;
    let mut there = Way { buf: waiting, ended: false, moved: 0 };
    let mut back = Way { buf: std::mem::take(&mut up.inb), ended: false, moved: 0 };
    let mut generation = core.generation();
    let others = core.running().and_then(|running| asked_anew(conn, asked, &running).others);
    let mut idle_at_ms = core.clock().now_ms.get() + idle_ms;
    let ended = poll_fn(|cx| {
        // Asked anew each time: somebody may have set the clock.
        let closes_ms = closes_ms(conn, closes_at_s);
        if core.clock().now_ms.get() >= closes_ms {
            return Poll::Ready(Err(Refusal::AcceptanceExpired));
        }
        let before = there.moved + back.moved;
        let open = pump(cx, &mut client, &mut up.wire, &mut there) && pump(cx, &mut up.wire, &mut client, &mut back);
        if there.ended && back.ended {
            return Poll::Ready(Ok(()));
        }
        if !open {
            return Poll::Ready(Err(Refusal::ConnectionBroken));
        }
        if there.moved + back.moved != before {
            idle_at_ms = core.clock().now_ms.get() + idle_ms;
        }
        if generation != core.generation() {
            generation = core.generation();
            let Some(terms) = terms(conn, asked, route, &others, up.link.backend.hop_id) else {
                return Poll::Ready(Err(Refusal::RouteGone));
            };
            old_ms = since_ms + u64::from(terms.max_age_s) * 1000;
            closes_at_s = terms.closes_at_s;
        }
        watch.at_ms(old_ms.min(idle_at_ms).min(closes_ms));
        if core.is_draining() {
            watch.at_ms(watch.deadline_ms().min(core.drain_deadline_ms()));
        }
        watch.poll_late(cx).map(|_| {
            Err(match (core.is_draining(), core.clock().now_ms.get() >= old_ms) {
                (true, _) => Refusal::Draining,
                (false, true) => Refusal::TunnelAge,
                (false, false) => Refusal::TunnelIdle,
            })
        })
    })
    .await;
    client.close_now();
    up.wire.close_now();
    let facts = up.facts();
    let hop = Some((&*facts, reused));
    let seen = Seen {
        hop,
        failed: &failed,
        status: 101,
        bytes_in: there.moved,
        bytes_out: back.moved,
        end: ended,
        detail: None,
    };
    if let Some(running) = core.running() {
        record(&conn.observer(), asked, &running, Some(route), &seen, began);
    }
}

/// When a tunnel over an accepted plaintext hop must be over, in this thread's milliseconds and by the clock as it is
/// now: its requests had their time, so it gets a drain's.
fn closes_ms(conn: &Conn, closes_at_s: i64) -> u64 {
    let arrived = &conn.opened.arrived;
    if closes_at_s == i64::MAX {
        return u64::MAX;
    }
    let clock = arrived.core.clock();
    let left_s = closes_at_s.saturating_add(i64::from(arrived.running.drain_s)) - clock.unix_s.get();
    clock.now_ms.get().saturating_add(u64::try_from(left_s).unwrap_or(0).saturating_mul(1000))
}

/// What the running plan says of an open tunnel.
struct Terms {
    max_age_s: u32,
    closes_at_s: i64,
}

/// Who would take the request now, as far as that can be known without its fields.
struct Anew {
    /// The route that would let it pass.
    passes: Option<usize>,
    /// The name of the route that its path leads to.
    others: Option<Arc<str>>,
}

fn asked_anew(conn: &Conn, asked: &Asked, running: &Running) -> Anew {
    let Some(site) = conn.site_in(running) else { return Anew { passes: None, others: None } };
    let ask =
        Ask { host: &asked.host, path: asked.path(), sent: asked.sent(), method: &asked.method, headers: &NoHeaders };
    let others = match running.matcher.ask(site, &ask) {
        Answer::Route(route) => running.route(route).map(|r| r.name.clone()),
        _ => None,
    };
    Anew { passes: running.matcher.admit(site, conn.proved(running).who, &ask, true).ok(), others }
}

/// The terms of the plan that runs now, if its own route still takes the request that began the tunnel, to the same hop:
/// whatever else changed cuts nothing. A route that asks for fields is known by its rule, as long as `others`, whom the path
/// leads to without them, are the same.
fn terms(conn: &Conn, asked: &Asked, own: &RouteRun, others: &Option<Arc<str>>, hop_id: u64) -> Option<Terms> {
    let running = conn.opened.arrived.core.running()?;
    let (index, now) = running.routes.iter().enumerate().find(|(_, r)| r.name == own.name)?;
    let anew = asked_anew(conn, asked, &running);
    let by_fields = now.by_fields && now.rule == own.rule && anew.others == *others && conn.site_in(&running).is_some();
    if anew.passes != Some(index) && !by_fields {
        return None;
    }
    let backend = now.backends.iter().find(|b| b.hop_id == hop_id)?;
    Some(Terms { max_age_s: now.limits.max_age_s, closes_at_s: backend.closes_at_s })
}

/// Moves what can be moved one way; false when that side broke.
fn pump(cx: &mut Context<'_>, from: &mut Wire, to: &mut Wire, way: &mut Way) -> bool {
    loop {
        while !way.buf.is_empty() {
            match to.poll_write(cx, &mut way.buf) {
                Poll::Ready(Ok(n)) => way.moved += n as u64,
                Poll::Ready(Err(_)) => return false,
                Poll::Pending => return true,
            }
        }
        match to.poll_flush(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return false,
            Poll::Pending => return true,
        }
        if way.ended {
            return true;
        }
        match from.poll_read(cx, &mut way.buf) {
            Poll::Ready(Ok(n)) if n > 0 => {}
            // WebSocket has a goodbye of its own: an end without TLS's says nothing.
            Poll::Ready(Err(e)) if e.kind() != ErrorKind::UnexpectedEof => return false,
            Poll::Ready(_) => {
                way.ended = true;
                way.buf.release();
                to.close_now();
                return true;
            }
            Poll::Pending => return true,
        }
    }
}
