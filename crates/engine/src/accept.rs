//! Accept: a listener's socket gives connections, each gets a task of this thread and lives there to its end.
//! Sheds before anything expensive; never spins when descriptors run out. Read next: `peek.rs`.

use crate::arrived::{Arrived, unmapped};
use crate::worker::core::Core;
use crate::worker::sources::Held;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{Listening, Running};
use everyhop_transport::shares::{PIPES, is_exhaustion};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use tokio::net::{TcpListener, TcpStream};

/// Accepts until the task is aborted: when the listener leaves the plan, or on drain. `serve` serves one connection to
/// its end, in a task of its own.
pub(crate) async fn run<S: Future<Output = ()> + 'static>(
    core: Rc<Core>,
    listener: Rc<str>,
    socket: TcpListener,
    serve: fn(Arrived) -> S,
) {
    loop {
        match socket.accept().await {
            Ok((sock, peer)) => {
                if let Some(arrived) = arrive(&core, &listener, sock, peer) {
                    tokio::task::spawn_local(serve(arrived));
                }
            }
            // Out of descriptors or memory: the queue waits, and so do we, instead of spinning (threat D01).
            Err(e) if is_exhaustion(&e) => {
                core.backends.pools.forget_idle();
                core.pause().await;
            }
            // The peer left before we got to it.
            Err(_) => {}
        }
    }
}

/// The connection, counted; `None` where it is shed: closed at once, before anything is spent on it.
fn arrive(core: &Rc<Core>, listener: &str, sock: TcpStream, peer: SocketAddr) -> Option<Arrived> {
    let running = core.running()?;
    let index = running.listeners.iter().position(|l| l.name == listener)?;
    let listening = running.listeners.get(index)?.clone();
    let peer = unmapped(peer);
    match counted(core, &running, &listening, peer.ip()) {
        Ok(held) => Arrived::new(core, running, index, Some(sock), peer, held),
        // Counted, and not logged a line each.
        Err(why) => {
            running.elsewhere.of(core.index).refuse(why);
            None
        }
    }
}

/// Counts the connection for its source, if its peer is one; refuses what would be too many.
fn counted(core: &Core, running: &Running, at: &Listening, ip: IpAddr) -> Result<Option<Held>, Refusal> {
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
