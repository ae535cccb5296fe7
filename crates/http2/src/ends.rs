//! When a stream is over (RFC 9113 §5.1, §5.4): by both ends, by a reset of either side, by a fault of the peer, and when the
//! caller is done with it. A stream that a peer reset counts until then: what it made us begin is under way
//! (CVE-2023-44487).

use crate::connection::Connection;
use crate::event::{Event, NotSent};
use crate::fault::{Code, Fault};
use crate::frame::{GOAWAY, RESET};
use crate::streams::{COUNTS, DEAD, RECV_OVER, SEND_OVER, Stream};

impl Connection {
    pub(crate) fn begin(&mut self, stream: u32, flags: u16, left: u64) -> usize {
        self.counted += 1;
        self.streams.add(Stream {
            id: stream,
            flags: flags | COUNTS,
            send: self.theirs.window,
            recv: self.ours.window,
            left,
            ..Stream::default()
        })
    }

    /// One of its directions ended.
    #[inline]
    pub(crate) fn over(&mut self, at: usize, direction: u16) {
        let it = self.streams.at_mut(at);
        it.flags |= direction;
        if it.flags & (RECV_OVER | SEND_OVER) == RECV_OVER | SEND_OVER {
            self.close(at, false);
        } else if direction == SEND_OVER {
            self.withdraw_if_waiting(at);
        }
    }

    fn withdraw_if_waiting(&mut self, at: usize) {
        // Whoever has a turn still wants something.
        if self.streams.at(at).wants > 0 {
            self.withdraw(at);
            self.take_turns();
        }
    }

    /// It is closed; its place stays as long as the caller has it.
    pub(crate) fn close(&mut self, at: usize, by_reset: bool) {
        self.withdraw_if_waiting(at);
        let it = self.streams.at_mut(at);
        it.flags |= DEAD;
        // What our own request made the peer begin is the peer's to count.
        if !(by_reset && self.serves()) {
            self.uncount(at);
        }
    }

    fn uncount(&mut self, at: usize) {
        let it = self.streams.at_mut(at);
        if it.has(COUNTS) {
            it.flags &= !COUNTS;
            self.counted -= 1;
            self.may_ask_again();
        }
    }

    /// The peer broke the rules of one stream (RFC 9113 §5.4.2). What it made us send counts as what it sends itself
    /// (CVE-2025-8671).
    #[cold]
    pub(crate) fn breaks(&mut self, stream: u32, fault: Fault) -> Result<Option<Event<'static>>, Fault> {
        if self.serves() {
            self.budget.reset()?;
        }
        self.remembered.add(stream, self.config.remembered);
        if let Some(at) = self.live(stream) {
            self.close(at, true);
        }
        self.output.control((RESET, 0, stream), &fault.code().0.to_be_bytes())?;
        Ok(Some(Event::Broken { stream, fault }))
    }

    /// The connection ends by what the peer did (RFC 9113 §5.4.1).
    #[cold]
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.say_goaway(fault.code());
        self.fault = Some(fault);
        self.pending = None;
        self.may_ask_again();
    }

    pub(crate) fn say_goaway(&mut self, code: Code) {
        let last = self.goodbye.last().unwrap_or(self.last).min(self.last);
        crate::frame::put(&mut self.output.bytes, 8, GOAWAY, 0, 0);
        self.output.bytes.extend_from_slice(&last.to_be_bytes());
        self.output.bytes.extend_from_slice(&code.0.to_be_bytes());
    }

    /// Breaks a stream off. Nothing more comes of it, and nothing goes; what it was and holds stays until
    /// [`Connection::done`].
    pub fn reset(&mut self, stream: u32, code: Code) -> Result<(), NotSent> {
        let at = self.sends(stream)?;
        self.send_reset(at, code);
        self.close(at, true);
        Ok(())
    }

    fn send_reset(&mut self, at: usize, code: Code) {
        let stream = self.streams.at(at).id;
        self.remembered.add(stream, self.config.remembered);
        self.output.number(RESET, stream, code.0);
    }

    /// The caller has done with a stream that it was told of, or began, which it says once of each. What of its body was not
    /// released is now; where it is not over, it is reset: by NO_ERROR where a whole answer went (RFC 9113 §8.1), else by CANCEL.
    pub fn done(&mut self, stream: u32) {
        let Some(at) = self.streams.find(stream) else { return };
        let held = self.streams.at(at).held;
        self.give_back(at, held);
        let it = *self.streams.at(at);
        if !it.has(DEAD) && self.fault.is_none() {
            let answered = self.serves() && it.has(SEND_OVER);
            self.send_reset(at, if answered { Code::NO_ERROR } else { Code::CANCEL });
        }
        if !it.has(DEAD) {
            self.close(at, true);
        }
        self.uncount(at);
        self.streams.remove(at);
        self.announce();
        self.take_turns();
    }

    /// Where a stream stands that may still be sent on.
    #[inline]
    pub(crate) fn sends(&self, stream: u32) -> Result<usize, NotSent> {
        if self.fault.is_some() {
            return Err(NotSent::Gone);
        }
        self.live(stream).ok_or(NotSent::Gone)
    }
}
