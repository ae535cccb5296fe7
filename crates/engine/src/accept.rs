//! Accept: a listener's socket gives connections, each gets a task of this thread and lives there to its end.
//! Sheds before anything expensive; never spins when descriptors run out. Read next: `peek.rs`.

use crate::deadlines::Watched;
use crate::refusal::Refusal;
use crate::running::{Listening, Running};
use crate::shares::{PIPES, is_exhaustion};
use crate::worker::core::Core;
use crate::worker::sources::Held;
use crate::{buf::Buf, connection};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream};

/// A connection that has arrived, before any byte of it is trusted.
pub(crate) struct Arrived {
    pub(crate) core: Rc<Core>,
    /// The plan at arrival.
    pub(crate) running: Arc<Running>,
    pub(crate) listener: usize,
    pub(crate) id: u64,
    /// Until the stage that owns it takes it.
    pub(crate) sock: Option<TcpStream>,
    /// Who opened the TCP connection.
    pub(crate) peer: SocketAddr,
    /// Who they say they speak for, where a PROXY header must say so; else the peer. IPv4-mapped is unmapped.
    pub(crate) client: SocketAddr,
    pub(crate) bytes: Buf,
    pub(crate) watch: Watched,
    pub(crate) started: Instant,
    /// Counted for its source: where a PROXY header names the client, once that is read.
    pub(crate) held: Option<Held>,
    _counted: Counted,
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
        let count = running.listeners.get(listener)?.count.clone();
        Some(Arrived {
            id: core.next_id(),
            listener,
            sock,
            peer,
            client: peer,
            bytes: Buf::default(),
            watch: core.watch(),
            started: Instant::now(),
            held,
            _counted: Counted::new(core.clone(), count),
            core: core.clone(),
            running,
        })
    }

    pub(crate) fn listening(&self) -> Option<&Listening> {
        self.running.listeners.get(self.listener)
    }

    /// Counts the connection for the client that a PROXY header named.
    pub(crate) fn hold_source(&mut self) -> Result<(), Refusal> {
        self.held = Some(
            self.core.shared.sources.hold(self.client.ip(), self.running.limits()).ok_or(Refusal::SourceConnections)?,
        );
        Ok(())
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

/// Accepts until the task is aborted: when the listener leaves the plan, or on drain.
pub(crate) async fn run(core: Rc<Core>, listener: Rc<str>, socket: TcpListener) {
    loop {
        match socket.accept().await {
            Ok((sock, peer)) => arrive(&core, &listener, sock, peer),
            // Out of descriptors or memory: the queue waits, and so do we, instead of spinning (D01).
            Err(e) if is_exhaustion(&e) => {
                core.backends.pools.forget_idle();
                core.pause().await;
            }
            // The peer left before we got to it.
            Err(_) => {}
        }
    }
}

fn arrive(core: &Rc<Core>, listener: &str, sock: TcpStream, peer: SocketAddr) {
    let Some(running) = core.running() else { return };
    let Some(index) = running.listeners.iter().position(|l| l.name == listener) else { return };
    let Some(listening) = running.listeners.get(index) else { return };
    let peer = unmapped(peer);
    // Closed at once, before anything is spent on it; counted, and not logged a line each.
    let held = match admitted(core, &running, listening, peer.ip()) {
        Ok(held) => held,
        Err(why) => return running.elsewhere.of(core.index).refuse(why),
    };
    if let Some(arrived) = Arrived::new(core, running, index, Some(sock), peer, held) {
        tokio::task::spawn_local(connection::serve(arrived));
    }
}

fn admitted(core: &Core, running: &Running, at: &Listening, ip: IpAddr) -> Result<Option<Held>, Refusal> {
    if core.shared.clients.is_used_up_with(PIPES.open()) {
        return Err(Refusal::DescriptorLimit);
    }
    if at.count.load(Ordering::Relaxed) >= at.limit {
        return Err(Refusal::ConnectionLimit);
    }
    // A proxy speaks for many: with a PROXY header it names them, without it is trusted to have counted them itself.
    if at.accept_proxy.iter().chain(&at.trusted).any(|net| net.contains(ip)) {
        return Ok(None);
    }
    core.shared.sources.hold(ip, running.limits()).map(Some).ok_or(Refusal::SourceConnections)
}

/// `::ffff:1.2.3.4` is 1.2.3.4 before any match, log or limit.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V6(v6) => SocketAddr::new(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4), addr.port()),
        IpAddr::V4(_) => addr,
    }
}
