//! One address of a backend and how it fares: a name may lead to several, of which one is dead or another machine. Shared
//! by all threads, written only when something fails or heals. Read next: `backend.rs`, which has them.

use crate::checked::Checked;
use everyhop_plan::Place;
use everyhop_record::failure::Failure;
use everyhop_transport::clock::steady_ms;
use serde::Deserialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What an address is ejected for: connects and handshakes that failed, of which an answer's first byte is the end.
pub const CONNECTS: u8 = 0;
/// Requests that it took and did not answer in time.
pub const TIMEOUTS: u8 = 1;
/// Answers with a status of 500 or more.
pub const ERRORS: u8 = 2;
/// Answers that began late.
pub const SLOW: u8 = 3;

/// The word for it, as the configuration has it.
pub fn rule(by: u8) -> &'static str {
    match by {
        TIMEOUTS => "timeouts",
        ERRORS => "5xx",
        SLOW => "slow",
        _ => "connects",
    }
}

/// What the supervisor says that a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Found {
    Ip(IpAddr),
    /// Of a service: where, its priority and its weight.
    Target(SocketAddr, u16, u16),
}

/// Which of a service's addresses take connections (RFC 2782): those of the lowest priority that are not ejected, in shares
/// by their weights. Other names' addresses are all alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rank {
    pub priority: u16,
    pub weight: u16,
}

/// Where `place` is now by those names; `None` where it is not resolved by a name, or nothing is said of that.
pub fn resolved(place: &Place, names: &HashMap<String, Vec<Found>>) -> Option<Vec<(SocketAddr, Rank)>> {
    let (name, port) = match place {
        Place::Name { name, port } => (name.clone(), Some(*port)),
        Place::Service { .. } => (place.to_string(), None),
        Place::Ip { .. } | Place::Unix { .. } => return None,
    };
    let of = |found: &Found| match (*found, port) {
        (Found::Ip(ip), Some(port)) => Some((SocketAddr::new(ip, port), Rank::default())),
        (Found::Target(at, priority, weight), None) => Some((at, Rank { priority, weight })),
        _ => None,
    };
    Some(names.get(&name)?.iter().filter_map(of).collect())
}

/// An address of a backend.
#[derive(Debug, Clone)]
pub struct Address {
    /// `None` for a Unix socket.
    pub at: Option<SocketAddr>,
    pub rank: Rank,
    pub fares: Arc<Faring>,
}

/// How an address fares.
#[derive(Debug, Default)]
pub struct Faring {
    /// In a row.
    pub failures: AtomicU32,
    /// Requests in a row that it took and did not answer, or not with a success, where its route counts them.
    pub unanswered: AtomicU32,
    /// In [`steady_ms`]; 0 while it is not ejected.
    pub ejected_until_ms: AtomicU64,
    /// What it was ejected for last, and how many of those there were in a row.
    pub ejected_for: AtomicU8,
    pub ejected_after: AtomicU32,
    /// It took the edge's own connection, and no answer has come yet: its next failure ejects it.
    pub on_trial: AtomicBool,
    /// The last certificate that it showed was not the one it should have.
    pub impostor: AtomicBool,
    /// What health checks found, where its route has any.
    pub checked: Checked,
    /// The last failure as JSON, with its microseconds since 1970.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl Address {
    pub fn new(at: Option<SocketAddr>) -> Address {
        Address::ranked(at, Rank::default())
    }

    pub fn ranked(at: Option<SocketAddr>, rank: Rank) -> Address {
        Address { at, rank, fares: Arc::default() }
    }
}

impl Faring {
    /// One that stands as checks left another.
    pub fn checked_like(other: &Faring) -> Faring {
        Faring { checked: Checked::like(&other.checked), ..Faring::default() }
    }

    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until_ms.load(Ordering::Relaxed);
        until > 0 && until > steady_ms()
    }

    /// By which rule it is ejected, if it is, and by how many failures in a row.
    pub fn ejected_by(&self) -> Option<(&'static str, u32)> {
        let rule = rule(self.ejected_for.load(Ordering::Relaxed));
        self.is_ejected().then(|| (rule, self.ejected_after.load(Ordering::Relaxed)))
    }

    /// It is ejected, or down by its check.
    pub fn rests(&self) -> bool {
        self.checked.is_down() || self.is_ejected()
    }

    /// Ejects it until then, for so many failures in a row; false if it is ejected already.
    pub fn eject(&self, until_ms: u64, why: u8, row: u32) -> bool {
        let before = self.ejected_until_ms.load(Ordering::Relaxed);
        if before > steady_ms() {
            return false;
        }
        let order = Ordering::Relaxed;
        let first = self.ejected_until_ms.compare_exchange(before, until_ms, order, order).is_ok();
        if first {
            self.ejected_for.store(why, order);
            self.ejected_after.store(row, order);
            self.on_trial.store(false, order);
        }
        first
    }

    /// It took a request and answered it well. True if that ends a row of others.
    #[inline]
    pub fn answered(&self) -> bool {
        (self.unanswered.load(Ordering::Relaxed) != 0 || self.on_trial.load(Ordering::Relaxed)) && self.well()
    }

    #[cold]
    fn well(&self) -> bool {
        self.unanswered.store(0, Ordering::Relaxed);
        self.on_trial.store(false, Ordering::Relaxed);
        if self.ejected_for.load(Ordering::Relaxed) != CONNECTS {
            self.ejected_until_ms.store(0, Ordering::Relaxed);
        }
        true
    }

    /// It takes requests again, on trial.
    pub fn back(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
        self.on_trial.store(true, Ordering::Relaxed);
        self.ejected_until_ms.store(0, Ordering::Relaxed);
    }

    /// Keeps a failure as the last one.
    pub fn note(&self, failure: &Failure, micros: u64) {
        let mut text = Vec::with_capacity(512);
        failure.write(&mut text, Some(micros));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((micros, text));
        if failure.is_impostor() {
            self.impostor.store(true, Ordering::Relaxed);
        }
    }

    pub fn last(&self) -> Option<(u64, Vec<u8>)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A byte of an answer came over a new connection: the row of failures ends. True if there was one.
    pub fn heal(&self) -> bool {
        let of_connects = self.ejected_for.load(Ordering::Relaxed) == CONNECTS;
        let tried = of_connects && self.on_trial.load(Ordering::Relaxed);
        if self.failures.load(Ordering::Relaxed) == 0 && !self.impostor.load(Ordering::Relaxed) && !tried {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        if of_connects {
            self.ejected_until_ms.store(0, Ordering::Relaxed);
            self.on_trial.store(false, Ordering::Relaxed);
        }
        self.impostor.store(false, Ordering::Relaxed);
        true
    }
}
