//! The task of a backend's connection of HTTP/2: moves its frames, widens its windows where the way is long, and asks a
//! silent backend whether it is there. One that does not answer is asked nothing new; what it owes has limits of its own, and
//! a network that does not even acknowledge ends the connection. Read next: `../exchange/pulse.rs`.

use crate::backend::link::{Ending, Settings};
use crate::exchange::pulse::{Heard, Pulse};
use bytes::Bytes;
use everyhop_transport::clock::Clock;
use everyhop_transport::deadlines::Watched;
use everyhop_transport::h2_io::Stream;
use h2::client::Connection;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

/// Silence of a backend that owes something, after which it is asked; and how long it may take to answer.
pub(crate) const SILENT_S: u32 = 5;
const ANSWERS_S: u32 = 5;
/// In one silence it is asked again after so long: servers of gRPC end a connection that asks more often than each five
/// minutes while they send nothing.
const AGAIN_MS: u64 = 310_000;
/// The answer to a PING, as it comes (RFC 9113 §6.7).
const PONG: u64 = 17;
/// Windows are wide only while few streams are open, so that those that nobody reads hold no more than is set aside for them.
pub(crate) const FEW: usize = 4;
pub(crate) const WIDEST: u32 = 1 << 20;

/// What the task and those whose requests it moves know of the connection. It lives as long as somebody may ask over it.
pub(crate) struct State {
    /// Something new may be asked.
    pub(crate) open: Cell<bool>,
    /// Requests under way.
    pub(crate) streams: Cell<usize>,
    pub(crate) clock: Rc<Clock>,
    /// What the backend said of itself was taken note of, or nothing of it will come.
    settled: Cell<bool>,
    /// Who waits for that.
    waiting: RefCell<Vec<Waker>>,
}

impl State {
    pub(crate) fn new(clock: Rc<Clock>) -> State {
        State {
            open: Cell::new(true),
            streams: Cell::new(0),
            clock,
            settled: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    pub(crate) fn poll_settled(&self, cx: &Context<'_>) -> Poll<()> {
        if self.settled.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    fn settle(&self) {
        self.settled.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

pub(crate) struct Task {
    pub(crate) connection: Connection<Stream<Ending>, Bytes>,
    pub(crate) state: Weak<State>,
    /// Ends its waits.
    pub(crate) watch: Rc<Watched>,
    pub(crate) heard: Rc<Heard>,
    pub(crate) settings: Rc<Settings>,
    pub(crate) window: u32,
}

/// When it was asked whether it is there, and how much had come by then.
#[derive(Clone, Copy)]
struct Asked {
    at_ms: u64,
    bytes: u64,
}

impl Task {
    /// Goes on until the connection ends. How it ended shows at each of its streams.
    pub(crate) async fn run(mut self) {
        let most = WIDEST.max(self.window);
        let mut pulse = Pulse::new(self.connection.ping_pong(), self.heard.clone(), self.window, most);
        let mut asked: Option<Asked> = None;
        poll_fn(|cx| {
            loop {
                if Pin::new(&mut self.connection).poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let Some(state) = self.state.upgrade() else { return self.watch.poll_late(cx).map(drop) };
                // The connection was looked at just now, so what came of its settings is known.
                if !state.settled.get() && self.settings.came(self.heard.bytes.get()) {
                    state.settle();
                }
                if self.widens(cx, &mut pulse, state.streams.get()) {
                    continue;
                }
                ready!(self.watch.poll_late(cx));
                self.listens(&state, &mut pulse, &mut asked);
            }
        })
        .await;
        if let Some(state) = self.state.upgrade() {
            state.open.set(false);
            state.settle();
        }
    }

    /// True if there is something to be sent about it.
    fn widens(&mut self, cx: &mut Context<'_>, pulse: &mut Pulse, streams: usize) -> bool {
        let wanted = match pulse.poll(cx) {
            Some(window) if streams <= FEW => window,
            _ if streams > FEW && pulse.window() > self.window => self.window,
            _ => return false,
        };
        // Not while it has not acknowledged the one before.
        let set = self.connection.set_initial_window_size(wanted).is_ok();
        if set {
            pulse.set_window(wanted);
        }
        set
    }

    fn listens(&self, state: &State, pulse: &mut Pulse, asked: &mut Option<Asked>) {
        let (now_ms, bytes) = (state.clock.now_ms.get(), self.heard.bytes.get());
        if state.streams.get() == 0 {
            return self.watch.forever();
        }
        let mut due_ms = self.heard.at_ms.get() + u64::from(SILENT_S) * 1000;
        if let Some(it) = *asked {
            if bytes == it.bytes {
                // It said nothing since: what comes now has another connection.
                state.open.set(false);
                return self.watch.forever();
            }
            if bytes - it.bytes == PONG {
                due_ms = due_ms.max(it.at_ms + AGAIN_MS);
            }
        }
        if now_ms < due_ms {
            return self.watch.at_ms(due_ms);
        }
        *asked = Some(Asked { at_ms: now_ms, bytes });
        pulse.ask();
        self.watch.within_s(ANSWERS_S);
    }
}
