//! What one request tried and what came of it: backends and addresses that need not be asked again, and each failure for the
//! line. Empty, and without memory, while nothing fails. Read next: `carry.rs`.

use everyhop_record::counters::PerThread;
use everyhop_record::failure::Failure;
use everyhop_running::backend::BackendRun;
use everyhop_running::retries::GoesAgain;
use everyhop_running::spread::UnderWay;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Instant;

#[derive(Default)]
pub(crate) struct Tries {
    /// By what its route finds the same backend for it again.
    pub(crate) key: Option<NonZeroU64>,
    /// Where it is under way now.
    pub(crate) under_way: Option<UnderWay>,
    /// It counts to those that go again.
    pub(crate) going_again: Option<GoesAgain>,
    hops: Vec<u64>,
    addresses: Vec<(u64, Option<SocketAddr>)>,
    pub(crate) failures: Vec<Failure>,
    /// Until when something was waited for before it was sent: a turn, a new connection, another backend's answer. `None`
    /// where it was sent at once, for which no clock is asked.
    held_up: Option<Instant>,
}

impl Tries {
    pub(crate) fn by(key: Option<NonZeroU64>) -> Tries {
        Tries { key, ..Tries::default() }
    }

    /// Something was waited for until now.
    #[cold]
    pub(crate) fn waited(&mut self) {
        self.held_up = Some(Instant::now());
    }

    #[inline]
    pub(crate) fn was_held_up(&self) -> bool {
        self.held_up.is_some()
    }

    /// A backend's answer began then, or now: that is counted apart from the request, which `began` before.
    #[cold]
    pub(crate) fn heard(&self, by: &PerThread, status: u16, began: Instant, head_at: Option<Instant>) {
        let took = head_at.unwrap_or_else(Instant::now) - self.held_up.unwrap_or(began);
        by.first_bytes.add(status, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn has_hop(&self, hop_id: u64) -> bool {
        self.hops.contains(&hop_id)
    }

    pub(crate) fn hops(&self) -> usize {
        self.hops.len()
    }

    pub(crate) fn leave_out(&mut self, hop_id: u64) {
        if !self.has_hop(hop_id) {
            self.hops.push(hop_id);
        }
    }

    pub(crate) fn leave_out_address(&mut self, hop_id: u64, at: Option<SocketAddr>) {
        self.addresses.push((hop_id, at));
    }

    pub(crate) fn has_address(&self, hop_id: u64, at: Option<SocketAddr>) -> bool {
        self.addresses.contains(&(hop_id, at))
    }

    /// An address of the backend was not tried yet.
    pub(crate) fn leaves(&self, backend: &BackendRun) -> bool {
        backend.addresses.load().iter().any(|a| !self.has_address(backend.hop_id, a.at))
    }
}
