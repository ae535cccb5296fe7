//! What the sessions of a hop stand for. A session that is taken up again shows no certificate and asks for none, so it is
//! kept with what its whole handshake showed: whether the backend asked for our certificate, and until when what was
//! verified holds (the end of the backend's certificate, the next update of a revocation list). Nothing of it is believed
//! after that end, nor by a connection that it does not belong to.
//!
//! rustls does not say whose handshake a call belongs to; so each connection has a memory of its own in front of the hop's.
//! Read next: `backend.rs`.

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::{ServerName, UnixTime};
use std::collections::VecDeque;
use std::fmt::{Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tickets that a hop keeps: as many as rustls' own memory keeps for a server.
const TICKETS: usize = 8;

/// What a whole handshake with a backend showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// It asked for our certificate.
    pub asked: bool,
    /// Unix time at which what was verified holds no more.
    pub ends_s: i64,
}

/// The sessions of one hop, shared by all threads.
#[derive(Default)]
pub struct Sessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    group: Option<NamedGroup>,
    tls12: Option<(Tls12ClientSessionValue, Proven)>,
    tickets: VecDeque<(Tls13ClientSessionValue, Proven)>,
}

enum Session {
    Tls12(Tls12ClientSessionValue),
    Ticket(Tls13ClientSessionValue),
}

impl Kept {
    fn keep(&mut self, session: Session, proven: Proven) {
        match session {
            Session::Tls12(it) => self.tls12 = Some((it, proven)),
            Session::Ticket(it) => {
                if self.tickets.len() >= TICKETS {
                    self.tickets.pop_front();
                }
                self.tickets.push_back((it, proven));
            }
        }
    }
}

impl Sessions {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Sessions {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

/// The memory of one connection.
#[derive(Debug)]
pub struct Memory {
    hop: Arc<Sessions>,
    /// It offers none that the hop has.
    whole: bool,
    mine: Mutex<Mine>,
}

#[derive(Default)]
struct Mine {
    /// What the session that was offered stands for.
    offered: Option<Proven>,
    /// What this connection stands for; what comes before it is known waits.
    proven: Option<Proven>,
    waits: Vec<Session>,
}

impl Debug for Mine {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mine").field("offered", &self.offered).field("proven", &self.proven).finish_non_exhaustive()
    }
}

impl Memory {
    /// `whole`: the handshake takes up no session; what comes of it is kept all the same.
    pub fn of(hop: Arc<Sessions>, whole: bool) -> Arc<Memory> {
        Arc::new(Memory { hop, whole, mine: Mutex::default() })
    }

    fn mine(&self) -> MutexGuard<'_, Mine> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the session that this connection offered stands for, if it offered one.
    pub fn offered(&self) -> Option<Proven> {
        self.mine().offered
    }

    /// The handshake is over, and this is what the connection stands for: what came of sessions is kept from now on. Of a
    /// connection for which nobody calls this, nothing is kept.
    pub fn stands_for(&self, proven: Proven) {
        let mut mine = self.mine();
        mine.proven = Some(proven);
        let waits = std::mem::take(&mut mine.waits);
        let mut kept = self.hop.kept();
        for session in waits {
            kept.keep(session, proven);
        }
    }

    /// The backend is not what its sessions stand for any more: none of them is taken up again.
    pub fn stands_for_nothing(&self) {
        let mut kept = self.hop.kept();
        kept.tls12 = None;
        kept.tickets.clear();
    }

    fn came(&self, session: Session) {
        let mut mine = self.mine();
        match mine.proven {
            Some(proven) => self.hop.kept().keep(session, proven),
            None => mine.waits.push(session),
        }
    }

    fn offers<T>(&self, found: Option<(T, Proven)>) -> Option<T> {
        let (session, proven) = found?;
        if i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX) >= proven.ends_s {
            return None;
        }
        self.mine().offered = Some(proven);
        Some(session)
    }
}

// A hop expects one name, so it does not tell its sessions apart by it.
impl ClientSessionStore for Memory {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.hop.kept().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.hop.kept().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.came(Session::Tls12(session));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let found = self.hop.kept().tls12.clone().filter(|_| !self.whole);
        self.offers(found)
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.hop.kept().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.came(Session::Ticket(ticket));
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.whole {
            // Those that are there are left to requests.
            return None;
        }
        loop {
            // The newest first, as rustls' own memory has it.
            let found = self.hop.kept().tickets.pop_back()?;
            if let Some(ticket) = self.offers(Some(found)) {
                return Some(ticket);
            }
        }
    }
}
