//! SETTINGS, theirs and ours (RFC 9113 §6.5): theirs hold from where they are read; ours from where they were sent as far as
//! they give, and from where they are acknowledged as far as they take.

use crate::connection::Connection;
use crate::data::announce;
use crate::event::Event;
use crate::fault::Fault;
use crate::frame::{self, ACK, FIRST_WINDOW, FRAME, Frame, MOST_WINDOW, SETTINGS, number};
use crate::streams::DEAD;

/// RFC 9113 §6.5.2, RFC 8441 §3.
const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
pub(crate) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
const LONGEST_FRAME: u32 = (1 << 24) - 1;
/// More settings than anybody has.
const MANY: usize = 16;

/// What the peer said of itself.
pub(crate) struct Theirs {
    /// It said something.
    pub(crate) came: bool,
    pub(crate) window: i64,
    pub(crate) streams: u32,
    pub(crate) connects: bool,
}

impl Default for Theirs {
    fn default() -> Theirs {
        // Until it says fewer, as many as we like (RFC 9113 §6.5.2).
        Theirs { came: false, window: i64::from(FIRST_WINDOW), streams: u32::MAX, connects: false }
    }
}

/// What we said, and it has not acknowledged.
pub(crate) struct Ours {
    pub(crate) unacknowledged: u32,
    /// What may come on a new stream.
    pub(crate) window: i64,
    /// The window that holds once it is acknowledged.
    next: i64,
}

impl Ours {
    /// The peer may begin before it knows the first: by what holds without any.
    pub(crate) fn new(window: u32) -> Ours {
        Ours { unacknowledged: 1, window: i64::from(window.max(FIRST_WINDOW)), next: i64::from(window) }
    }
}

type Came = Result<Option<Event<'static>>, Fault>;

impl Connection {
    pub(crate) fn came_settings(&mut self, payload: &[u8], frame: Frame) -> Came {
        if frame.stream != 0 {
            return Err(Fault::Place);
        }
        if frame.has(ACK) {
            return if payload.is_empty() { self.acknowledged() } else { Err(Fault::FrameSize) };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        // A window that changes looks at every stream; nobody says more at once than there are settings.
        for _ in 0..=settings.len() / MANY {
            self.budget.idle()?;
        }
        if !rest.is_empty() {
            return Err(Fault::FrameSize);
        }
        for [a, b, value @ ..] in settings {
            self.set(u16::from_be_bytes([*a, *b]), number(value).unwrap_or(0))?;
        }
        self.theirs.came = true;
        self.output.control((SETTINGS, ACK, 0), &[])?;
        self.take_turns();
        self.may_ask_again();
        Ok(Some(Event::Settings))
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        match name {
            HEADER_TABLE_SIZE => self.encoder.resize(value as usize),
            // A server takes no pushes (RFC 9113 §6.5.2).
            ENABLE_PUSH if value > 1 || value == 1 && !self.serves() => return Err(Fault::Setting),
            MAX_CONCURRENT_STREAMS => self.theirs.streams = value,
            INITIAL_WINDOW_SIZE if i64::from(value) > MOST_WINDOW => return Err(Fault::Window),
            INITIAL_WINDOW_SIZE => self.their_window(i64::from(value))?,
            MAX_FRAME_SIZE if !(FRAME as u32..=LONGEST_FRAME).contains(&value) => return Err(Fault::Setting),
            ENABLE_CONNECT_PROTOCOL if value > 1 || value == 0 && self.theirs.connects => return Err(Fault::Setting),
            ENABLE_CONNECT_PROTOCOL => self.theirs.connects = value == 1,
            // Longer frames too, in which a body would hold the others up.
            _ => {}
        }
        Ok(())
    }

    /// What was open changes by the difference, also to less than nothing; whoever it had stopped may go on (RFC 9113 §6.9.2).
    fn their_window(&mut self, window: i64) -> Result<(), Fault> {
        let by = window - std::mem::replace(&mut self.theirs.window, window);
        // Of one that is closed the peer knows no window.
        for it in self.streams.iter_mut().filter(|it| !it.has(DEAD)) {
            it.send += by;
            if it.send > MOST_WINDOW {
                return Err(Fault::Window);
            }
        }
        if by > 0 {
            self.may_all_queue();
        }
        Ok(())
    }

    fn acknowledged(&mut self) -> Came {
        self.budget.idle()?;
        let Some(left) = self.ours.unacknowledged.checked_sub(1) else { return Err(Fault::Acknowledged) };
        self.ours.unacknowledged = left;
        self.our_window(self.ours.next);
        Ok(Some(Event::Settled))
    }

    fn our_window(&mut self, window: i64) {
        let by = window - std::mem::replace(&mut self.ours.window, window);
        if by == 0 {
            return;
        }
        for it in self.streams.iter_mut() {
            it.recv += by;
            // Of a narrower window little may be left beside what was released.
            announce(it, &mut self.output);
        }
    }

    /// What may come on each stream from now on, up to 2³¹-1 bytes, on those that are open too. False, and nothing is changed,
    /// while the peer has not acknowledged the one before ([`Event::Settled`]).
    pub fn set_window(&mut self, bytes: u32) -> bool {
        if self.ours.unacknowledged > 0 || self.fault.is_some() {
            return false;
        }
        let window = i64::from(bytes).min(MOST_WINDOW);
        self.ours.unacknowledged += 1;
        self.ours.next = window;
        self.our_window(self.ours.window.max(window));
        frame::put(&mut self.output.bytes, 6, SETTINGS, 0, 0);
        self.output.bytes.extend_from_slice(&INITIAL_WINDOW_SIZE.to_be_bytes());
        self.output.bytes.extend_from_slice(&u32::try_from(window).unwrap_or(0).to_be_bytes());
        true
    }

    /// What it was set to last.
    pub fn window(&self) -> u32 {
        u32::try_from(self.ours.next).unwrap_or(0)
    }

    /// Whether the peer takes extended CONNECT (RFC 8441 §3); none while it has said nothing.
    pub fn takes_extended_connect(&self) -> Option<bool> {
        self.theirs.came.then_some(self.theirs.connects)
    }
}
