//! DATA in, and our windows (RFC 9113 §6.1, §6.9): a body goes to the caller piece by piece, as it comes, and makes room for
//! more when the caller releases it.

use crate::connection::Connection;
use crate::event::Event;
use crate::fault::Fault;
use crate::frame::{END_STREAM, Frame, HEADER, MOST_WINDOW, PADDED, UPDATE};
use crate::output::Output;
use crate::read::Step;
use crate::streams::{ANY, DEAD, HEAD_CAME, RECV_OVER, Stream};

impl Connection {
    /// A frame's beginning; what of its body is there is given with it.
    pub(crate) fn data<'i>(&mut self, rest: &'i [u8], frame: Frame) -> Result<Step<'i>, Fault> {
        let stream = frame.stream;
        if stream == 0 {
            return Err(Fault::Place);
        }
        self.output.is_read()?;
        let (mut n, mut pad) = (HEADER, 0);
        if frame.has(PADDED) {
            if frame.len == 0 {
                return Err(Fault::FrameSize);
            }
            let Some(b) = rest.get(HEADER) else { return Ok(Step::More) };
            (n, pad) = (HEADER + 1, usize::from(*b));
        }
        let body = (frame.len + HEADER - n).checked_sub(pad).ok_or(Fault::Padding)?;
        if self.is_idle(stream) {
            return Err(Fault::Idle);
        }
        let last = frame.has(END_STREAM);
        // What carries nothing is an empty frame to whoever has to read it, however it is padded.
        if body == 0 && !last {
            self.budget.idle()?;
        }
        let len = frame.len as i64;
        self.windows.recv -= len;
        if self.windows.recv < 0 {
            return Err(Fault::Window);
        }
        self.windows.unsaid += len - body as i64;
        (self.piece.left, self.piece.pad, self.piece.stream, self.piece.last) = (body, pad, 0, last);
        let Some(at) = self.live(stream) else {
            if !self.may_be_late(stream) {
                return Err(Fault::Closed);
            }
            self.announce();
            return Ok(Step::Took(n));
        };
        let it = self.streams.at_mut(at);
        let fault = match body as u64 {
            _ if it.has(RECV_OVER) => Some(Fault::Closed),
            _ if !it.has(HEAD_CAME) => Some(Fault::NoHead),
            // The end needs no window, which may be less than nothing.
            _ if len > 0 && it.recv < len => Some(Fault::Window),
            body if it.left != ANY && (body > it.left || last && body < it.left) => Some(Fault::BodyLength),
            _ => None,
        };
        if let Some(fault) = fault {
            self.announce();
            self.pending = self.breaks(stream, fault)?;
            return Ok(Step::Took(n));
        }
        it.recv -= len;
        if it.left != ANY {
            it.left -= body as u64;
        }
        it.unsaid += (frame.len - body) as u32;
        self.piece.stream = stream;
        if body == 0 {
            return Ok(self.empty(stream, at, n, last));
        }
        // With what came, what is left to send may have become little beside what was released.
        self.announce_of(at);
        match self.piece(rest.get(n..).unwrap_or_default())? {
            Step::More => Ok(Step::Took(n)),
            Step::Took(m) => Ok(Step::Took(n + m)),
            Step::Gives(m, event) => Ok(Step::Gives(n + m, event)),
        }
    }

    /// A frame without a body.
    fn empty(&mut self, stream: u32, at: usize, n: usize, last: bool) -> Step<'static> {
        if !last {
            self.announce_of(at);
            return Step::Took(n);
        }
        self.announce();
        self.over(at, RECV_OVER);
        Step::Gives(n, Event::Data { stream, bytes: &[], last })
    }

    /// Some more of a frame's body.
    #[inline]
    pub(crate) fn piece<'i>(&mut self, rest: &'i [u8]) -> Result<Step<'i>, Fault> {
        let n = self.piece.left.min(rest.len());
        let bytes = rest.get(..n).unwrap_or_default();
        if n == 0 {
            return Ok(Step::More);
        }
        self.piece.left -= n;
        let stream = self.piece.stream;
        let Some(at) = (if stream == 0 { None } else { self.live(stream) }) else {
            self.windows.unsaid += n as i64;
            self.announce();
            return Ok(Step::Took(n));
        };
        self.streams.at_mut(at).held += n as u32;
        let last = self.piece.last && self.piece.left == 0;
        if last {
            self.over(at, RECV_OVER);
        }
        Ok(Step::Gives(n, Event::Data { stream, bytes, last }))
    }

    /// So many bytes of a stream's body went on, whether it is still open or not: the peer may send as many more. It is told
    /// when that is a good part of what it may still send, so that nobody stands still whose bytes were released.
    pub fn release(&mut self, stream: u32, bytes: usize) {
        let Some(at) = self.streams.find(stream) else { return };
        self.give_back(at, u32::try_from(bytes).unwrap_or(u32::MAX));
        self.announce_of(at);
    }

    /// More than is held is not given back.
    pub(crate) fn give_back(&mut self, at: usize, bytes: u32) {
        let it = self.streams.at_mut(at);
        let bytes = bytes.min(it.held);
        it.held -= bytes;
        it.unsaid += bytes;
        self.windows.unsaid += i64::from(bytes);
    }

    #[inline]
    fn announce_of(&mut self, at: usize) {
        self.announce();
        if self.fault.is_none() {
            announce(self.streams.at_mut(at), &mut self.output);
        }
    }

    /// As much again as half of what the peer may still send, at least: it is told of windows rarely, and of the last bytes
    /// always.
    #[inline]
    pub(crate) fn announce(&mut self) {
        let it = &mut self.windows;
        if it.unsaid > 0 && it.unsaid * 2 >= it.recv && self.fault.is_none() {
            let by = std::mem::take(&mut it.unsaid);
            it.recv += by;
            self.output.number(UPDATE, 0, u32::try_from(by).unwrap_or(0));
        }
    }

    /// What may come on all streams together, released or not, from now on. Where it is less than before, what is released
    /// next makes no room until the difference is made up: what was offered cannot be taken back.
    pub fn set_connection_window(&mut self, bytes: u32) {
        let bytes = i64::from(bytes).min(MOST_WINDOW);
        self.windows.unsaid += bytes - i64::from(self.windows.target);
        self.windows.target = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.announce();
    }

    /// Whether somebody who may have more to send is kept from it by what is held of others: they may send less than `least`
    /// together.
    #[inline]
    pub fn is_held_up(&self, least: u32) -> bool {
        self.windows.recv + self.windows.unsaid < i64::from(least) && self.streams.iter().any(is_waited_for)
    }

    /// What it was set to.
    pub fn connection_window(&self) -> u32 {
        self.windows.target
    }
}

/// All that came of it went on, and more may come.
fn is_waited_for(it: &Stream) -> bool {
    it.has(HEAD_CAME) && !it.has(RECV_OVER | DEAD) && it.held == 0
}

/// As [`Connection::announce`], of a stream.
#[inline]
pub(crate) fn announce(it: &mut Stream, output: &mut Output) {
    if it.unsaid > 0 && i64::from(it.unsaid) * 2 >= it.recv && !it.has(RECV_OVER | DEAD) {
        let by = std::mem::take(&mut it.unsaid);
        it.recv += i64::from(by);
        output.number(UPDATE, it.id, by);
    }
}
