//! What a thread has: its clock, its watches, its pools, its log buffer; and what all threads share: the running plan
//! behind an atomic pointer, the table of listeners' connection counts, the log's writer.
//! On the path of a byte nothing shared is written. Read next: `running.rs`.

use crate::hop::pool::Pools;
use crate::log::ThreadLog;
use crate::running::Running;
use crate::watch::{Clock, Watched, Watches};
use arc_swap::ArcSwapOption;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// All threads' common ground.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) running: ArcSwapOption<Running>,
    pub(crate) draining: AtomicBool,
    /// By which of [`steady_ms`] a drain must be over.
    pub(crate) drain_until_ms: AtomicU64,
    pub(crate) log: crate::log::Writer,
    /// Connections now, by listener name; survives reloads.
    listeners: Mutex<HashMap<String, Arc<AtomicU32>>>,
    /// Connections that a thread still holds.
    pub(crate) open: AtomicU32,
    /// Most of them at once: what the descriptors allow with one for each backend's side and some for the rest. 0: not known.
    pub(crate) most_open: AtomicU32,
    pub(crate) sources: Arc<crate::sources::Sources>,
    pub(crate) panics: AtomicU64,
}

impl Shared {
    pub(crate) fn count_of(&self, listener: &str) -> Arc<AtomicU32> {
        let mut all = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(listener.to_owned()).or_default().clone()
    }
}

/// Milliseconds of a clock that nobody sets: what lasts a while ends after it, whatever day it has become meanwhile.
/// All threads count from the same moment; it is never 0.
pub(crate) fn steady_ms() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let passed = BEGAN.get_or_init(Instant::now).elapsed();
    let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    #[cfg(feature = "fuzzing")]
    let passed_ms = passed_ms.saturating_add(crate::fuzzing::put_forward_ms());
    passed_ms
}

/// One thread's own.
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) watches: Rc<Watches>,
    pub(crate) pools: Pools,
    pub(crate) log: RefCell<ThreadLog>,
    /// A drain's time is over: what is still in flight is refused, and observed, before the process ends.
    pub(crate) overdue: Cell<bool>,
    current: RefCell<Option<Arc<Running>>>,
    next_id: Cell<u64>,
}

impl Core {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Rc<Core> {
        let log = RefCell::new(ThreadLog::new(shared.clone()));
        // Ids of different threads and engines must not meet in one log.
        let seed = crate::observe::unix_micros() << 20 | (index as u64) << 44;
        Rc::new(Core {
            index,
            shared,
            watches: Rc::default(),
            pools: Pools::default(),
            log,
            overdue: Cell::new(false),
            current: RefCell::new(None),
            next_id: Cell::new(seed),
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.watches.clock
    }

    pub(crate) fn watch(&self) -> Watched {
        self.watches.watch()
    }

    /// Waits for the next tick.
    pub(crate) async fn pause(&self) {
        let watch = self.watch();
        watch.at_ms(self.clock().now_ms.get() + 1);
        poll_fn(|cx| watch.poll_late(cx).map(drop)).await;
    }

    /// The plan as this thread runs it. The thread's copy changes only in [`Core::refresh`].
    pub(crate) fn running(&self) -> Option<Arc<Running>> {
        self.current.borrow().clone()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.current.borrow().as_ref().map_or(0, |r| r.generation)
    }

    pub(crate) fn refresh(&self) {
        *self.current.borrow_mut() = self.shared.running.load_full();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// The drain's end in this thread's milliseconds.
    pub(crate) fn drain_deadline_ms(&self) -> u64 {
        let left = self.shared.drain_until_ms.load(Ordering::Relaxed).saturating_sub(steady_ms());
        self.clock().now_ms.get() + left
    }

    /// Unique within the fleet for all practical purposes; no secret.
    pub(crate) fn next_id(&self) -> u64 {
        let id = self.next_id.get().wrapping_add(1);
        self.next_id.set(id);
        // Finalizer of splitmix64: neighbours look different, nothing collides.
        let mut z = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
