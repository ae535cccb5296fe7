//! How many requests of a route are under way at once, on all threads together, and how many wait for their turn. Who came
//! first goes first; who finds no room to wait is told at once.

use everyhop_plan::Most;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of one route.
pub struct Turns {
    pub most: Most,
    requests: u32,
    free: Arc<Semaphore>,
    waiting: AtomicU32,
}

/// A request that is under way, as long as it is held.
pub struct Turn(#[allow(dead_code, reason = "it counts by being there")] OwnedSemaphorePermit);

/// A place among those that wait, as long as it is held.
pub struct Waiting<'a>(&'a Turns);

impl Turns {
    /// `None` where as many requests may be under way as come.
    pub fn of(most: Most) -> Option<Turns> {
        let requests = most.requests?;
        let number = usize::try_from(requests).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Some(Turns { most, requests, free: Arc::new(Semaphore::new(number)), waiting: AtomicU32::new(0) })
    }

    /// A turn, if one is free and nobody waits for it.
    #[inline]
    pub fn take(&self) -> Option<Turn> {
        self.free.clone().try_acquire_owned().ok().map(Turn)
    }

    /// A place to wait at, if there is one.
    pub fn queue(&self) -> Option<Waiting<'_>> {
        let place = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(self);
        (place < self.most.waiting).then_some(waiting)
    }

    /// Requests under way, and those that wait.
    pub fn counts(&self) -> (u32, u32) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        (self.requests.saturating_sub(free), self.waiting.load(Ordering::Relaxed).min(self.most.waiting))
    }
}

impl Waiting<'_> {
    /// Ready when it is this one's turn; dropped before, the next one's.
    pub async fn turn(&self) -> Option<Turn> {
        self.0.free.clone().acquire_owned().await.ok().map(Turn)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
