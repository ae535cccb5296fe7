//! A connection whose TLS ended here and whose bytes go on as they come: no HTTP is read, whatever they are. It is
//! admitted once, by the hello's name and by what the handshake proved; a backend is connected to at once, since some
//! protocols begin with the server's word. Read next: `tunnel.rs`, then `../backend/streams.rs`.

mod tunnel;

use crate::admit::{Proved, Refused, Shows, admit_stream};
use crate::backend::connect::Opened as Reached;
use crate::backend::link::Link;
use crate::backend::preface::{Preface, protocol};
use crate::exchange::tries::Tries;
use crate::stream::tunnel::{Ended, Tunnel};
use crate::terminate::Opened;
use everyhop_canon::proxy;
use everyhop_decide::{At, Who};
use everyhop_record::failure::Failure;
use everyhop_record::line::{DONE, HopFragment, Line};
use everyhop_record::refusal::Refusal;
use everyhop_running::address::CONNECTS;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::in_time;
use everyhop_transport::side::Wire;
use everyhop_transport::sock::Sock;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

/// Carries a session that was opened to its end, in a task of its own, and counts the handshake that went well.
pub(crate) fn serve(opened: Opened, wire: Wire, sni: Option<String>) {
    let core = &opened.arrived.core;
    if let Some(running) = core.running() {
        running.elsewhere.of(core.index).handshakes.add(1);
    }
    let client_not_after_s = opened.facts.peer.as_ref().map_or(i64::MAX, |p| p.not_after_s);
    let stream = Stream { opened, sni, client_not_after_s };
    tokio::task::spawn_local(async move { stream.carry(wire).await });
}

/// The client's side: what it asked for by its hello, and what it proved.
struct Stream {
    opened: Opened,
    sni: Option<String>,
    /// The last second of what the client proved itself by, in Unix time; `i64::MAX` where it proved nothing.
    client_not_after_s: i64,
}

/// What becomes of it in the end, for its line.
struct Told<'a> {
    hop: Option<&'a HopFragment>,
    failed: &'a [Failure],
    bytes: (u64, u64),
    end: Result<(), Refusal>,
    detail: Option<&'static str>,
}

impl Stream {
    /// The route that takes it under `running`.
    fn admit(&self, running: &Running) -> Result<usize, Refused> {
        let arrived = &self.opened.arrived;
        let names = self.opened.facts.peer.as_ref().map_or(&[][..], |p| p.known_by());
        let site = arrived.running.site_in(running);
        let listener = arrived.listening.name.as_str();
        let proved = Proved {
            listener,
            site,
            who: Who::proved(names, At::Address(arrived.client.ip())),
            client_not_after_s: self.client_not_after_s,
            // Of what is not read nobody asks for one.
            shows: Shows::Anything,
        };
        admit_stream(running, &proved, self.sni.as_deref(), arrived.core.clock().unix_s.get())
    }

    /// A client that asked for TLS in one protocol's words does not speak another within it.
    fn of_one_protocol(&self, running: &Running, it: usize) -> Result<usize, Refused> {
        let client = self.opened.arrived.listening.starttls;
        let backend = running.routes.get(it).and_then(|r| r.starttls);
        match client.zip(backend).is_some_and(|(one, other)| one != other) {
            true => Err(Refused { route: Some(it), why: Refusal::OtherProtocol }),
            false => Ok(it),
        }
    }

    /// The client waits for a greeting, and the backend's came in the clear, where anybody could have written it: the edge
    /// greets in its place. A client that is gone is found out by the tunnel.
    async fn greet(&self, route: &RouteRun, client: &mut Wire) {
        let us = reached_at(client).unwrap_or(self.opened.arrived.peer).ip();
        let Some(words) = route.starttls else { return };
        let mut says = Buf::default();
        says.push(&protocol(words).greeting(us));
        self.opened.arrived.watch.within_s(route.limits.connect_s);
        let _ = in_time(&self.opened.arrived.watch, poll_fn(|cx| client.poll_write_all(cx, &mut says))).await;
    }

