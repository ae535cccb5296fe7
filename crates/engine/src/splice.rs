//! Splice: bytes both ways between a client and a backend that share one TLS session. We hold no key and read no HTTP.
//!
//! The hello goes first, as it came. The backend's first record is read, bounded: a ServerHello tells version, suite
//! and group for the evidence; anything but TLS closes, so that plaintext cannot hide behind a hello. After that, bytes
//! are bytes; each direction ends on its own (half-close). Read next: `backend/connect.rs`.

use crate::arrived::{Arrived, Staying, unmapped};
use crate::backend::preface::Preface;
use crate::backend::{choose, connect, link};
use crate::exchange::tries::Tries;
use crate::peek::Greeting;
use everyhop_canon::proxy;
use everyhop_decide::{At, Verdict};
use everyhop_hello::{self as hello, ServerFirst};
use everyhop_plan::StartTls;
use everyhop_record::facts::{IdentityUse, TlsFacts};
use everyhop_record::failure::Failure;
use everyhop_record::line::{ConnFacts, ConnFragment, DONE, HopFragment, Line};
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS};
use everyhop_running::backend::{BackendRun, Connected};
use everyhop_running::running::RouteRun;
use everyhop_running::spread::UnderWay;
use everyhop_transport::buf::Buf;
use everyhop_transport::pipe::{Moved, Pipe};
use everyhop_transport::shares::Held;
use everyhop_transport::sock::{self, Sock};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::net::TcpStream;

/// A ServerHello is far below this; more without one is not TLS that we know.
const FIRST_BYTES: usize = 8 * 1024;

/// Reaches a backend for a passthrough connection and lets it be carried to its end, in a task of its own: what peeking and
/// dialling needed is not held for as long as bytes pass.
pub(crate) async fn splice(mut it: Arrived, hello: Greeting, route: usize) {
    let from = it.running.matcher.admit_passed(route, At::Address(it.client.ip()));
    let Some(route) = it.running.routes.get(route).cloned() else { return };
    let generation = it.running.generation;
    let header = header(&it, &hello, &route);
    let (Some(client), first) = (it.sock.take(), std::mem::take(&mut it.bytes)) else { return };
    let it = it.keeping(Spliced { generation });
    let stats = route.stats.of(it.core.index);
    stats.connections.add(1);
    let mut tries = Tries::by(route.key_of(it.client.ip()));
    if from.is_err() {
        let why = Err(Refusal::AddressNotAllowed);
        return end(&it, hello.host.as_deref(), &route, (None, &tries.failures), TlsFacts::default(), (0, 0), why);
    }
    let preface = Preface { first: &header, starttls: route.starttls, ..Preface::NONE };
    if !lines_up(it.listening.starttls, route.starttls) {
        let why = Err(Refusal::OtherProtocol);
        return end(&it, hello.host.as_deref(), &route, (None, &tries.failures), TlsFacts::default(), (0, 0), why);
    }
    let (backend, address, up, held) = match dial(&it, &route, &mut tries, &preface).await {
        Ok(it) => it,
        Err(why) => {
            let hop = tries.failures.last().map(Failure::fragment);
            let facts = TlsFacts::default();
            return end(&it, hello.host.as_deref(), &route, (hop.as_ref(), &tries.failures), facts, (0, 0), Err(why));
        }
    };
    let tunnel = Tunnel::new(&it, (&header, first), &route, client, up);
    let under_way = (route.sends_to(&backend), backend.connected());
    let failures = tries.failures;
    let carried =
        Carried { it, host: hello.host, route, backend, address, failures, tunnel, _held: held, _under_way: under_way };
    tokio::task::spawn_local(Box::new(carried).carry());
}

/// A passthrough connection whose backend was reached: what it holds for as long as it lives, so each field is paid for by
/// every idle one.
struct Carried {
    it: Staying<Spliced>,
    /// The hello's.
    host: Option<String>,
    route: Arc<RouteRun>,
    backend: Arc<BackendRun>,
    address: Address,
    /// Of what was tried before.
    failures: Vec<Failure>,
    tunnel: Tunnel,
    _held: Held,
    _under_way: (Option<UnderWay>, Connected),
}

