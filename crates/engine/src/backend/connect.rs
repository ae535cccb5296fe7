//! Opening a hop: TCP or a Unix socket, then TLS where the plan says so, both by a deadline. What TLS came to is written
//! down once, as the fragment that every observation over this connection carries. Read next: `link.rs`.

use crate::backend::link::{Link, Standing, failure, remember};
use crate::backend::preface::{Preface, Unsaid};
use everyhop_hello::clear::Unwilling;
use everyhop_plan::{Place, UpstreamProtocol};
use everyhop_record::certificate::Shown;
use everyhop_record::facts::{IdentityUse, TlsFacts};
use everyhop_record::failure::Failure;
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_running::backend::{BackendRun, Connected, Secured};
use everyhop_running::noted::{Noted, noting};
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Late, Watch, Watches, in_time};
use everyhop_transport::shares::{BACKENDS, Held, is_exhaustion};
use everyhop_transport::side::{Wire, WireError};
use everyhop_transport::sock::{SILENT_MS, Sock, notice_its_end};
use everyhop_transport::tls::Session;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::{TcpStream, UnixStream};

/// An open connection to a backend.
pub(crate) struct Opened {
    pub(crate) wire: Wire,
    pub(crate) link: Rc<Link>,
    /// The number of the plan under which it was opened.
    pub(crate) generation: u64,
}

impl Opened {
    /// HTTP/2 was agreed on in TLS.
    pub(crate) fn agreed_on_h2(&self) -> bool {
        self.wire.session().is_some_and(|s| s.common().alpn_protocol() == Some(b"h2"))
    }
}

/// A socket to a backend.
pub(crate) struct Dialled {
    pub(crate) sock: Sock,
    pub(crate) held: Held,
}

/// Opens the socket alone, to a peer that may acknowledge or take nothing for `silent_ms`.
pub(crate) async fn dial(
    backend: &BackendRun,
    address: &Address,
    watch: &Watch,
    silent_ms: u32,
) -> Result<Dialled, Box<Failure>> {
    let failed = |why| Box::new(failure(backend, address, why));
    // Whoever chose it: without what TLS takes there is no connection that could be anything else.
    if backend.is_uncertified {
        return Err(failed(Refusal::HopNoIdentity));
    }
    let held = BACKENDS.take().ok_or_else(|| failed(Refusal::HopDescriptors))?;
    let dialled = match (&backend.place, address.at) {
        (Place::Unix { path }, _) => in_time(watch, UnixStream::connect(path)).await.map(|r| r.map(Sock::Unix)),
        (_, Some(at)) => in_time(watch, TcpStream::connect(at)).await.map(|r| {
            r.map(|s| {
                // Small writes must not wait for the other side's acknowledgement.
                let _ = s.set_nodelay(true);
                notice_its_end(&s, silent_ms);
                Sock::Tcp(s)
            })
        }),
        (_, None) => return Err(failed(Refusal::Unresolved)),
    };
    match dialled {
        Err(Late) => Err(failed(Refusal::ConnectTimeout)),
        // Ours to answer for, not the backend's.
        Ok(Err(e)) if is_exhaustion(&e) => Err(failed(Refusal::HopDescriptors)),
        Ok(Err(e)) => {
            let mut it = failed(Refusal::ConnectFailed);
            it.detail = Some(e.kind().to_string());
            Err(it)
        }
        Ok(Ok(sock)) => Ok(Dialled { sock, held }),
    }
}

/// Says what goes first by the watch's deadline; else why not, with what the slug does not tell.
pub(crate) async fn say(
    sock: &mut Sock,
    preface: &Preface<'_>,
    secures: bool,
    watch: &Watch,
) -> Result<(), (Refusal, Option<&'static str>)> {
    match in_time(watch, preface.speak(sock, secures)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Unsaid::Broke)) => Err((Refusal::BackendClosed, None)),
        Ok(Err(Unsaid::No(Unwilling::NoTls(detail)))) => Err((Refusal::HopNotTls, Some(detail))),
        Ok(Err(Unsaid::No(Unwilling::NotReady(detail)))) => Err((Refusal::HopNotReady, Some(detail))),
        Err(Late) => Err((Refusal::ConnectTimeout, None)),
    }
}

