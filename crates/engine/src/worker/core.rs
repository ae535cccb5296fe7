//! What a thread has of its own: its clock and watches, its connections to backends, its log's buffer, its copy of the
//! plan. On the path of a byte nothing shared is written. Read next: `shared.rs`, then `run.rs`.

use crate::backend::reach::Backends;
use crate::worker::ids::Ids;
use crate::worker::shared::Shared;
use everyhop_record::log::ThreadLog;
use everyhop_running::running::Running;
use everyhop_transport::clock::{Clock, steady_ms};
use everyhop_transport::deadlines::{Watched, Watches};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One thread's own.
pub struct Core {
    pub(crate) index: usize,
    pub shared: Arc<Shared>,
    pub(crate) backends: Backends,
    pub(crate) log: RefCell<ThreadLog>,
    /// A drain's time is over: what is still in flight is refused, and observed, before the process ends.
    pub(crate) overdue: Cell<bool>,
    /// Bytes that its clients may send ahead beyond what their connections have.
    pub(crate) lent: Rc<Cell<u64>>,
    current: RefCell<Option<Arc<Running>>>,
    ids: Ids,
}

impl Core {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Rc<Core> {
        let ids = Ids::of_thread(shared.ids_from, index);
        Rc::new(Core {
            index,
            shared,
            backends: Backends::new(Rc::default()),
            log: RefCell::default(),
            overdue: Cell::new(false),
            lent: Rc::default(),
            current: RefCell::new(None),
            ids,
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.backends.watches.clock
    }

    pub(crate) fn watches(&self) -> &Rc<Watches> {
        &self.backends.watches
    }

    pub fn watch(&self) -> Watched {
        self.watches().watch()
    }

    /// Waits for the next tick.
    pub async fn pause(&self) {
        let watch = self.watch();
        watch.at_ms(self.clock().now_ms.get() + 1);
        poll_fn(|cx| watch.poll_late(cx).map(drop)).await;
    }

    /// The plan as this thread runs it. The thread's copy changes only in [`Core::refresh`].
    pub fn running(&self) -> Option<Arc<Running>> {
        self.current.borrow().clone()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.current.borrow().as_ref().map_or(0, |r| r.generation)
    }

    /// No plan waits to become this thread's.
    pub(crate) fn is_current(&self) -> bool {
        let shared = self.shared.running.load();
        self.current.borrow().as_ref().map(|r| r.generation) == shared.as_ref().map(|r| r.generation)
    }

    pub(crate) fn refresh(&self) {
        *self.current.borrow_mut() = self.shared.running.load_full();
    }

    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// True while it drains and whoever is idle is sent away. An engine that was followed by another has time: who is idle
    /// may be about to ask, and hears with the answer that it was the last one.
    pub fn hurries(&self) -> bool {
        self.is_draining() && !self.shared.retiring.load(Ordering::Relaxed)
    }

    /// The drain's end in this thread's milliseconds.
    pub(crate) fn drain_deadline_ms(&self) -> u64 {
        let left = self.shared.drain_until_ms.load(Ordering::Relaxed).saturating_sub(steady_ms());
        self.clock().now_ms.get() + left
    }

    /// The next id of a connection or a request.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.next()
    }
}
