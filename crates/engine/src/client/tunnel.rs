//! A tunnel: after a backend's 101, or its 200 in HTTP/2, bytes both ways until one side ends, the route is gone, or it is
//! too idle or too old; whichever protocol either side speaks. Only after the backend agreed, and only to what was asked for:
//! a WebSocket, or what the route lists.

use crate::admit::still_shows;
use crate::backend::up::Up;
use crate::client::conn::Conn;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carrier, Ready, Switched, expired};
use crate::exchange::ends::End;
use crate::exchange::observed::{Seen, record};
use everyhop_decide::{Ask, Demand, Headers, NoHeaders, meeting};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::Watch;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::{Context, Poll};

/// Two ticks: within them some look at the clock before others.
const MOMENT_MS: u64 = 200;

/// One direction.
struct Way {
    buf: Buf,
    ended: bool,
    moved: u64,
    /// What it carries says by itself that it is at its end.
    says_goodbye: bool,
}

/// Carries the tunnel to its end. Beside the client's end is what it sent behind its request.
pub(crate) async fn run(
    conn: &Conn,
    asked: &Asked,
    ready: Ready,
    (mut client, waiting): (End, Buf),
    switched: Switched<Up>,
    watch: &Watch,
) {
    let Switched { up, reused, began, tries, turn: _turn } = switched;
    let Some(mut up) = up.into_end() else { return };
    let arrived = &conn.opened.arrived;
    let core = &arrived.core;
    let Ready { running, route: index, built, copied, within: _within } = ready;
    // Its route, and not the plan.
    let Some(route) = running.routes.get(index).cloned() else { return };
    // A plan that came between is asked at once: it may have come before the backend agreed.
    let mut generation = running.generation;
    let demanded = demanded(conn, asked, &running, index);
    drop((running, built, copied));
    let (route, limits) = (&*route, &route.limits);
    up.end.may_be_silent(limits.tunnel_idle_s);
    let idle_ms = u64::from(limits.tunnel_idle_s) * 1000;
    let since_ms = core.clock().now_ms.get();
    let mut old_ms = since_ms + u64::from(limits.max_age_s) * 1000;
    let hop_closes_at_s = up.link.backend.closes_at_s;
    // What a token opened ends with it.
    let token_ends_s = asked.token.as_ref().map_or(i64::MAX, |it| it.ends_s());
    let mut closes_at_s = hop_closes_at_s.min(conn.closes_at_s()).min(token_ends_s);
    let says_goodbye = asked.websocket;
    let mut there = Way { buf: waiting, ended: false, moved: 0, says_goodbye };
    let mut back = Way { buf: std::mem::take(&mut up.waiting), ended: false, moved: 0, says_goodbye };
    let mut idle_at_ms = core.clock().now_ms.get() + idle_ms;
    let _going = route.stats.of(conn.observer().thread).going();
    let ended = poll_fn(|cx| {
        // Asked anew each time: somebody may have set the clock.
        let closes_ms = conn.closes_ms(closes_at_s, arrived.running.drain_s);
        if core.clock().now_ms.get() >= closes_ms {
            return Poll::Ready(Err(over(closes_at_s, hop_closes_at_s, token_ends_s)));
        }
        let before = there.moved + back.moved;
        let open = pump(cx, &mut client, &mut up.end, &mut there) && pump(cx, &mut up.end, &mut client, &mut back);
        if there.ended && back.ended {
            return Poll::Ready(Ok(()));
        }
        if !open {
            // Where several streams share a connection, that may have gone at the drain's end a moment before.
            let over = core.is_draining() && core.clock().now_ms.get() + MOMENT_MS >= core.drain_deadline_ms();
            return Poll::Ready(Err(if over { Refusal::Draining } else { Refusal::ConnectionBroken }));
        }
        if there.moved + back.moved != before {
            idle_at_ms = core.clock().now_ms.get() + idle_ms;
        }
        if generation != core.generation() {
            generation = core.generation();
            let Some(terms) = terms(conn, asked, route, &demanded, up.link.backend.hop_id) else {
                return Poll::Ready(Err(Refusal::RouteGone));
            };
            old_ms = since_ms + u64::from(terms.max_age_s) * 1000;
            closes_at_s = terms.closes_at_s.min(token_ends_s);
        }
        watch.at_ms(old_ms.min(idle_at_ms).min(closes_ms));
        if core.is_draining() {
            watch.at_ms(watch.deadline_ms().min(core.drain_deadline_ms()));
        }
        watch.poll_late(cx).map(|_| {
            let now_ms = core.clock().now_ms.get();
            Err(match (now_ms >= old_ms, now_ms >= idle_at_ms) {
                (true, _) => Refusal::TunnelAge,
                (false, true) => Refusal::TunnelIdle,
                (false, false) if core.is_draining() => Refusal::Draining,
                // A date: the next look tells.
                (false, false) => over(closes_at_s, hop_closes_at_s, token_ends_s),
            })
        })
    })
    .await;
    if matches!(ended, Err(Refusal::ConnectionBroken)) {
        // A side that broke off did not say that this was all: nor does the other one hear so.
        client.cut();
        up.end.cut();
    } else {
        client.finish();
        up.end.finish();
    }
    let facts = up.link.facts.clone();
    let hop = Some((&*facts, reused));
    let seen = Seen {
        hop,
        failed: &tries.failures,
        status: 101,
        grpc: None,
        bytes_in: there.moved,
        bytes_out: back.moved,
        end: ended,
        // What the backend took was counted when the tunnel was opened: it is not whole.
        detail: None,
        ..Seen::default()
    };
    if let Some(running) = core.running() {
        record(&conn.observer(), asked, &running, Some(route), &seen, began);
    }
}