/// Opens the hop by `until_ms` of the thread: socket and, where there is one, the TLS session. `room` is what it counts by to its
/// backend, where that was taken before; it is left there where it comes to nothing.
pub(crate) async fn open(
    watches: &Rc<Watches>,
    generation: u64,
    backend: &Arc<BackendRun>,
    address: &Address,
    until_ms: u64,
    preface: &Preface<'_>,
    room: &mut Option<Connected>,
) -> Result<Opened, Box<Failure>> {
    let watch = watches.watch();
    watch.at_ms(until_ms);
    let Dialled { mut sock, held } = dial(backend, address, &watch, SILENT_MS).await?;
    let failed = |why| Box::new(failure(backend, address, why));
    if !preface.is_nothing() {
        say(&mut sock, preface, backend.secured.is_some(), &watch).await.map_err(|(why, detail)| {
            let mut it = failed(why);
            it.detail = detail.map(str::to_owned);
            it
        })?;
    }
    let fragment =
        |facts: TlsFacts, identity| Rc::new(HopFragment::of(&backend.at, address.at, backend.tls, facts, identity));
    let Some(secured) = &backend.secured else {
        let identity = IdentityUse::NotPresented;
        let facts = fragment(TlsFacts::default(), identity);
        let link = Link::new(backend.clone(), address.clone(), facts, Standing::open(identity), room.take());
        return Ok(Opened { wire: Wire::plain(sock).holding(held), link, generation });
    };
    let (config, memory) = secured.begin(preface.alone, preface.whole);
    let session = Session::client(config, secured.name.clone()).map_err(|_| failed(Refusal::HopHandshake))?;
    let mut wire = Wire::secured(sock, session, Buf::default()).holding(held);
    let mut noted = Noted::default();
    let shaken = poll_fn(|cx| match noting(&mut noted, || wire.poll_handshake(cx)) {
        Poll::Ready(r) => Poll::Ready(Ok(r)),
        Poll::Pending => watch.poll_late(cx).map(Err),
    })
    .await;
    match shaken {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(Box::new(not_shaken(backend, address, secured, (noted, preface.alone), &e))),
        Err(Late) => return Err(failed(Refusal::ConnectTimeout)),
    }
    let facts = wire.session().map(|s| TlsFacts::of(s.common())).unwrap_or_default();
    backend.health.exchanges.count(&facts);
    if backend.protocol == UpstreamProtocol::Http2 && facts.alpn.as_deref() != Some("h2") {
        return Err(failed(Refusal::HopNoHttp2));
    }
    let proven = secured.proven(&facts, noted.demanded, &memory);
    let identity = match (secured.presents, proven.asked) {
        (false, _) => IdentityUse::NotPresented,
        (true, true) => IdentityUse::Demanded,
        (true, false) => IdentityUse::NotDemanded,
    };
    // That it asked is known; that it takes what we showed is not, before it answers.
    let by_now = if identity == IdentityUse::Demanded { IdentityUse::Unknown } else { identity };
    if !facts.resumed {
        remember(backend, by_now);
    }
    if secured.demand_asks && !proven.asked {
        // Nothing was sent, and no session is kept: whoever takes one up is asked for nothing, whatever the backend does now.
        memory.stands_for_nothing();
        return Err(failed(Refusal::HopIdentityNotDemanded));
    }
    memory.stands_for(proven);
    let standing = Standing { identity, resumed: facts.resumed, ends_s: proven.ends_s };
    let link = Link::new(backend.clone(), address.clone(), fragment(facts, by_now), standing, room.take());
    Ok(Opened { wire, link, generation })
}

/// A handshake that came to nothing, with what it showed.
fn not_shaken(
    backend: &BackendRun,
    address: &Address,
    secured: &Secured,
    (noted, alone): (Noted, Option<&[u8]>),
    why: &WireError,
) -> Failure {
    let mut it = failure(backend, address, Refusal::HopHandshake);
    let shown = noted.disbelieved.as_ref();
    match why {
        WireError::Tls(e) => {
            let (leaf, weak) = (shown.map(|d| &*d.leaf), shown.is_some_and(|d| d.weakness.is_some()));
            let judge = if noted.demanded { Refusal::of_asking_backend } else { Refusal::of_backend };
            let why = match (judge(e, leaf, weak), backend.protocol) {
                (Refusal::HopNoHttp2, UpstreamProtocol::Http1) => Refusal::HopNoHttp1,
                (Refusal::HopNoHttp2, UpstreamProtocol::Auto) if alone.is_some() => Refusal::HopNoHttp1,
                (Refusal::HopNoHttp2, UpstreamProtocol::Tcp) if alone.is_some() => Refusal::HopNoProtocol,
                (Refusal::HopNoHttp2, UpstreamProtocol::Auto | UpstreamProtocol::Tcp) => Refusal::HopHandshake,
                (why, _) => why,
            };
            let why = if secured.is_post_quantum { why.where_post_quantum(e) } else { why };
            it = failure(backend, address, why);
            it.told_by(e);
            if let (Refusal::HopNoProtocol, Some(agreed)) = (why, alone) {
                it.detail = Some(format!("the client agreed on {}", String::from_utf8_lossy(agreed)));
            }
        }
        WireError::Io | WireError::Eof => it.detail = Some("it closed during the handshake".to_owned()),
    }
    if let Some(shown) = noted.disbelieved {
        it.certificate = Some(Shown::of(&shown.leaf));
        it.detail = shown.weakness.or(it.detail);
    }
    match it.why {
        Refusal::HopIdentityRefused => remember(backend, IdentityUse::Refused),
        Refusal::HopHandshake | Refusal::HopNoPostQuantum => it.offered(&secured.offers),
        _ => {}
    }
    it
}
