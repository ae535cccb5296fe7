//! HTTP inside a session that ended here: each request is asked, admitted, carried to a backend and observed.
//! `h1.rs` and `h2.rs` speak with the client; what is common to both is here, in the order in which it happens.

pub(crate) mod answer;
pub(crate) mod budget;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod tunnel;
pub(crate) mod work;

use crate::admit;
use crate::backend::h1::H1Up;
use crate::backend::reach::Reached;
use crate::backend::up::Up;
use crate::deadlines::Watch;
use crate::exchange::asked::Asked;
use crate::exchange::both_ways::Exchange;
use crate::exchange::words::{Backend, Built, Client, Fields};
use crate::head::request as head;
use crate::line::{DONE, HopFragment, Line};
use crate::refusal::Refusal;
use crate::running::{RouteRun, Running};
use crate::side::Wire;
use crate::terminate::Opened;
use base64::Engine;
use everyhop_canon::forwarded;
use everyhop_decide::Headers;
use everyhop_http1::FieldId;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

/// RFC 9440 §2.3: a chain that is longer is not passed on.
const CHAIN_CERTS: usize = 8;

/// What all requests of a connection share.
pub(crate) struct Conn {
    pub(crate) opened: Opened,
    /// The peer's X-Forwarded-For is believed.
    trusted: bool,
    /// The peer's address as X-Forwarded-For and as Forwarded (RFC 7239 §6) write it.
    pub(crate) said: (Box<[u8]>, Box<[u8]>),
    /// RFC 9440: `:base64:` of the verified leaf.
    pub(crate) client_cert: Option<Vec<u8>>,
    pub(crate) client_cert_chain: Option<Vec<u8>>,
    /// When it has reached `limits.max_age_s`, in the thread's milliseconds.
    old_ms: u64,
}

impl Conn {
    pub(crate) fn new(opened: Opened) -> Conn {
        let ip = opened.arrived.client.ip();
        let trusted = opened.arrived.listening().is_some_and(|l| l.trusted.iter().any(|net| net.contains(ip)));
        let known = opened.arrived.running.sites.get(opened.site).is_some_and(|s| s.knows_clients);
        let (mut leaf, mut rest) = (None, Vec::new());
        if known && let Some((first, issuers)) = opened.client_chain.split_first() {
            leaf = Some(byte_sequence(first));
            rest = issuers.iter().take(CHAIN_CERTS).map(|c| byte_sequence(c)).collect();
        }
        let chain = (!rest.is_empty()).then(|| rest.join(&b", "[..]));
        let mut node = Vec::new();
        forwarded::write_node(&mut node, ip);
        let said = (ip.to_string().into_bytes().into(), node.into());
        let arrived = &opened.arrived;
        let old_ms = arrived.core.clock().now_ms.get() + u64::from(arrived.running.limits().max_age_s) * 1000;
        Conn { opened, trusted, said, client_cert: leaf, client_cert_chain: chain, old_ms }
    }

    /// It is time to go: what the handshake proved was proved too long ago.
    pub(crate) fn is_old(&self) -> bool {
        self.opened.arrived.core.clock().now_ms.get() >= self.old_ms
    }

    /// As [`Conn::is_old`], for as long as a drain takes.
    pub(crate) fn is_long_old(&self) -> bool {
        let arrived = &self.opened.arrived;
        let drain_ms = u64::from(arrived.running.plan.engine.drain_s) * 1000;
        arrived.core.clock().now_ms.get() >= self.old_ms.saturating_add(drain_ms)
    }

    /// Names that the client proved.
    pub(crate) fn client_names(&self) -> &[String] {
        self.opened.facts.peer.as_ref().map_or(&[], |p| &p.names)
    }

    /// The site that this connection's TLS ended at, in `running`; `None` if it is gone or makes other promises now.
    pub(crate) fn site_in(&self, running: &Running) -> Option<usize> {
        let before = &self.opened.arrived.running;
        if running.generation == before.generation {
            return Some(self.opened.site);
        }
        let promise = &before.sites.get(self.opened.site)?.promise;
        running.sites.iter().position(|s| s.promise == *promise)
    }
}

