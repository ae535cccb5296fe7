//! A connection that has arrived: what every stage that follows holds on to. It is counted from here to its end.
//! Read next: `connection.rs`, the way that it takes.

use crate::worker::core::Core;
use crate::worker::sources::Held;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{Listening, Running};
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Late, Watched};
use everyhop_transport::sock::poll_fill_tcp;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Instant;
use tokio::net::TcpStream;

/// A connection that has arrived, before any byte of it is trusted.
pub(crate) struct Arrived {
    pub(crate) core: Rc<Core>,
    pub(crate) running: Arc<Running>,
    pub(crate) listening: Arc<Listening>,
    pub(crate) id: u64,
    /// Until the stage that owns it takes it.
    pub(crate) sock: Option<TcpStream>,
    /// The address that opened the TCP connection.
    pub(crate) peer: SocketAddr,
    /// The address that the peer speaks for, where a PROXY header must say so; else the peer's. IPv4-mapped is unmapped.
    pub(crate) client: SocketAddr,
    pub(crate) bytes: Buf,
    /// What was said before TLS, where a protocol begins in the clear.
    pub(crate) clear: Clear,
    pub(crate) watch: Watched,
    pub(crate) started: Instant,
    /// Counted for its source: where a PROXY header names the client, once that is read.
    pub(crate) held: Option<Held>,
    _counted: Counted,
}

/// A connection in a stage in which it may stay for long: what it goes on holding of its arrival, each field paid for by every
/// idle one. `R` is what it keeps of the plan: what it was promised.
pub(crate) struct Staying<R> {
    pub(crate) core: Rc<Core>,
    pub(crate) running: R,
    pub(crate) listening: Arc<Listening>,
    pub(crate) id: u64,
    /// As in [`Arrived`].
    pub(crate) peer: SocketAddr,
    pub(crate) client: SocketAddr,
    pub(crate) watch: Watched,
    pub(crate) started: Instant,
    _held: Option<Held>,
    _counted: Counted,
}

/// How a conversation before TLS stands.
#[derive(Debug)]
pub(crate) enum Clear {
    /// The client said nothing that had an answer.
    Nothing,
    Spoken,
    /// It said goodbye, and was told so.
    Left,
    /// These are the last words to it.
    Refused(Vec<u8>),
}

impl Arrived {
    /// A connection of a listener of `running`, counted from now on.
    pub(crate) fn new(
        core: &Rc<Core>,
        running: Arc<Running>,
        listener: usize,
        sock: Option<TcpStream>,
        peer: SocketAddr,
        held: Option<Held>,
    ) -> Option<Arrived> {
        let listening = running.listeners.get(listener)?.clone();
        Some(Arrived {
            id: core.next_id(),
            sock,
            peer,
            client: peer,
            bytes: Buf::default(),
            clear: Clear::Nothing,
            watch: core.watch(),
            started: Instant::now(),
            held,
            _counted: Counted::new(core.clone(), listening.count.clone()),
            listening,
            core: core.clone(),
            running,
        })
    }

    /// Reads on; `incomplete` is why the connection is refused where nothing more comes.
    pub(crate) async fn fill(&mut self, incomplete: Refusal) -> Result<(), Refusal> {
        let Arrived { sock: Some(sock), bytes, watch, .. } = self else { return Err(incomplete) };
        let got = poll_fn(|cx| match poll_fill_tcp(sock, cx, bytes) {
            Poll::Ready(r) => Poll::Ready(Ok(r)),
            Poll::Pending => watch.poll_late(cx).map(Err),
        })
        .await;
        match got {
            Ok(Ok(n)) if n > 0 => Ok(()),
            Ok(_) => Err(incomplete),
            Err(Late) => Err(Refusal::HelloTooSlow),
        }
    }

    /// Counts the connection for the client that a PROXY header named.
    pub(crate) fn hold_source(&mut self) -> Result<(), Refusal> {
        self.held = Some(
            self.core.shared.sources.hold(self.client.ip(), self.running.limits()).ok_or(Refusal::SourceConnections)?,
        );
        Ok(())
    }

    /// Lets go of the plan, for this of it. Whoever calls has taken the socket and what was read.
    pub(crate) fn keeping<R>(self, running: R) -> Staying<R> {
        let Arrived { core, running: _, listening, id, peer, client, watch, started, held, _counted, .. } = self;
        Staying { core, running, listening, id, peer, client, watch, started, _held: held, _counted }
    }
}

/// Counts a connection of a listener for as long as it lives.
struct Counted {
    listener: Arc<AtomicU32>,
    core: Rc<Core>,
}

impl Counted {
    fn new(core: Rc<Core>, listener: Arc<AtomicU32>) -> Counted {
        listener.fetch_add(1, Ordering::Relaxed);
        core.shared.clients.enter();
        Counted { listener, core }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.listener.fetch_sub(1, Ordering::Relaxed);
        self.core.shared.clients.leave();
    }
}

/// `::ffff:1.2.3.4` is 1.2.3.4 before any match, log or limit.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V6(v6) => SocketAddr::new(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4), addr.port()),
        IpAddr::V4(_) => addr,
    }
}