/// What ended at that time.
#[cold]
fn over(closes_at_s: i64, hop_closes_at_s: i64, token_ends_s: i64) -> Refusal {
    if closes_at_s == token_ends_s {
        return Refusal::TokenExpired;
    }
    expired(Refusal::AcceptanceExpired, closes_at_s < hop_closes_at_s)
}

/// What the running plan says of an open tunnel.
struct Terms {
    max_age_s: u32,
    closes_at_s: i64,
}

/// What was demanded of the request's fields, which nobody has any more once it is over: by its own route last.
type Demanded = Option<Vec<Vec<Demand>>>;

fn ask<'a>(asked: &'a Asked, headers: &'a dyn Headers) -> Ask<'a> {
    Ask { host: &asked.host, path: asked.path(), sent: asked.sent(), method: &asked.method, headers }
}

fn demanded(conn: &Conn, asked: &Asked, running: &Running, route: usize) -> Demanded {
    running.matcher.demanded(conn.listener(), &ask(asked, &NoHeaders), route)
}

/// The terms of the plan that runs now, if its own route still takes the request that began the tunnel, to the same hop:
/// whatever else changed cuts nothing. Where the same is demanded of its fields as was `before`, it has what its route wants
/// and not what those before that want.
fn terms(conn: &Conn, asked: &Asked, own: &RouteRun, before: &Demanded, hop_id: u64) -> Option<Terms> {
    let core = &conn.opened.arrived.core;
    let running = core.running()?;
    let (index, now) = running.routes.iter().enumerate().find(|(_, r)| r.name == own.name)?;
    let demanded = demanded(conn, asked, &running, index).filter(|now| before.as_ref() == Some(now))?;
    let fields = &meeting(demanded.last()?)?;
    let proved = conn.proved(&running, asked);
    let open = if conn.serves_plain() { Some(open_at(conn, asked, &running)?) } else { None };
    let site = open.map_or(proved.site, |(site, _)| Some(site))?;
    let who = if open.is_some() { proved.who.in_the_clear() } else { proved.who };
    let passes = running.matcher.admit(proved.listener, site, who, &ask(asked, fields), asked.upgrade()) == Ok(index);
    let now_s = core.clock().unix_s.get();
    let shown = (asked.token.as_deref(), asked.user.as_deref());
    if !passes || now_s > proved.client_not_after_s || !still_shows(&running, index, shown, now_s) {
        return None;
    }
    // Who was let in by nobody who is asked now is not in.
    let mut word = now.asks.iter();
    if word.any(|by| asked.verdict().is_none_or(|it| !it.by.judges_as(by))) {
        return None;
    }
    // Its head was inspected by the rules of then; what is in it never is.
    if now.waf.as_ref().is_some_and(|by| by.blocks() && asked.inspected().is_none_or(|it| it.by.by.name != by.by.name))
    {
        return None;
    }
    let backend = now.backends.iter().find(|b| b.hop_id == hop_id)?;
    let closes_at_s = open.map_or(i64::MAX, |(_, closes_at_s)| closes_at_s).min(backend.closes_at_s);
    Some(Terms { max_age_s: now.limits.max_age_s, closes_at_s })
}

/// Where a tunnel is that came in the clear: the site whose name it was asked for, and when its listener closes, if that
/// serves in `running` too.
fn open_at(conn: &Conn, asked: &Asked, running: &Running) -> Option<(usize, i64)> {
    let at = running.listeners.iter().find(|l| l.name == conn.listener() && l.speaks.serves_plain())?;
    Some((running.matcher.named_site(conn.listener(), &asked.host)?, at.speaks.closes_at_s()))
}

/// Moves what can be moved one way; false when that side broke.
fn pump(cx: &mut Context<'_>, from: &mut End, to: &mut End, way: &mut Way) -> bool {
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
            // WebSocket has a goodbye of its own: an end without TLS's says nothing. Of anything else it may be a part that
            // somebody cut off.
            Poll::Ready(Err(e)) if e.kind() != ErrorKind::UnexpectedEof || !way.says_goodbye => return false,
            Poll::Ready(_) => {
                way.ended = true;
                way.buf.release();
                to.finish();
                return true;
            }
            Poll::Pending => return true,
        }
    }
}