impl Carried {
    /// To its end, and to its line.
    async fn carry(mut self: Box<Self>) {
        let Carried { it, host, route, backend, address, failures, tunnel, .. } = &mut *self;
        let ended = tunnel.run(it, route, host.as_deref(), backend.hop_id, || choose::healed(backend, address)).await;
        if ended.is_err() {
            tunnel.abort();
        }
        if let Some(why) = tunnel.failure(ended) {
            it.core.backends.failed(route, backend, address, CONNECTS);
            let failed = link::failure(backend, address, why);
            it.core.backends.tell(backend, address, failed, it.started, failures);
        }
        let (facts, moved) = (tunnel.told.facts(), (tunnel.to_backend.moved, tunnel.to_client.moved));
        let hop = HopFragment::passed(&backend.at, address.at, "passthrough", &facts, IdentityUse::Unknown);
        end(it, host.as_deref(), route, (Some(&hop), failures), facts, moved, ended);
    }
}

/// Nobody can take a greeting away within a session that passes, or add one: what a client asked for TLS in, the backend is
/// asked in too, where its servers greet.
fn lines_up(client: Option<StartTls>, backend: Option<StartTls>) -> bool {
    match (client, backend) {
        (Some(one), Some(other)) => one == other,
        (one, other) => !one.or(other).is_some_and(StartTls::greets),
    }
}

/// The PROXY header for a backend; empty where the route sends none.
fn header(it: &Arrived, hello: &Greeting, route: &RouteRun) -> Vec<u8> {
    let mut out = Vec::new();
    if !route.send_proxy {
        return out;
    }
    let id = it.id.to_be_bytes();
    let mut tlvs: Vec<(u8, &[u8])> = Vec::new();
    if let Some(alpn) = hello.alpn.first() {
        tlvs.push((proxy::ALPN, alpn));
    }
    if let Some(host) = &hello.host {
        tlvs.push((proxy::AUTHORITY, host.as_bytes()));
    }
    tlvs.push((proxy::UNIQUE_ID, &id));
    // Our address that they reached.
    let local = it.sock.as_ref().and_then(|s| s.local_addr().ok()).map_or(it.peer, unmapped);
    proxy::write_v2(&mut out, it.client, local, &tlvs);
    out
}

async fn dial(
    it: &Staying<Spliced>,
    route: &RouteRun,
    tries: &mut Tries,
    preface: &Preface<'_>,
) -> Result<(Arc<BackendRun>, Address, Sock, Held), Refusal> {
    loop {
        let chosen = choose::choose(it.core.clock().unix_s.get(), route, tries);
        // What was tried says more than that nothing is left.
        let backend = chosen.map_err(|why| tries.failures.last().map_or(why, |last| last.why))?;
        let addresses = choose::addresses(&backend, tries);
        let until_ms = it.core.clock().now_ms.get() + u64::from(route.limits.connect_s) * 1000;
        let mut why = Refusal::ConnectFailed;
        for (i, address) in addresses.iter().enumerate() {
            let began = Instant::now();
            let now = it.core.clock().now_ms.get();
            it.watch.at_ms(now + until_ms.saturating_sub(now) / (addresses.len() - i).max(1) as u64);
            let silent_ms = sock::silent_ms(route.limits.tunnel_idle_s);
            let failed = match connect::dial(&backend, address, &it.watch, silent_ms).await {
                Ok(connect::Dialled { mut sock, held }) => {
                    // Where nothing is asked first, the header goes with the hello.
                    let asked = match preface.starttls {
                        None => Ok(()),
                        Some(_) => connect::say(&mut sock, preface, true, &it.watch).await,
                    };
                    let Err((why, detail)) = asked else { return Ok((backend, address.clone(), sock, held)) };
                    let mut failed = link::failure(&backend, address, why);
                    failed.detail = detail.map(str::to_owned);
                    Box::new(failed)
                }
                Err(failed) => failed,
            };
            why = failed.why;
            if why == Refusal::HopDescriptors {
                it.core.backends.pools.forget_idle();
                it.core.backends.tell(&backend, address, *failed, began, &mut tries.failures);
                return Err(why);
            }
            // Whoever says that it takes nobody now is there.
            if why != Refusal::HopNotReady {
                it.core.backends.failed(route, &backend, address, CONNECTS);
            }
            it.core.backends.tell(&backend, address, *failed, began, &mut tries.failures);
        }
        tries.leave_out(backend.hop_id);
        if tries.hops() >= route.takers() {
            return Err(why);
        }
    }
}

