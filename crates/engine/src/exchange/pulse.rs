//! The pulse of a connection of HTTP/2, by PING: how far the peer is, so that windows grow with the way and not beyond what
//! it needs, and whether it is there at all. Nobody is asked who does not send a good part of a window, or is silent while
//! something is owed. Read next: `../backend/h2_task.rs` and `../client/h2.rs`, which ask.

use everyhop_transport::clock::Clock;
use h2::{Ping, PingPong};
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A peer that is nearer has windows enough: it would have to send 32 MiB a second.
const NEAR: Duration = Duration::from_millis(2);
/// A window grows by so much at once, as long as the peer fills a half of it on each way to it and back.
const GROWS: u32 = 4;
/// A near peer is asked again after so many windows, twice as many each time, up to so many.
const WINDOWS: u64 = 8;
const MOST_WINDOWS: u64 = 64;

/// What came from a peer.
pub(crate) struct Heard {
    clock: Rc<Clock>,
    pub(crate) bytes: Cell<u64>,
    pub(crate) at_ms: Cell<u64>,
}

impl Heard {
    pub(crate) fn new(clock: Rc<Clock>) -> Rc<Heard> {
        let at_ms = Cell::new(clock.now_ms.get());
        Rc::new(Heard { clock, bytes: Cell::new(0), at_ms })
    }

    #[inline]
    pub(crate) fn saw(&self, n: usize) {
        self.bytes.set(self.bytes.get() + n as u64);
        self.at_ms.set(self.clock.now_ms.get());
    }
}

pub(crate) struct Pulse {
    pings: Option<PingPong>,
    heard: Rc<Heard>,
    /// When a PING went that is not answered, and how much had come by then.
    asked: Option<(Instant, u64)>,
    /// The next one goes when so much has come.
    due: u64,
    windows: u64,
    window: u32,
    most: u32,
}

impl Pulse {
    /// `window`: of each stream, which may grow to `most`.
    pub(crate) fn new(pings: Option<PingPong>, heard: Rc<Heard>, window: u32, most: u32) -> Pulse {
        Pulse { pings, heard, asked: None, due: u64::from(window / 2), windows: WINDOWS, window, most }
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window;
    }

    /// Asks now, whatever came.
    pub(crate) fn ask(&mut self) {
        if self.asked.is_none()
            && let Some(pings) = &mut self.pings
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.asked = Some((Instant::now(), self.heard.bytes.get()));
        }
    }

    /// Asks when it is time, and hears the answer; gives the window that the way needs, where that is a wider one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<u32> {
        let bytes = self.heard.bytes.get();
        let Some((since, before)) = self.asked else {
            if bytes >= self.due && self.window < self.most {
                self.ask();
                // So that the answer wakes whoever asked.
                self.asked?;
                return self.poll(cx);
            }
            return None;
        };
        let Poll::Ready(answered) = self.pings.as_mut()?.poll_pong(cx) else { return None };
        self.asked = None;
        let (way, came) = (since.elapsed(), bytes - before);
        let window = u64::from(self.window);
        if answered.is_err() {
            self.pings = None;
            return None;
        }
        if way < NEAR {
            self.due = bytes + self.windows * window;
            self.windows = (self.windows * 2).min(MOST_WINDOWS);
            return None;
        }
        if came < window / 2 {
            self.due = bytes + 2 * window;
            return None;
        }
        self.due = bytes;
        Some(self.window.saturating_mul(GROWS).min(self.most))
    }
}
