//! Splice: bytes both ways between a client and a backend that share one TLS session. We hold no key and read no HTTP.
//!
//! A passthrough connection from its hello to its line. A backend is dialled (`dial.rs`), the hello goes first, as it came, and
//! bytes are carried until both sides have ended (`tunnel.rs`).

mod dial;
mod tunnel;

use self::dial::dial;
use self::tunnel::{Spliced, Tunnel};
use crate::arrived::{Arrived, Staying, unmapped};
use crate::backend::preface::Preface;
use crate::backend::{choose, link};
use crate::exchange::tries::Tries;
use crate::peek::Greeting;
use everyhop_canon::proxy;
use everyhop_decide::At;
use everyhop_plan::StartTls;
use everyhop_record::facts::{IdentityUse, TlsFacts};
use everyhop_record::failure::Failure;
use everyhop_record::line::{ConnFacts, ConnLine, DONE, HopFragment, Line};
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, CONNECTS};
use everyhop_running::backend::{BackendRun, Connected};
use everyhop_running::running::RouteRun;
use everyhop_running::spread::UnderWay;
use everyhop_transport::shares::Held;
use std::cell::OnceCell;
use std::sync::Arc;

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
        let (facts, moved) = (tunnel.facts(), tunnel.moved());
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
    let fragment = OnceCell::new();
    let conn = ConnFacts {
        id: it.id,
        listener: &it.listening.name,
        peer: it.peer,
        client: it.client.ip(),
        sni: host,
        tls: "passed",
        facts: &facts,
        refused: None,
    };
    let (micros, us) = it.core.clock().unix_micros(it.started);
    let line = Line {
        conn: ConnLine::Known(conn, &fragment),
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
