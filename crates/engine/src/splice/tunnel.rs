//! Bytes between a client and a backend, each direction to its own end (half-close).
//!
//! The backend's first record is read, bounded: a ServerHello tells version, suite and group for the evidence; anything but
//! TLS closes, so that plaintext cannot hide behind a hello. After that, bytes are bytes. Read next: `backend/connect.rs`.

use crate::arrived::Staying;
use everyhop_decide::{At, Verdict};
use everyhop_hello::{self as hello, ServerFirst};
use everyhop_record::facts::TlsFacts;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::RouteRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::pipe::{Moved, Pipe};
use everyhop_transport::sock::Sock;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A ServerHello is far below this; more without one is not TLS that we know.
const FIRST_BYTES: usize = 8 * 1024;

/// What it keeps of the plan at its arrival, beside its route.
pub(super) struct Spliced {
    pub(super) generation: u64,
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

pub(super) struct Tunnel {
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
    pub(super) fn new(
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

    /// Bytes to the backend and to the client.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.to_backend.moved, self.to_client.moved)
    }

    /// What the backend's first record told.
    pub(super) fn facts(&self) -> TlsFacts {
        self.told.facts()
    }

    /// What the backend's end says against it: it ended first, and before a byte of TLS came.
    pub(super) fn failure(&self, ended: Result<(), Refusal>) -> Option<Refusal> {
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
    pub(super) fn run(
        &mut self,
        it: &Staying<Spliced>,
        route: &RouteRun,
        host: Option<&str>,
        hop_id: u64,
        began: impl Fn(),
    ) -> impl Future<Output = Result<(), Refusal>> {
        poll_fn(move |cx| {
            let seen = self.first_seen;
            let before = self.moved();
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
            if before != self.moved() || it.watch.deadline_ms() == u64::MAX {
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
    pub(super) fn abort(&self) {
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
