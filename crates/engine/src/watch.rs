//! Deadlines without timer system calls: a connection writes the moment by which it must have moved on into a cell, and
//! one tick a thread wakes those that are late. Late by up to a tick (100 ms); never early.
//! A connection is also woken through here when its thread drains or its route is gone. Read next: `thread.rs`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often a thread looks. Each look costs a few nanoseconds a connection.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What ends a wait from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late;

#[derive(Debug)]
pub(crate) struct Watch {
    clock: Rc<Clock>,
    /// Thread milliseconds; `u64::MAX` is no deadline.
    deadline_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Must have moved on within `seconds` from now.
    pub(crate) fn within_s(&self, seconds: u32) {
        self.deadline_ms.set(self.clock.now_ms.get() + u64::from(seconds) * 1000);
    }

    pub(crate) fn at_ms(&self, ms: u64) {
        self.deadline_ms.set(ms);
    }

    pub(crate) fn deadline_ms(&self) -> u64 {
        self.deadline_ms.get()
    }

    pub(crate) fn forever(&self) {
        self.deadline_ms.set(u64::MAX);
    }

    pub(crate) fn wake(&self) {
        if let Some(w) = self.waker.borrow().as_ref() {
            w.wake_by_ref();
        }
    }

    pub(crate) fn is_late(&self) -> bool {
        self.clock.now_ms.get() >= self.deadline_ms.get()
    }

    /// To be called where something else just answered Pending: Ready(Late) or registered to be woken.
    pub(crate) fn poll_late(&self, cx: &Context<'_>) -> Poll<Late> {
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

/// The thread's coarse clock and everyone who watches it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    pub(crate) now_ms: Cell<u64>,
    /// Unix seconds, for dates.
    pub(crate) unix_s: Cell<i64>,
    /// The last tick by both clocks, so that a moment of the one is known by the other without asking again.
    ticked: Cell<Option<(Instant, u64)>>,
}

impl Clock {
    /// A tick, `began` after which the thread's milliseconds count.
    pub(crate) fn tick(&self, began: Instant) {
        let (now, micros) = (Instant::now(), crate::observe::unix_micros());
        self.now_ms.set(u64::try_from((now - began).as_millis()).unwrap_or(u64::MAX));
        self.unix_s.set(i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX));
        self.ticked.set(Some((now, micros)));
    }

    /// Now in microseconds since 1970, and how many have passed since `began`. It asks one clock, once.
    pub(crate) fn unix_micros(&self, began: Instant) -> (u64, u64) {
        let now = Instant::now();
        let since = |from: Instant| u64::try_from((now - from).as_micros()).unwrap_or(u64::MAX);
        let unix = match self.ticked.get() {
            Some((at, micros)) => micros.saturating_add(since(at)),
            None => crate::observe::unix_micros(),
        };
        (unix, since(began))
    }
}

/// The watches of a thread. A slot is free again when its [`Watched`] drops.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    pub(crate) clock: Rc<Clock>,
    slots: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
}

/// A registered watch.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Rc<Watch>,
    all: Rc<Watches>,
    slot: usize,
}

impl std::ops::Deref for Watched {
    type Target = Watch;
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
    pub(crate) fn watch(self: &Rc<Self>) -> Watched {
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

    /// Wakes who is late.
    pub(crate) fn tick(&self) {
        // Waking only queues a task, so no watch is added or dropped while the slots are borrowed.
        for watch in self.slots.borrow().iter().flatten() {
            if watch.is_late() {
                watch.wake();
            }
        }
    }

    /// Wakes everyone, so that each looks at what changed.
    pub(crate) fn wake_all(&self) {
        for watch in self.slots.borrow().iter().flatten() {
            watch.wake();
        }
    }
}
