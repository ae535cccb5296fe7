//! Terminate: TLS ends here and only here. A hello and a site become an open session with its protocol, or a refusal
//! with its reason. No HTTP is read here. Read next: `client/mod.rs`.

use crate::arrived::{Arrived, Staying};
use crate::peek::Greeting;
use crate::refuse;
use everyhop_plan::Limits;
use everyhop_record::certificate::{Refused, Shown};
use everyhop_record::facts::TlsFacts;
use everyhop_record::failure::words;
use everyhop_record::line::{ConnFacts, ConnFragment, ConnLine};
use everyhop_record::refusal::Refusal;
use everyhop_running::known;
use everyhop_running::noted::{Noted, noting};
use everyhop_running::running::Running;
use everyhop_transport::deadlines::Late;
use everyhop_transport::side::{Wire, WireError};
use everyhop_transport::sock::Sock;
use everyhop_transport::tls::Session;
use std::cell::OnceCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// A client connection whose TLS ended here.
pub(crate) struct Opened {
    pub(crate) arrived: Staying<Promised>,
    pub(crate) facts: TlsFacts,
    told: Box<Told>,
    /// How long the handshake took once the hello was there: the way to the client and back.
    pub(crate) way: Duration,
}

/// What its lines say of it beside that. In a box: a connection is as large as its allocator's class without it.
struct Told {
    sni: Option<Box<str>>,
    fragment: OnceCell<Rc<ConnFragment>>,
}

/// What the connection keeps of the plan at its arrival: its own terms, for however long it stays.
pub(crate) struct Promised {
    pub(crate) generation: u64,
    pub(crate) drain_s: u32,
    /// The index of its site in that plan, and what that promised; `None` where there is no TLS, and so no site.
    pub(crate) site: Option<usize>,
    pub(crate) promise: Arc<str>,
    /// A client may be known by certificate there.
    pub(crate) knows_clients: bool,
    limits: Arc<Limits>,
}

impl Promised {
    fn of(running: &Running, site: Option<usize>) -> Promised {
        let at = site.and_then(|s| running.sites.get(s));
        Promised {
            generation: running.generation,
            drain_s: running.plan.engine.drain_s,
            site,
            promise: at.map(|s| s.promise.clone()).unwrap_or_default(),
            knows_clients: at.is_some_and(|s| s.knows_clients),
            limits: running.limits.clone(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The site in another plan; `None` if it is gone or makes other promises there.
    pub(crate) fn site_in(&self, running: &Running) -> Option<usize> {
        running.sites.iter().position(|s| s.promise == self.promise)
    }
}

/// Shakes hands with the site's configuration; `None` where that came to nothing, which is observed then.
pub(crate) async fn terminate(mut arrived: Arrived, hello: &Greeting, site: usize) -> Option<(Opened, Wire)> {
    let config = arrived.running.sites.get(site)?.config.clone();
    let session = match Session::server(config) {
        Ok(session) => session,
        Err(e) => {
            refuse::refuse(arrived, hello.host.as_deref(), Refusal::of_client(&e, None, false), b"");
            return None;
        }
    };
    let sock = arrived.sock.take()?;
    let mut wire = Wire::secured(Sock::Tcp(sock), session, std::mem::take(&mut arrived.bytes));
    let (mut ends_s, began) = (None, Instant::now());
    let mut noted = Noted::default();
    let shaken =
        poll_fn(|cx| match noting(&mut noted, || known::remembering(&mut ends_s, || wire.poll_handshake(cx))) {
            Poll::Ready(r) => Poll::Ready(Ok(r)),
            Poll::Pending => arrived.watch.poll_late(cx).map(Err),
        })
        .await;
    let facts = wire.session().map(|s| TlsFacts::of(s.common())).unwrap_or_default();
    let mut refused = None;
    let why = match shaken {
        Ok(Ok(())) => {
            wire.small_first();
            if let Some(it) = arrived.running.sites.get(site) {
                it.exchanges.count(&facts);
            }
            let opened = Opened::new(arrived, hello.host.as_deref(), site, facts);
            return Some((Opened { way: began.elapsed(), ..opened }, wire));
        }
        Ok(Err(WireError::Tls(e))) => {
            let shown = noted.disbelieved.as_ref();
            let why = Refusal::of_client(&e, shown.map(|d| &*d.leaf), shown.is_some_and(|d| d.weakness.is_some()));
            let is_post_quantum = arrived.running.plan.sites.get(site).is_some_and(|s| s.policy.is_post_quantum());
            refused = noted.disbelieved.map(|d| Refused {
                certificate: Shown::of(&d.leaf),
                detail: Some(d.weakness.unwrap_or_else(|| words(&e))),
            });
            if is_post_quantum { why.where_post_quantum(&e) } else { why }
        }
        Ok(Err(WireError::Io | WireError::Eof)) => Refusal::HandshakeClosed,
        Err(Late) => Refusal::HandshakeTooSlow,
    };
    let tls = refuse::Tls { word: "failed", facts, refused };
    refuse::observe(&arrived, hello.host.as_deref(), tls, why, wire.bytes_out);
    None
}

impl Opened {
    /// The session with what each of its observations says.
    pub(crate) fn new(arrived: Arrived, sni: Option<&str>, site: usize, facts: TlsFacts) -> Opened {
        Opened::of(arrived, sni, Some(site), facts)
    }

    /// A connection without TLS, of which nothing is proved.
    pub(crate) fn in_the_clear(arrived: Arrived) -> Opened {
        Opened::of(arrived, None, None, TlsFacts::default())
    }

    fn of(arrived: Arrived, sni: Option<&str>, site: Option<usize>, facts: TlsFacts) -> Opened {
        let told = Box::new(Told { sni: sni.map(Into::into), fragment: OnceCell::new() });
        let promised = Promised::of(&arrived.running, site);
        Opened { arrived: arrived.keeping(promised), facts, told, way: Duration::ZERO }
    }

    fn facts_of_line(&self) -> ConnFacts<'_> {
        let it = &self.arrived;
        ConnFacts {
            id: it.id,
            listener: &it.listening.name,
            peer: it.peer,
            client: it.client.ip(),
            sni: self.told.sni.as_deref(),
            tls: if it.running.site.is_some() { "ended" } else { "plaintext" },
            facts: &self.facts,
            refused: None,
        }
    }

    /// As a line has it.
    pub(crate) fn line(&self) -> ConnLine<'_> {
        ConnLine::Known(self.facts_of_line(), &self.told.fragment)
    }

    /// What its lines begin with, for one that may be told when it is gone.
    pub(crate) fn fragment(&self) -> Rc<ConnFragment> {
        self.facts_of_line().kept(&self.told.fragment).clone()
    }
}
