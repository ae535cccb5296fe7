//! Deadlines without timer system calls: a connection writes the moment by which it must have moved on into a cell, and
//! one tick a thread wakes those that are late. Late by up to a tick (100 ms); never early.
//! Whoever waits is also woken through here when there is something else to look at. Read next: `ticker.rs`.

use crate::clock::Clock;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often a thread looks. Each look costs a few nanoseconds a connection.
pub const TICK: Duration = Duration::from_millis(100);

/// Slots that are looked at before the thread turns to its sockets again: each look may miss the cache.
const LOOKED: usize = 512;
/// Watches that are woken before the thread turns to its sockets again: each may close its connection.
const WOKEN: usize = 16;

/// What ends a wait from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

#[derive(Debug)]
pub struct Watch {
    clock: Rc<Clock>,
    /// Thread milliseconds; `u64::MAX` is no deadline.
    deadline_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Must have moved on within `seconds` from now.
    #[inline]
    pub fn within_s(&self, seconds: u32) {
        self.deadline_ms.set(self.clock.now_ms.get() + u64::from(seconds) * 1000);
    }

    #[inline]
    pub fn at_ms(&self, ms: u64) {
        self.deadline_ms.set(ms);
    }

    #[inline]
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms.get()
    }

    #[inline]
    pub fn forever(&self) {
        self.deadline_ms.set(u64::MAX);
    }

    pub fn wake(&self) {
        if let Some(w) = self.waker.borrow().as_ref() {
            w.wake_by_ref();
        }
    }

    #[inline]
    pub fn is_late(&self) -> bool {
        self.clock.now_ms.get() >= self.deadline_ms.get()
    }

    /// To be called where something else just answered Pending: Ready(Late) or registered to be woken.
    #[inline]
    pub fn poll_late(&self, cx: &Context<'_>) -> Poll<Late> {
        if self.is_late() {
            return Poll::Ready(Late);
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Runs `future` until it is done or the watch is late.
pub async fn in_time<F: Future>(watch: &Watch, future: F) -> Result<F::Output, Late> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(it) => Poll::Ready(Ok(it)),
        Poll::Pending => watch.poll_late(cx).map(Err),
    })
    .await
}

/// The watches of a thread. A slot is free again when its [`Watched`] drops.
#[derive(Debug, Default)]
pub struct Watches {
    pub clock: Rc<Clock>,
    slots: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
}

/// A registered watch.
#[derive(Debug)]
pub struct Watched {
    watch: Rc<Watch>,
    all: Rc<Watches>,
    slot: usize,
}

impl std::ops::Deref for Watched {
    type Target = Watch;
    #[inline]
    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(slot) = self.all.slots.borrow_mut().get_mut(self.slot) {
            *slot = None;
        }
        self.all.free.borrow_mut().push(self.slot);
    }
}

impl Watches {
    pub fn watch(self: &Rc<Self>) -> Watched {
        let watch =
            Rc::new(Watch { clock: self.clock.clone(), deadline_ms: Cell::new(u64::MAX), waker: RefCell::new(None) });
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or(slots.len());
        match slots.get_mut(slot) {
            Some(s) => *s = Some(watch.clone()),
            None => slots.push(Some(watch.clone())),
        }
        Watched { watch, all: self.clone(), slot }
    }

    /// Wakes the waits that are late.
    pub async fn tick(&self) {
        self.by_and_by(Watch::is_late).await;
    }

    /// Wakes all waits, so that each connection looks at what changed.
    pub async fn wake_all(&self) {
        self.by_and_by(|_| true).await;
    }

    /// The sockets are looked at in between: ten thousand that end at once must not make the others wait for all of them.
    async fn by_and_by(&self, which: impl Fn(&Watch) -> bool) {
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.some(at, &which);
            if from.is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes some of those from a slot on, and gives the slot to go on with.
    pub fn some(&self, from: usize, which: impl Fn(&Watch) -> bool) -> Option<usize> {
        // Waking only queues a task, so no watch is added or dropped while the slots are borrowed.
        let slots = self.slots.borrow();
        let mut woken = 0;
        for (at, slot) in slots.iter().enumerate().skip(from).take(LOOKED) {
            if woken == WOKEN {
                return Some(at);
            }
            if let Some(watch) = slot.as_ref().filter(|w| which(w)) {
                watch.wake();
                woken += 1;
            }
        }
        (from + LOOKED < slots.len()).then_some(from + LOOKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `count` watches of which every `each`th is late.
    fn waiting(count: usize, each: usize) -> (Rc<Watches>, Vec<Watched>, Arc<Woken>) {
        let (all, woken) = (Rc::new(Watches::default()), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        let watches = (0..count)
            .map(|i| {
                let it = all.watch();
                it.at_ms(if i % each == 0 { 1 } else { 1000 });
                assert_eq!(it.poll_late(&Context::from_waker(&waker)), Poll::Pending);
                it
            })
            .collect();
        all.clock.now_ms.set(1);
        (all, watches, woken)
    }

    fn steps(all: &Watches, woken: &Woken) -> Vec<usize> {
        let (mut from, mut found) = (Some(0), Vec::new());
        while let Some(at) = from {
            let before = woken.0.load(Ordering::Relaxed);
            from = all.some(at, Watch::is_late);
            found.push(woken.0.load(Ordering::Relaxed) - before);
        }
        found
    }

    #[test]
    fn all_that_are_late_are_woken_a_few_at_a_time() {
        let (all, _watches, woken) = waiting(1000, 1);
        let found = steps(&all, &woken);
        assert_eq!(found.iter().sum::<usize>(), 1000);
        assert!(found.iter().all(|n| *n <= WOKEN), "{found:?}");
    }

    #[test]
    fn those_that_are_not_late_are_passed_over_some_at_a_time() {
        let (all, _watches, woken) = waiting(5 * LOOKED + 1, LOOKED);
        assert_eq!(steps(&all, &woken), [1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn nobody_waiting_takes_one_step() {
        let (all, watches, woken) = waiting(0, 1);
        assert!(watches.is_empty());
        assert_eq!(steps(&all, &woken), [0]);
    }
}
