//! The pulse of a connection of HTTP/2, by PING: how far the peer is, so that windows grow with the way and not beyond what
//! it needs, and whether it is there at all. Nobody is asked who does not send a good part of a window, or is silent while
//! something is owed. Read next: `../backend/h2_task.rs` and `../client/h2.rs`, which ask.

use everyhop_transport::clock::Clock;
use everyhop_transport::h2::Talk;
use std::cell::Cell;
use std::rc::Rc;
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
    talk: Rc<Talk>,
    heard: Rc<Heard>,
    /// When a PING went that is not answered.
    asked: Option<Instant>,
    /// The next one goes when so much has come.
    due: u64,
    windows: u64,
    window: u32,
    most: u32,
}

impl Pulse {
    /// `window`: of each stream, which may grow to `most`.
    pub(crate) fn new(talk: Rc<Talk>, heard: Rc<Heard>, window: u32, most: u32) -> Pulse {
        Pulse { talk, heard, asked: None, due: u64::from(window / 2), windows: WINDOWS, window, most }
    }

    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window;
    }

    /// Asks now, whatever came.
    pub(crate) fn ask(&mut self) {
        if self.asked.is_none() && self.talk.ping() {
            self.asked = Some(Instant::now());
        }
    }

    /// Asks when it is time, and hears the answer; gives the window that the way needs, where that is a wider one. To be
    /// called each time the connection was looked at.
    pub(crate) fn look(&mut self) -> Option<u32> {
        let bytes = self.heard.bytes.get();
        let Some(since) = self.asked else {
            if bytes >= self.due && self.window < self.most {
                self.ask();
            }
            return None;
        };
        let came = self.talk.take_pong()?;
        self.asked = None;
        let (way, window) = (since.elapsed(), u64::from(self.window));
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
