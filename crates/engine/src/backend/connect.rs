//! Opening a hop: TCP or a Unix socket, then TLS where the plan says so, both within `limits.connect_s`.
//! What TLS came to is written down once, as the fragment that every observation over this connection carries.

use everyhop_plan::{Place, UpstreamProtocol};
use everyhop_record::facts::{IdentityUse, TlsFacts};
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_running::backend::BackendRun;
use everyhop_running::material::noting_demand;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Late, Watch, Watches, in_time};
use everyhop_transport::shares::{BACKENDS, Held, is_exhaustion};
use everyhop_transport::side::{Wire, WireError};
use everyhop_transport::sock::Sock;
use everyhop_transport::tls::Session;
use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::net::{TcpStream, UnixStream};

/// An open connection to a backend.
pub(crate) struct Opened {
    pub(crate) wire: Wire,
    pub(crate) facts: Rc<HopFragment>,
    pub(crate) hop_id: u64,
    /// The number of the plan under which it was opened.
    pub(crate) generation: u64,
    /// When the acceptance of this hop ends; `i64::MAX` for none.
    pub(crate) closes_at_s: i64,
    /// The backend's address; `None` for a Unix socket.
    pub(crate) addr: Option<SocketAddr>,
}

thread_local! {
    static NEXT_ADDR: Cell<usize> = const { Cell::new(0) };
}

/// A socket to a backend.
pub(crate) struct Dialled {
    pub(crate) sock: Sock,
    /// The backend's address; `None` for a Unix socket.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) held: Held,
}

/// Opens the socket alone.
pub(crate) async fn dial(backend: &BackendRun, watch: &Watch) -> Result<Dialled, Refusal> {
    let held = BACKENDS.take().ok_or(Refusal::HopDescriptors)?;
    let dialled = match &backend.place {
        Place::Unix { path } => {
            in_time(watch, UnixStream::connect(path)).await.map(|r| r.map(|s| (Sock::Unix(s), None)))
        }
        Place::Ip { .. } | Place::Name { .. } => {
            let addrs = backend.addrs.load_full();
            let at = NEXT_ADDR.replace(NEXT_ADDR.get().wrapping_add(1));
            let addr = *addrs.get(at % addrs.len().max(1)).ok_or(Refusal::Unresolved)?;
            in_time(watch, TcpStream::connect(addr)).await.map(|r| {
                r.map(|s| {
                    // Small writes must not wait for the other side's acknowledgement.
                    let _ = s.set_nodelay(true);
                    (Sock::Tcp(s), Some(addr))
                })
            })
        }
    };
    let opened = dialled.map_err(|Late| Refusal::ConnectTimeout)?.map_err(|e| match is_exhaustion(&e) {
        // Ours to answer for, not the backend's.
        true => Refusal::HopDescriptors,
        false => Refusal::ConnectFailed,
    });
    opened.map(|(sock, addr)| Dialled { sock, addr, held })
}

/// Opens the hop: socket and, where there is one, the TLS session.
pub(crate) async fn open(
    watches: &Rc<Watches>,
    generation: u64,
    backend: &BackendRun,
    connect_s: u32,
) -> Result<Opened, Refusal> {
    let watch = watches.watch();
    watch.within_s(connect_s);
    let Dialled { sock, addr, held } = dial(backend, &watch).await?;
    let Some(secured) = &backend.secured else {
        let facts = HopFragment::of(&backend.at, backend.tls, &TlsFacts::default(), IdentityUse::NotPresented);
        return Ok(Opened {
            wire: Wire::plain(sock).holding(held),
            facts: Rc::new(facts),
            hop_id: backend.hop_id,
            generation,
            closes_at_s: backend.closes_at_s,
            addr,
        });
    };
    let session = Session::client(secured.config.clone(), secured.name.clone()).map_err(|e| Refusal::of_backend(&e))?;
    let mut wire = Wire::secured(sock, session, Buf::default()).holding(held);
    let mut demanded = false;
    let shaken = poll_fn(|cx| {
        let (polled, asked) = noting_demand(|| wire.poll_handshake(cx));
        demanded |= asked;
        match polled {
            Poll::Ready(r) => Poll::Ready(Ok(r)),
            Poll::Pending => watch.poll_late(cx).map(Err),
        }
    })
    .await;
    match shaken {
        Ok(Ok(())) => {}
        Ok(Err(WireError::Tls(e))) => return Err(Refusal::of_backend(&e)),
        Ok(Err(WireError::Io | WireError::Eof)) => return Err(Refusal::HopHandshake),
        Err(Late) => return Err(Refusal::ConnectTimeout),
    }
    let facts = wire.session().map(|s| TlsFacts::of(s.common())).unwrap_or_default();
    if backend.protocol == UpstreamProtocol::Http2 && facts.alpn.as_deref() != Some("h2") {
        return Err(Refusal::HopNoHttp2);
    }
    let identity = identity_use(backend, secured.presents, demanded, facts.resumed);
    let fragment = HopFragment::of(&backend.at, backend.tls, &facts, identity);
    Ok(Opened {
        wire,
        facts: Rc::new(fragment),
        hop_id: backend.hop_id,
        generation,
        closes_at_s: backend.closes_at_s,
        addr,
    })
}

/// A resumed session asks for nothing: then the last full handshake with this hop is what is known.
fn identity_use(backend: &BackendRun, presents: bool, demanded: bool, resumed: bool) -> IdentityUse {
    let slot = &backend.health.identity;
    if resumed {
        return match slot.load(Ordering::Relaxed) {
            1 => IdentityUse::Demanded,
            2 => IdentityUse::NotDemanded,
            3 => IdentityUse::NotPresented,
            _ => IdentityUse::Unknown,
        };
    }
    let (code, used) = match (presents, demanded) {
        (false, _) => (3, IdentityUse::NotPresented),
        (true, true) => (1, IdentityUse::Demanded),
        (true, false) => (2, IdentityUse::NotDemanded),
    };
    slot.store(code, Ordering::Relaxed);
    used
}
