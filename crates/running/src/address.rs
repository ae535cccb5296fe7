//! One address of a backend and how it fares: a name may lead to several, of which one is dead or another machine. Shared
//! by all threads, written only when something fails or heals. Read next: `backend.rs`, which has them.

use everyhop_record::failure::Failure;
use everyhop_transport::clock::steady_ms;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// An address of a backend.
#[derive(Debug, Clone)]
pub struct Address {
    /// `None` for a Unix socket.
    pub at: Option<SocketAddr>,
    pub fares: Arc<Faring>,
}

/// How an address fares.
#[derive(Debug, Default)]
pub struct Faring {
    /// In a row.
    pub failures: AtomicU32,
    /// In [`steady_ms`]; 0 while it is not ejected.
    pub ejected_until_ms: AtomicU64,
    /// The last certificate that it showed was not the one it should have.
    pub impostor: AtomicBool,
    /// The last failure as JSON, with its microseconds since 1970.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl Address {
    pub fn new(at: Option<SocketAddr>) -> Address {
        Address { at, fares: Arc::default() }
    }
}

impl Faring {
    pub fn is_ejected(&self) -> bool {
        let until = self.ejected_until_ms.load(Ordering::Relaxed);
        until > 0 && until > steady_ms()
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
        if self.failures.load(Ordering::Relaxed) == 0 && !self.impostor.load(Ordering::Relaxed) {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.ejected_until_ms.store(0, Ordering::Relaxed);
        self.impostor.store(false, Ordering::Relaxed);
        true
    }
}
