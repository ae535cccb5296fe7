//! What is owed to a client of HTTP/2: the requests that its connection carries now, and what becomes of its end meanwhile.
//! close_notify and the socket's end close one direction (RFC 8446 §6.1): who asked before gets its answers.
//! Read next: `everyhop_transport::h2`, which holds the end back.

use crate::client::conn::Conn;
use crate::exchange::pulse::Heard;
use everyhop_transport::deadlines::Watched;
use everyhop_transport::h2::{Ends, Tap};
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};

pub(super) struct Owed {
    conn: Rc<Conn>,
    requests: Cell<usize>,
    /// Who holds the client's end back until none is left.
    held: Cell<Option<Waker>>,
}

impl Owed {
    pub(super) fn new(conn: Rc<Conn>) -> Rc<Owed> {
        Rc::new(Owed { conn, requests: Cell::new(0), held: Cell::new(None) })
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.requests.get() == 0
    }
}

/// A request of these; the last one to end starts the idle clock.
pub(super) struct Counted(Rc<Owed>);

impl Counted {
    pub(super) fn new(owed: &Rc<Owed>) -> Counted {
        owed.requests.set(owed.requests.get() + 1);
        owed.conn.opened.arrived.watch.forever();
        Counted(owed.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let owed = &self.0;
        owed.requests.set(owed.requests.get() - 1);
        if owed.is_nothing() {
            let arrived = &owed.conn.opened.arrived;
            arrived.watch.within_s(arrived.running.limits().idle_s);
            if let Some(held) = owed.held.take() {
                held.wake();
            }
        }
    }
}

/// Hears a client's bytes go by, and its end.
pub(super) struct Ear {
    heard: Rc<Heard>,
    owed: Rc<Owed>,
    /// Its socket ended in its direction; whether it still listens nobody knows. It is waited for until then, and longer
    /// as long as something is sent to it.
    until: Option<Watched>,
}

impl Ear {
    pub(super) fn new(heard: Rc<Heard>, owed: Rc<Owed>) -> Ear {
        Ear { heard, owed, until: None }
    }

    fn is_late(&mut self, cx: &Context<'_>, moved: bool) -> bool {
        let arrived = &self.owed.conn.opened.arrived;
        if moved || self.until.is_none() {
            let watch = self.until.get_or_insert_with(|| arrived.core.watch());
            watch.within_s(arrived.running.limits().half_closed_s);
        }
        self.until.as_ref().is_some_and(|it| it.poll_late(cx).is_ready())
    }
}

impl Tap for Ear {
    fn saw(&mut self, bytes: usize) -> u64 {
        self.heard.saw(bytes);
        self.heard.at_ms.get()
    }

    #[cold]
    fn ends(&mut self, cx: &mut Context<'_>, hung_up: bool, moved: bool) -> Ends {
        if hung_up && self.is_late(cx, moved) {
            return Ends::Now;
        }
        if self.owed.is_nothing() {
            return Ends::Sent;
        }
        self.owed.held.set(Some(cx.waker().clone()));
        Ends::Held
    }
}