/// RFC 8941 §3.3.5.
fn byte_sequence(der: &[u8]) -> Vec<u8> {
    format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der)).into_bytes()
}

/// A request that may go, with its head for the backend.
pub(crate) struct Ready {
    pub(crate) running: Arc<Running>,
    pub(crate) route: usize,
    pub(crate) built: Built,
}

impl Ready {
    pub(crate) fn speaks_h2(&self) -> bool {
        matches!(self.built, Built::H2(_))
    }
}

/// Admits a request and writes its head for the backend. Pure but for counters; nothing is connected yet.
pub(crate) fn prepare<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    scratch: Vec<u8>,
) -> Result<Ready, Refusal> {
    let running = conn.opened.arrived.core.running().ok_or(Refusal::Draining)?;
    asked.chain.clear();
    if conn.trusted {
        believe(conn, asked, view);
    }
    let route = admit::admit(&running, conn, asked, view)?;
    let protocol = running.routes.get(route).and_then(|r| r.backends.first()).map(|b| b.protocol);
    let built = head::build(conn, asked, view, protocol.ok_or(Refusal::Unresolved)?, scratch);
    Ok(Ready { running, route, built: built.ok_or(Refusal::BadFields)? })
}

/// Takes over the part of X-Forwarded-For that trusted proxies vouch for.
fn believe(conn: &Conn, asked: &mut Asked, view: &impl Fields) {
    let mut whole = true;
    view.each(|id, _, value| {
        if id == FieldId::XForwardedFor {
            whole &= forwarded::addresses(value, &mut asked.chain);
        }
    });
    let trusted = conn.opened.arrived.listening().map(|l| l.trusted.as_slice()).unwrap_or_default();
    match forwarded::client_in(&asked.chain, trusted).filter(|_| whole) {
        Some(at) => drop(asked.chain.drain(..at)),
        // What cannot be read is not believed in part.
        None => asked.chain.clear(),
    }
}

/// How carrying a request ended.
pub(crate) enum Carried {
    /// The response is complete. `read_all`: so is the request.
    Done { read_all: bool },
    /// Nothing was answered yet; the client is owed this.
    Refused(Refusal),
    /// The response began and cannot be completed, or the client left.
    Cut,
    /// The connection now belongs to this tunnel.
    Switched(Switched),
}

/// What a tunnel needs: the backend's connection and what its observation says.
pub(crate) struct Switched {
    pub(crate) up: Box<H1Up>,
    pub(crate) reused: bool,
    pub(crate) began: Instant,
}

/// Carries an admitted request: a backend, the exchange, its observation.
pub(crate) async fn carry(
    conn: &Conn,
    asked: &Asked,
    ready: &Ready,
    client: &mut impl Client,
    watch: &Watch,
    began: Instant,
) -> Carried {
    let core = &conn.opened.arrived.core;
    let running = &ready.running;
    let Some(route) = running.routes.get(ready.route) else { return Carried::Refused(Refusal::NotFound) };
    let limits = &*route.limits;
    let mut tried = Vec::new();
    let mut again = false;
    loop {
        let reached = match core.backends.reach(running.generation, route, &mut tried, again).await {
            Ok(reached) => reached,
            Err(why) => {
                let seen = Seen { status: why.status(), end: Err(why), ..Seen::default() };
                record(conn, asked, running, Some(route), &seen, began);
                return Carried::Refused(why);
            }
        };
        let Reached { backend, mut up, reused } = reached;
        backend.health.requests.fetch_add(1, Ordering::Relaxed);
        up.start(&ready.built, asked);
        let mut exchange = Exchange::new(asked.body);
        watch.within_s(limits.body_progress_s);
        let ended = poll_fn(|cx| match exchange.poll(cx, client, &mut up, asked.websocket, watch, limits) {
            Poll::Pending if core.overdue.get() => Poll::Ready(Err(Refusal::Draining)),
            polled => polled,
        })
        .await;
        if let Err(why) = ended {
            // A connection that dies before any answer says nothing of the request, which may go once more if twice is
            // as good as once (RFC 9110 §9.2.2): elsewhere if there is another backend, since this one just broke. A lone
            // backend is asked again only over a new connection where a kept one may have died of age.
            let unanswered = !up.answered() && exchange.status == 0 && exchange.untouched();
            let elsewhere = reused || route.backends.len() > 1;
            let retry = elsewhere && unanswered && asked.is_idempotent() && is_of_hop(why);
            if !again && (retry || (up.was_unprocessed() && unanswered)) {
                again = true;
                if route.backends.len() > tried.len() + 1 {
                    tried.push(backend.hop_id);
                }
                continue;
            }
        }
        if ended.is_ok() && exchange.switched {
            // Observed when the tunnel ends.
            return match up {
                Up::H1(up) => Carried::Switched(Switched { up, reused, began }),
                Up::H2(_) => Carried::Cut,
            };
        }
        let facts = up.facts();
        let status = match ended {
            Err(why) if exchange.status == 0 => why.status(),
            _ => exchange.status,
        };
        let seen = Seen {
            hop: Some((&facts, reused)),
            status,
            bytes_in: exchange.body_in,
            bytes_out: exchange.body_out,
            end: ended,
        };
        record(conn, asked, running, Some(route), &seen, began);
        return match ended {
            Ok(()) => {
                if let Some(now) = core.running() {
                    core.backends.take_back(&now, route, up, exchange.sent_all());
                }
                Carried::Done { read_all: exchange.read_all() }
            }
            Err(why) if exchange.status == 0 && why != Refusal::ClientGone => Carried::Refused(why),
            Err(_) => Carried::Cut,
        };
    }
}

