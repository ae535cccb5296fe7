//! Inspecting a request, where its route says so: the last of what is asked about it, and all of it. Its body is read and held until the
//! verdict is there; who has no such route never comes here. Read next: `../inspect/link.rs`, which puts the question, then
//! `held.rs`, by which the body goes on.

use crate::client::conn::Conn;
use crate::client::held::Held;
use crate::exchange::asked::Asked;
use crate::exchange::carry::Carrier;
use crate::exchange::inspection::{Found, Inspection};
use crate::exchange::sides::Client;
use crate::exchange::words::{BodyLen, Fields, Got};
use crate::inspect::frames::{Request, Said, Subject};
use crate::inspect::{Answered, Unasked};
use crate::worker::core::Core;
use everyhop_plan::OverBody;
use everyhop_record::refusal::Refusal;
use everyhop_running::fair::Whose;
use everyhop_running::waf::{Inspected, WafRun};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// So many times as long as a client may send nothing, a body that is held may take as a whole.
const TIMES: u64 = 4;
pub(super) const TOO_LARGE: &str = "it has more fields, or larger ones, than can be inspected";

/// Inspects it; why it does not pass, if so.
pub(crate) async fn inspected<V: Fields>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    by: &Arc<WafRun>,
    (client, held): (&mut impl Client, &mut Option<Box<Held>>),
) -> Option<Refusal> {
    let whose = Whose::from(asked.client(conn.opened.arrived.client.ip()));
    let began = match hold(conn, asked, (by, whose), client, held).await {
        Ok(()) => by.begin(whose).ok_or(Inspected::Busy),
        Err(Unheld::By(what)) => Err(what),
        // It is the client's own, and told as that.
        Err(Unheld::Client(why)) => {
            by.came(Inspected::Left, 0);
            return Some(why);
        }
    };
    let (mut found, took_us) = match began {
        Ok(_inspecting) => {
            let began = Instant::now();
            let found = verdict(conn, asked, view, by, client, held.as_deref()).await;
            (found, u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
        }
        Err(what) => (what.into(), 0),
    };
    // Somebody's word is for an inspector that is not there, or has too much to do: what it cannot inspect passes on nobody's.
    let unix_s = conn.opened.arrived.core.clock().unix_s.get();
    if matches!(found.what, Inspected::Down | Inspected::Busy) && by.passes_uninspected(unix_s) {
        found.what = Inspected::Uninspected;
    }
    by.came(found.what, took_us);
    let it = Inspection { by: by.clone(), found, took_us };
    let why = it.why();
    asked.others.get_or_insert_default().inspected = Some(it);
    why
}

/// Why a body is not held.
enum Unheld {
    By(Inspected),
    Client(Refusal),
}

/// Reads what is to be inspected of the body.
async fn hold(
    conn: &Conn,
    asked: &Asked,
    (by, whose): (&WafRun, Whose),
    client: &mut impl Client,
    held: &mut Option<Box<Held>>,
) -> Result<(), Unheld> {
    let most = usize::try_from(by.by.body_bytes).unwrap_or(usize::MAX);
    let refuses = by.by.over_body == OverBody::Refuse;
    match asked.body {
        BodyLen::None => return Ok(()),
        BodyLen::Known(n) if refuses && n > u64::from(by.by.body_bytes) => return Err(Unheld::By(Inspected::TooLong)),
        BodyLen::Known(_) | BodyLen::Unknown => {}
    }
    let core = &conn.opened.arrived.core;
    let progress_s = conn.opened.arrived.running.limits().body_progress_s;
    let (watch, now_ms) = (core.watch(), || core.clock().now_ms.get());
    // Who sends a byte now and then holds nothing for ever.
    let until_ms = now_ms() + u64::from(progress_s) * 1000 * TIMES;
    let more = || watch.at_ms(until_ms.min(now_ms() + u64::from(progress_s) * 1000));
    more();
    let held = held.get_or_insert_default();
    let (counted, most_held) = (held.counted.get_or_insert_with(|| by.holds(whose)), by.most_held());
    client.wants_body();
    poll_fn(|cx| {
        while !held.is_whole && held.body.len() <= most {
            match client.poll_body(cx, &mut held.body) {
                Poll::Ready(Ok(Got::Some)) if !counted.are(held.body.len().min(most), most_held) => {
                    return Poll::Ready(Err(Unheld::By(Inspected::Busy)));
                }
                Poll::Ready(Ok(Got::Some)) => more(),
                Poll::Ready(Ok(Got::End)) => (held.is_whole, held.trailers) = (true, client.trailers()),
                Poll::Ready(Err(why)) => return Poll::Ready(Err(Unheld::Client(why))),
                Poll::Pending if conn.is_overdue() => return Poll::Ready(Err(Unheld::Client(Refusal::ClientGone))),
                Poll::Pending => return watch.poll_late(cx).map(|_| Err(Unheld::Client(Refusal::BodyTooSlow))),
            }
        }
        let is_too_long = refuses && held.body.len() > most;
        Poll::Ready(if is_too_long { Err(Unheld::By(Inspected::TooLong)) } else { Ok(()) })
    })
    .await
}

/// What the inspector says of it, in time.
async fn verdict<V: Fields>(
    conn: &Conn,
    asked: &Asked,
    view: &V,
    by: &Arc<WafRun>,
    client: &mut impl Client,
    held: Option<&Held>,
) -> Found {
    let core = &conn.opened.arrived.core;
    let most = usize::try_from(by.by.body_bytes).unwrap_or(usize::MAX);
    let body = held.map(|it| it.body.bytes()).unwrap_or_default();
    let is_whole = held.is_none_or(|it| it.is_whole) && body.len() <= most;
    let mut frame = frame(conn, asked, view, by);
    frame.trailers(held.and_then(|it| it.trailers.as_ref()));
    let frame = frame.end(body.get(..most).unwrap_or(body), is_whole);
    let whose = asked.client(conn.opened.arrived.client.ip()).into();
    let answered = match asking(core, (by, whose), frame) {
        Ok(it) => it,
        Err(found) => return found,
    };
    let watch = core.watch();
    watch.at_ms(core.clock().now_ms.get() + u64::from(by.by.deadline_ms));
    let mut answered = pin!(answered);
    let said = poll_fn(|cx| {
        if let Poll::Ready(said) = answered.as_mut().poll(cx) {
            return Poll::Ready(said.map_err(|_| Inspected::Failed));
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Inspected::Left));
        }
        watch.poll_late(cx).map(|_| Err(Inspected::Late))
    })
    .await;
    found(by, said)
}

