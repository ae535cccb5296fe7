//! What is known of one open connection to a backend: to which of its addresses, what TLS came to, and whether a byte of an
//! answer ever came over it. Only that byte says that the backend took our identity, and heals. Read next: `choose.rs`.

use crate::backend::choose;
use crate::exchange::pulse::Heard;
use everyhop_record::facts::IdentityUse;
use everyhop_record::failure::Failure;
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_running::backend::{BackendRun, Connected};
use everyhop_transport::h2::Tap;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a connection stands for.
pub(crate) struct Standing {
    /// What is known of our identity there once an answer's byte came.
    pub(crate) identity: IdentityUse,
    pub(crate) resumed: bool,
    /// Unix time at which what was verified of the backend holds no more.
    pub(crate) ends_s: i64,
}

impl Standing {
    /// Of one on which nobody proves anything.
    pub(crate) fn open(identity: IdentityUse) -> Standing {
        Standing { identity, resumed: false, ends_s: i64::MAX }
    }
}

pub(crate) struct Link {
    pub(crate) backend: Arc<BackendRun>,
    pub(crate) address: Address,
    pub(crate) facts: Rc<HopFragment>,
    standing: Standing,
    answered: Cell<bool>,
    /// How TLS ended, where it did not end well.
    broke: RefCell<Option<rustls::Error>>,
    /// It is open; nothing, where the edge itself asks something and no client is behind it.
    connected: Cell<Option<Connected>>,
}

impl Link {
    pub(crate) fn new(
        backend: Arc<BackendRun>,
        address: Address,
        facts: Rc<HopFragment>,
        standing: Standing,
        room: Option<Connected>,
    ) -> Rc<Link> {
        let (answered, broke) = (Cell::new(false), RefCell::default());
        let connected = Cell::new(Some(room.unwrap_or_else(|| backend.connected())));
        Rc::new(Link { backend, address, facts, standing, answered, broke, connected })
    }

    /// It is the edge's own, and counts as no connection of a client's to the backend.
    pub(crate) fn is_our_own(&self) {
        self.connected.set(None);
    }

    /// It may take one more request: its backend is still there, and what was verified of it still holds.
    #[inline]
    pub(crate) fn holds(&self, backend: &BackendRun, unix_s: i64) -> bool {
        unix_s < self.standing.ends_s && backend.is_at(self.address.at)
    }

    /// The second from which on what was verified of the backend holds no more, in Unix time, and what is over then.
    pub(crate) fn ends(&self) -> (i64, Refusal) {
        let listed = self.backend.secured.as_ref().is_some_and(|s| s.lists_end_s <= self.standing.ends_s);
        let over = if listed { Refusal::HopListOverdue } else { Refusal::HopExpired };
        (self.standing.ends_s, over)
    }

    /// A byte of an answer came.
    #[inline]
    pub(crate) fn answer_came(&self) {
        if !self.answered.replace(true) {
            self.prove();
        }
    }

    #[cold]
    fn prove(&self) {
        self.facts.know(self.standing.identity);
        if !self.standing.resumed {
            remember(&self.backend, self.standing.identity);
        }
        choose::healed(&self.backend, &self.address);
    }

    pub(crate) fn was_answered(&self) -> bool {
        self.answered.get()
    }

    /// Why reading from it, or writing to it, failed before an answer: what TLS says is kept.
    pub(crate) fn broken(&self, e: &io::Error) -> Refusal {
        self.keep(e);
        self.why().unwrap_or(Refusal::BackendClosed)
    }

    /// The first word is the one that says why: what comes after it is its echo.
    pub(crate) fn keep(&self, e: &io::Error) {
        if let Some(tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            self.broke.borrow_mut().get_or_insert_with(|| tls.clone());
        }
    }

    /// What TLS says of its end, if it did not end well; nobody refuses us after an answer.
    pub(crate) fn why(&self) -> Option<Refusal> {
        self.broke.borrow().as_ref().map(|e| match (self.answered.get(), Refusal::of_session(e)) {
            (true, _) => Refusal::BackendTls,
            (false, why) => why,
        })
    }

    /// The try that ended so, as it is told.
    pub(crate) fn failure(&self, why: Refusal, rule: Option<&'static str>, duration_us: u64) -> Failure {
        let mut it = failure(&self.backend, &self.address, why);
        it.detail = rule.map(str::to_owned);
        it.duration_us = duration_us;
        if let Some(tls) = &*self.broke.borrow() {
            it.told_by(tls);
        }
        if why == Refusal::HopIdentityRefused {
            self.facts.know(IdentityUse::Refused);
            remember(&self.backend, IdentityUse::Refused);
        }
        it
    }
}

/// What every failure of an address says.
pub(crate) fn failure(backend: &BackendRun, address: &Address, why: Refusal) -> Failure {
    Failure {
        at: backend.at.clone(),
        address: address.at,
        tls: backend.tls,
        why,
        identity: match (why, &backend.secured) {
            (Refusal::HopIdentityRefused, _) => IdentityUse::Refused,
            (Refusal::HopIdentityNotDemanded, _) => IdentityUse::NotDemanded,
            (_, Some(secured)) if secured.presents => IdentityUse::Unknown,
            _ => IdentityUse::NotPresented,
        },
        expected: backend.secured.as_ref().map(|s| s.name.to_str().into_owned()),
        certificate: None,
        alert: None,
        detail: None,
        duration_us: 0,
        ended_us: 0,
        span: None,
    }
}

/// What a full handshake showed, for those that are resumed after it.
pub(crate) fn remember(backend: &BackendRun, identity: IdentityUse) {
    let code = match identity {
        IdentityUse::Demanded => 1,
        IdentityUse::NotDemanded => 2,
        IdentityUse::NotPresented => 3,
        IdentityUse::Refused => 4,
        IdentityUse::Unknown => return,
    };
    backend.health.identity.store(code, Ordering::Relaxed);
}

/// HTTP/2 tells its streams only that reading failed; how is kept here.
pub(crate) struct Ending {
    pub(crate) link: Rc<Link>,
    pub(crate) heard: Rc<Heard>,
}

impl Tap for Ending {
    fn saw(&mut self, bytes: usize) -> u64 {
        self.heard.saw(bytes);
        self.heard.at_ms.get()
    }

    fn broke(&mut self, e: &io::Error) {
        self.link.keep(e);
    }
}