    async fn carry(self, mut client: Wire) {
        let began = Instant::now();
        let core = self.opened.arrived.core.clone();
        let Some(running) = core.running() else { return };
        let admitted = match running.lines.must_refuse() {
            true => Err(Refusal::LogFull.into()),
            false => self.admit(&running).and_then(|it| self.of_one_protocol(&running, it)),
        };
        let admitted = admitted.and_then(|it| match running.routes.get(it).map(|r| &r.lines) {
            Some(lines) if lines.is_own && lines.must_refuse() => {
                Err(Refused { route: Some(it), why: Refusal::LogFull })
            }
            _ => Ok(it),
        });
        let route = match admitted {
            Ok(route) => running.routes.get(route).cloned(),
            Err(Refused { route, why }) => {
                client.sock_mut().reset_on_close();
                let route = route.and_then(|r| running.routes.get(r));
                let told = Told { hop: None, failed: &[], bytes: (0, 0), end: Err(why), detail: None };
                return self.tell(&running, route.map(|r| &**r), &told, began);
            }
        };
        // Its route, and not the plan: it may stay for days.
        let (Some(route), generation) = (route, running.generation) else { return };
        drop(running);
        route.stats.of(core.index).connections.add(1);
        let asked = self.opened.arrived.listening.starttls;
        // Whom the client heard a greeting of, before TLS or of ours.
        let mut greeted = asked.filter(|words| words.greets());
        let mut tries = Tries::by(route.key_of(self.opened.arrived.client.ip()));
        let mut tunnel = Tunnel::new(client);
        let (link, ended) = loop {
            let tried = Instant::now();
            let header = self.header(&route, &mut tunnel.client);
            // What client and backend speak is agreed on once: the backend hears what the client was told (RFC 7301).
            let alone = self.opened.facts.alpn.as_deref().map(str::as_bytes);
            let preface = Preface { first: &header, starttls: route.starttls, alone, greeted, whole: false };
            match core.backends.reach_stream(generation, &route, &mut tries, &preface).await {
                Err(why) => break (None, Ended { why: Err(why), detail: None }),
                Ok(Reached { wire, link, .. }) => {
                    let _under_way = route.sends_to(&link.backend);
                    if greeted.is_none() && preface.takes_greeting(link.backend.secured.is_some()) {
                        greeted = route.starttls;
                        self.greet(&route, &mut tunnel.client).await;
                    }
                    let ended = tunnel.run(&self, &route, wire, &link, generation).await;
                    if self.is_worth_another(&route, (&tunnel, tried), &link, &ended, &mut tries) {
                        continue;
                    }
                    break (Some(link), ended);
                }
            }
        };
        if ended.why.is_err() {
            tunnel.client.sock_mut().reset_on_close();
        }
        let last = tries.failures.last().filter(|_| link.is_none()).map(Failure::fragment);
        let told = Told {
            hop: link.as_ref().map(|l| &*l.facts).or(last.as_ref()),
            failed: &tries.failures,
            bytes: (tunnel.there.moved, tunnel.back.moved),
            end: ended.why,
            detail: ended.detail,
        };
        if let Some(running) = core.running() {
            self.tell(&running, Some(&route), &told, began);
        }
    }

    /// A backend ended before it said anything: it failed. Another takes its place where nothing of the client's went to it.
    fn is_worth_another(
        &self,
        route: &RouteRun,
        (tunnel, tried): (&Tunnel, Instant),
        link: &Link,
        ended: &Ended,
        tries: &mut Tries,
    ) -> bool {
        let Err(why) = ended.why else { return false };
        let died = matches!(
            why,
            Refusal::BackendClosed | Refusal::BackendTls | Refusal::HopIdentityRefused | Refusal::HopRenegotiation
        );
        if link.was_answered() || !died {
            return false;
        }
        self.opened.arrived.core.backends.failed(route, &link.backend, &link.address, CONNECTS);
        tries.leave_out_address(link.backend.hop_id, link.address.at);
        if !tries.leaves(&link.backend) {
            tries.leave_out(link.backend.hop_id);
        }
        let failed = link.failure(why, None, 0);
        self.opened.arrived.core.backends.tell(&link.backend, &link.address, failed, tried, &mut tries.failures);
        tunnel.there.moved == 0 && tries.hops() < route.takers()
    }