fn is_of_hop(why: Refusal) -> bool {
    matches!(why, Refusal::BackendClosed | Refusal::BackendReset)
}

/// What happened to one request.
pub(crate) struct Seen<'a> {
    pub(crate) hop: Option<(&'a HopFragment, bool)>,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) end: Result<(), Refusal>,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Seen { hop: None, status: 0, bytes_in: 0, bytes_out: 0, end: Ok(()) }
    }
}

/// Counts a request and writes its observation.
pub(crate) fn record(
    conn: &Conn,
    asked: &Asked,
    running: &Running,
    route: Option<&RouteRun>,
    seen: &Seen<'_>,
    began: Instant,
) {
    let core = &conn.opened.arrived.core;
    let stats = route.map_or(&running.elsewhere, |r| &r.stats).of(core.index);
    let (micros, us) = core.clock().unix_micros(began);
    stats.took(seen.status, us);
    stats.bytes_in.add(seen.bytes_in);
    stats.bytes_out.add(seen.bytes_out);
    if let Err(why) = seen.end {
        stats.refuse(why);
    }
    let line = Line {
        conn: &conn.opened.fragment,
        id: Some(asked.id),
        labels: route.map_or(&running.labels, |r| &r.labels),
        hop: seen.hop,
        protocol: Some(asked.protocol),
        method: Some(asked.method.as_bytes()).filter(|m| !m.is_empty()),
        host: Some(asked.host.as_bytes()).filter(|h| !h.is_empty()),
        path: Some(asked.path().as_bytes()).filter(|p| !p.is_empty()),
        status: seen.status,
        bytes_in: seen.bytes_in,
        bytes_out: seen.bytes_out,
        duration_us: us,
        end: seen.end.map_or_else(Refusal::slug, |()| DONE),
    };
    stats.saw(micros, &line, &mut core.log.borrow_mut());
}

/// Counts and observes a request that reached no backend.
pub(crate) fn refused(conn: &Conn, asked: &Asked, why: Refusal, began: Instant) {
    if let Some(running) = conn.opened.arrived.core.running() {
        let seen = Seen { status: why.status(), end: Err(why), ..Seen::default() };
        record(conn, asked, &running, None, &seen, began);
    }
}

/// Serves the requests of a session that was opened, in a task of its own, and counts the handshake that went well.
pub(crate) fn serve(opened: Opened, wire: Wire) {
    opened.arrived.running.elsewhere.of(opened.arrived.core.index).requests.add(1);
    let h2 = opened.facts.alpn.as_deref() == Some("h2");
    let conn = Rc::new(Conn::new(opened));
    if h2 {
        tokio::task::spawn_local(h2::serve(conn, wire));
    } else {
        tokio::task::spawn_local(h1::serve(conn, wire));
    }
}