/// What it keeps of the plan at its arrival, beside its route.
struct Spliced {
    generation: u64,
}

/// One direction.
#[derive(Default)]
struct Way {
    buf: Buf,
    eof: bool,
    shut: bool,
    moved: u64,
    /// The last read took all the room there was.
    hungry: bool,
    /// While it moves bulk, bytes do not come through us at all.
    pipe: Option<Pipe>,
}

/// What the backend's first record tells in the clear.
#[derive(Default)]
struct Told {
    version: Option<&'static str>,
    suite: Option<&'static str>,
    group: Option<&'static str>,
}

impl Told {
    fn facts(&self) -> TlsFacts {
        let Told { version, suite, group } = *self;
        TlsFacts { version, suite, group, ..TlsFacts::default() }
    }
}

struct Tunnel {
    client: Sock,
    up: Sock,
    to_backend: Way,
    to_client: Way,
    /// Bytes of the backend held back until they are known to be TLS.
    first_seen: bool,
    /// The backend ended before the client did.
    backend_first: bool,
    told: Told,
    generation: u64,
    began_ms: u64,
    age_ms: u64,
    idle_ms: u64,
    idle_at_ms: u64,
}

impl Tunnel {
    /// `first` is what the client said: its hello.
    fn new(
        it: &Staying<Spliced>,
        (header, mut first): (&[u8], Buf),
        route: &RouteRun,
        client: TcpStream,
        up: Sock,
    ) -> Tunnel {
        let limits = &route.limits;
        let mut to_backend = Way::default();
        if route.starttls.is_none() {
            to_backend.buf.push(header);
        }
        to_backend.buf.push(first.bytes());
        first.release();
        let now = it.core.clock().now_ms.get();
        Tunnel {
            client: Sock::Tcp(client),
            up,
            to_backend,
            to_client: Way::default(),
            first_seen: false,
            backend_first: false,
            told: Told::default(),
            generation: it.running.generation,
            began_ms: now,
            age_ms: now + u64::from(limits.max_age_s) * 1000,
            idle_ms: u64::from(limits.tunnel_idle_s) * 1000,
            idle_at_ms: now,
        }
    }

    /// What the backend's end says against it: it ended first, and before a byte of TLS came.
    fn failure(&self, ended: Result<(), Refusal>) -> Option<Refusal> {
        match ended {
            Err(Refusal::SpliceNotTls) => Some(Refusal::SpliceNotTls),
            Ok(()) | Err(Refusal::ConnectionBroken) if !self.first_seen && self.backend_first => {
                Some(Refusal::BackendClosed)
            }
            _ => None,
        }
    }