/// Puts the question; or what comes of it at once.
pub(super) fn asking(core: &Core, (by, whose): (&WafRun, Whose), frame: Option<Vec<u8>>) -> Result<Answered, Found> {
    let Some(frame) = frame else {
        return Err(Found { detail: Some(TOO_LARGE), ..Inspected::Failed.into() });
    };
    let link = core.shared.inspectors.of(&by.inspector).ok_or(Inspected::Down)?;
    Ok(link.ask(whose, frame).map_err(|why| match why {
        Unasked::Down => Inspected::Down,
        Unasked::Busy => Inspected::Busy,
    })?)
}

/// What that means.
pub(super) fn found(by: &WafRun, said: Result<Said, Inspected>) -> Found {
    match said {
        Ok(Said::Verdict(it)) => {
            let what = match (it.denies, by.blocks()) {
                (false, _) => Inspected::Allowed,
                (true, true) => Inspected::Denied,
                (true, false) => Inspected::WouldDeny,
            };
            Found { what, score: Some(it.score), rules: it.rules, detail: None }
        }
        Ok(Said::Overloaded) => Inspected::Busy.into(),
        Ok(Said::Failed(why)) => Found { detail: Some(why), ..Inspected::Failed.into() },
        Err(what) => what.into(),
    }
}

/// The frame of a request, without its body.
pub(super) fn frame<V: Fields>(conn: &Conn, asked: &Asked, view: &V, by: &WafRun) -> Request {
    let peer = conn.opened.arrived.client;
    let ip = asked.client(peer.ip());
    // Of whoever is vouched for the port is not known.
    let client = SocketAddr::new(ip, if ip == peer.ip() { peer.port() } else { 0 });
    let version = if asked.protocol == "h2" { 20 } else { 11 };
    let mut made = Request::begin(&Subject {
        policy: by.number,
        method: asked.method.as_bytes(),
        target: asked.target.as_bytes(),
        version,
        host: asked.host.as_bytes(),
        client,
    });
    view.each_as_sent(|_, name, value| made.field(name, value));
    made
}
