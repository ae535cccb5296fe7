//! The task of a backend's connection of HTTP/2: moves its frames, widens its windows where the way is long, and asks a
//! silent backend whether it is there. One that does not answer is asked nothing new; what it owes has limits of its own, and
//! a network that does not even acknowledge ends the connection. Read next: `../exchange/pulse.rs`.

use crate::backend::link::Ending;
use crate::exchange::pulse::{Heard, Pulse};
use everyhop_transport::clock::Clock;
use everyhop_transport::deadlines::Watched;
use everyhop_transport::h2::{Came, Ended, Mover};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

/// Silence of a backend that owes something, after which it is asked; and how long it may take to answer.
pub(crate) const SILENT_S: u32 = 5;
const ANSWERS_S: u32 = 5;
/// A backend that takes not even our goodbye is not waited for.
pub(crate) const GOODBYE_S: u32 = 2;
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
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|it| it.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn settle(&self) {
        self.settled.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

pub(crate) struct Task {
    pub(crate) mover: Mover<Ending>,
    pub(crate) state: Weak<State>,
    /// Ends its waits.
    pub(crate) watch: Rc<Watched>,
    pub(crate) heard: Rc<Heard>,
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
        let talk = self.mover.talk().clone();
        let mut pulse = Pulse::new(talk.clone(), self.heard.clone(), self.window, most);
        let mut asked: Option<Asked> = None;
        let mut leaving = false;
        let ended = poll_fn(|cx| {
            loop {
                match self.mover.poll_next(cx) {
                    Poll::Ready(Came::Ended(ended)) => return Poll::Ready(Some(ended)),
                    // A server asks for nothing.
                    Poll::Ready(Came::Request(_) | Came::Untaken(_)) | Poll::Pending => {}
                }
                let Some(state) = self.state.upgrade() else {
                    if !std::mem::replace(&mut leaving, true) {
                        talk.leave();
                        continue;
                    }
                    return self.watch.poll_late(cx).map(|_| None);
                };
                if !state.settled.get() && talk.takes_extended_connect().is_some() {
                    state.settle();
                }
                if self.widens(&mut pulse, state.streams.get()) {
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
        if ended.is_some_and(|it| it != Ended::Closed) {
            self.watch.within_s(GOODBYE_S);
            poll_fn(|cx| match self.mover.poll_close(cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => self.watch.poll_late(cx).map(drop),
            })
            .await;
        }
    }

    /// True if there is something to be sent about it.
    fn widens(&self, pulse: &mut Pulse, streams: usize) -> bool {
        let wanted = match pulse.look() {
            Some(window) if streams <= FEW => window,
            _ if streams > FEW && pulse.window() > self.window => self.window,
            _ => return false,
        };
        // Not while it has not acknowledged the one before.
        let set = self.mover.talk().set_window(wanted);
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