    /// `host` is the hello's; `hop_id`, the backend's; `began` is called once the backend speaks TLS.
    /// Not an `async fn`: that would keep each of its arguments twice.
    fn run(
        &mut self,
        it: &Staying<Spliced>,
        route: &RouteRun,
        host: Option<&str>,
        hop_id: u64,
        began: impl Fn(),
    ) -> impl Future<Output = Result<(), Refusal>> {
        poll_fn(move |cx| {
            let seen = self.first_seen;
            let before = self.to_backend.moved + self.to_client.moved;
            let both = (self.to_backend.shut, self.to_client.shut);
            let there = pump(cx, &mut self.client, &mut self.up, &mut self.to_backend, both.1, |_| Ok(true));
            let Tunnel { first_seen, told, client, up, to_client, .. } = &mut *self;
            let back = pump(cx, up, client, to_client, both.0, |bytes| {
                if !*first_seen {
                    *first_seen = first(bytes, told)?;
                }
                Ok(*first_seen)
            });
            if self.first_seen && !seen {
                began();
            }
            self.backend_first |= !self.to_backend.eof && (self.to_client.eof || back.is_err());
            match (there, back) {
                (Err(e), _) | (_, Err(e)) => return Poll::Ready(Err(e)),
                (Ok(true), Ok(true)) => return Poll::Ready(Ok(())),
                _ => {}
            }
            let now = it.core.clock().now_ms.get();
            if before != self.to_backend.moved + self.to_client.moved || it.watch.deadline_ms() == u64::MAX {
                self.idle_at_ms = now + self.idle_ms;
                it.watch.at_ms(self.age_ms.min(self.idle_at_ms));
            }
            if self.generation != it.core.generation() {
                self.generation = it.core.generation();
                let Some(max_age_s) = still_routed(it, route, host, hop_id) else {
                    return Poll::Ready(Err(Refusal::RouteGone));
                };
                self.age_ms = self.began_ms + u64::from(max_age_s) * 1000;
                it.watch.at_ms(self.age_ms.min(self.idle_at_ms));
            }
            if it.core.is_draining() {
                it.watch.at_ms(it.watch.deadline_ms().min(it.core.drain_deadline_ms()));
            }
            it.watch.poll_late(cx).map(|_| {
                Err(match (now >= self.age_ms, now >= self.idle_at_ms) {
                    (true, _) => Refusal::TunnelAge,
                    (false, false) if it.core.is_draining() => Refusal::Draining,
                    (false, _) => Refusal::TunnelIdle,
                })
            })
        })
    }

    /// Both sides learn that it did not end well: a reset, not an orderly end.
    fn abort(&self) {
        self.client.reset_on_close();
        self.up.reset_on_close();
    }
}

/// How old a tunnel may become by the plan that runs now, if that takes the same hello by the same route to the same backend,
/// whatever else it changed.
fn still_routed(it: &Staying<Spliced>, own: &RouteRun, host: Option<&str>, hop_id: u64) -> Option<u32> {
    let now = it.core.running()?;
    let Verdict::Splice(route) = now.matcher.hello(&it.listening.name, host) else { return None };
    now.matcher.admit_passed(route, At::Address(it.client.ip())).ok()?;
    let route = now.route(route).filter(|r| r.name == own.name)?;
    route.backends.iter().any(|b| b.hop_id == hop_id).then_some(route.limits.max_age_s)
}

/// Judges the backend's first bytes: true once they are known to be TLS.
fn first(bytes: &[u8], told: &mut Told) -> Result<bool, Refusal> {
    match hello::first_server_record(bytes) {
        ServerFirst::NeedMore if bytes.len() < FIRST_BYTES => Ok(false),
        ServerFirst::ServerHello(server) => {
            told.version = Some(hello::version_name(server.version));
            told.suite = Some(hello::suite_name(server.suite));
            told.group = server.group.map(hello::group_name);
            Ok(true)
        }
        ServerFirst::Alert { .. } => Ok(true),
        ServerFirst::NeedMore | ServerFirst::NotTls => Err(Refusal::SpliceNotTls),
    }
}