    /// The PROXY header for a backend; empty where its route sends none.
    fn header(&self, route: &RouteRun, client: &mut Wire) -> Vec<u8> {
        let mut out = Vec::new();
        if !route.send_proxy {
            return out;
        }
        let (arrived, facts) = (&self.opened.arrived, &self.opened.facts);
        let shown = facts.peer.as_ref().map(|_| !facts.resumed);
        let version = format!("TLSv{}", facts.version.unwrap_or_default());
        let ssl = proxy::ssl(&version, facts.suite.unwrap_or_default(), shown);
        let id = arrived.id.to_be_bytes();
        let mut tlvs: Vec<(u8, &[u8])> = Vec::new();
        if let Some(alpn) = &facts.alpn {
            tlvs.push((proxy::ALPN, alpn.as_bytes()));
        }
        if let Some(host) = &self.sni {
            tlvs.push((proxy::AUTHORITY, host.as_bytes()));
        }
        tlvs.push((proxy::UNIQUE_ID, &id));
        tlvs.push((proxy::SSL, &ssl));
        proxy::write_v2(&mut out, arrived.client, reached_at(client).unwrap_or(arrived.peer), &tlvs);
        out
    }

    fn tell(&self, running: &Running, route: Option<&RouteRun>, told: &Told<'_>, began: Instant) {
        let core = &self.opened.arrived.core;
        let stats = route.map_or(&running.elsewhere, |r| &r.stats).of(core.index);
        stats.bytes_in.add(told.bytes.0);
        stats.bytes_out.add(told.bytes.1);
        if let Err(why) = told.end {
            stats.refuse(why);
        }
        let (micros, us) = core.clock().unix_micros(began);
        let line = Line {
            conn: self.opened.line(),
            id: None,
            lines: route.map_or(&running.lines, |r| &r.lines),
            hop: told.hop.map(|h| (h, false)),
            failed: told.failed,
            protocol: Some("tcp"),
            method: None,
            host: None,
            path: None,
            status: 0,
            grpc: None,
            bytes_in: told.bytes.0,
            bytes_out: told.bytes.1,
            duration_us: us,
            end: told.end.map_or_else(Refusal::slug, |()| DONE),
            detail: told.detail,
            told_id: None,
            kept: None,
            trace: None,
            token: None,
            user: None,
            beside: None,
        };
        stats.saw(micros, &line, &mut core.log.borrow_mut());
    }
}

/// Our address that the client reached.
fn reached_at(client: &mut Wire) -> Option<SocketAddr> {
    match client.sock_mut() {
        Sock::Tcp(s) => s.local_addr().ok().map(crate::arrived::unmapped),
        Sock::Unix(_) => None,
    }
}

/// What the plan that runs now says of a stream that is open under `own`, to the hop of `link`; `None` where it is gone
/// or stricter.
fn terms(stream: &Stream, own: &RouteRun, link: &Rc<Link>) -> Option<tunnel::Terms> {
    let core = &stream.opened.arrived.core;
    let running = core.running()?;
    let now = running.routes.get(stream.admit(&running).ok()?)?;
    if now.name != own.name {
        return None;
    }
    let backend = now.backends.iter().find(|b| b.hop_id == link.backend.hop_id)?;
    Some(tunnel::Terms { max_age_s: now.limits.max_age_s, closes_at_s: backend.closes_at_s })
}