/// Moves what can be moved one way; true when that way has ended. `last`: the other way has ended before. `pass` judges
/// bytes before they go on.
fn pump(
    cx: &mut Context<'_>,
    from: &mut Sock,
    to: &mut Sock,
    way: &mut Way,
    last: bool,
    mut pass: impl FnMut(&[u8]) -> Result<bool, Refusal>,
) -> Result<bool, Refusal> {
    let mut held = false;
    loop {
        while !way.buf.is_empty() && !held {
            if !pass(way.buf.bytes())? {
                held = true;
                break;
            }
            match to.poll_write(cx, way.buf.bytes()) {
                Poll::Ready(Ok(n)) => {
                    way.moved += n as u64;
                    way.buf.consume_keep(n);
                }
                Poll::Ready(Err(_)) => return Err(Refusal::ConnectionBroken),
                Poll::Pending => return Ok(false),
            }
        }
        if !way.eof
            && way.buf.is_empty()
            && (way.hungry || way.pipe.is_some())
            && let Poll::Ready(wide) = poll_bulk(cx, from, to, way)
        {
            wide?;
        } else if way.pipe.is_some() {
            return Ok(false);
        }
        if way.eof {
            if held {
                return Err(Refusal::SpliceNotTls);
            }
            if !way.shut {
                way.shut = true;
                way.buf.release();
                // Where the other way ended before, closing the socket says it.
                if !last {
                    to.shutdown_write();
                }
            }
            return Ok(true);
        }
        match from.poll_fill(cx, &mut way.buf, &mut way.hungry) {
            Poll::Ready(Ok(0)) => way.eof = true,
            Poll::Ready(Ok(_)) => held = false,
            Poll::Ready(Err(_)) => return Err(Refusal::ConnectionBroken),
            Poll::Pending => {
                if way.buf.is_empty() {
                    way.buf.release();
                }
                return Ok(false);
            }
        }
    }
}

/// Moves bulk between TCP sockets past us; Ready when that is over or cannot be.
fn poll_bulk(cx: &mut Context<'_>, from: &Sock, to: &Sock, way: &mut Way) -> Poll<Result<(), Refusal>> {
    way.hungry = false;
    let (Sock::Tcp(from), Sock::Tcp(to)) = (from, to) else { return Poll::Ready(Ok(())) };
    let Some(mut pipe) = way.pipe.take().or_else(Pipe::take) else { return Poll::Ready(Ok(())) };
    way.buf.release();
    match pipe.poll_move(cx, from, to, &mut way.moved) {
        Poll::Pending => {
            way.pipe = Some(pipe);
            Poll::Pending
        }
        Poll::Ready(Ok(moved)) => {
            way.eof = matches!(moved, Moved::End);
            pipe.give();
            Poll::Ready(Ok(()))
        }
        Poll::Ready(Err(_)) => Poll::Ready(Err(Refusal::ConnectionBroken)),
    }
}

fn end(
    it: &Staying<Spliced>,
    host: Option<&str>,
    route: &RouteRun,
    (hop, failed): (Option<&HopFragment>, &[Failure]),
    facts: TlsFacts,
    (to_backend, to_client): (u64, u64),
    ended: Result<(), Refusal>,
) {
    let stats = route.stats.of(it.core.index);
    stats.bytes_in.add(to_backend);
    stats.bytes_out.add(to_client);
    if let Err(why) = ended {
        stats.refuse(why);
    }
    let conn = ConnFragment::of(&ConnFacts {
        id: it.id,
        listener: &it.listening.name,
        peer: it.peer,
        client: it.client.ip(),
        sni: host,
        tls: "passed",
        facts,
        refused: None,
    });
    let (micros, us) = it.core.clock().unix_micros(it.started);
    let line = Line {
        conn: &conn,
        id: None,
        lines: &route.lines,
        hop: hop.map(|h| (h, false)),
        failed,
        protocol: None,
        method: None,
        host: None,
        path: None,
        status: 0,
        grpc: None,
        bytes_in: to_backend,
        bytes_out: to_client,
        duration_us: us,
        end: ended.map_or_else(Refusal::slug, |()| DONE),
        detail: None,
        told_id: None,
        kept: None,
        trace: None,
        token: None,
        user: None,
        beside: None,
    };
    stats.saw(micros, &line, &mut it.core.log.borrow_mut());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future<F: Future>(_: impl Fn(Box<Carried>) -> F) -> usize {
        size_of::<F>()
    }

    /// The allocator has classes of 640 and 768 bytes; a task of the runtime is a multiple of 128, of which 104 are its own.
    #[test]
    fn an_idle_passthrough_connection_holds_no_more_than_it_has_to() {
        assert!(size_of::<Carried>() <= 640, "{}", size_of::<Carried>());
        assert!(future(Carried::carry) <= 256 - 104, "{}", future(Carried::carry));
    }
}
