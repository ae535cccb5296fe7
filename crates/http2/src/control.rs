//! Frames that carry no message in (RFC 9113 §6.3, §6.4, §6.7, §6.8, §6.9), each weighed by the budget where it is read.

use crate::connection::Connection;
use crate::event::Event;
use crate::fault::{Code, Fault};
use crate::frame::{ACK, Frame, MOST_WINDOW, PING, number, number31};
use crate::goodbye::GOODBYE;

/// What our own PING says (RFC 9113 §6.7), so that an answer to another is none to it.
pub(crate) const PULSE: [u8; 8] = *b"everyhop";

type Came = Result<Option<Event<'static>>, Fault>;

impl Connection {
    /// Nobody is served by it (RFC 9113 §5.3.2); what is wrong with it is still told.
    pub(crate) fn priority(&mut self, payload: &[u8], frame: Frame) -> Came {
        if frame.stream == 0 {
            return Err(Fault::Place);
        }
        self.budget.idle()?;
        let fault = match number31(payload) {
            _ if payload.len() != 5 => Fault::FrameSize,
            Some(on) if on == frame.stream => Fault::Itself,
            _ => return Ok(None),
        };
        match self.live(frame.stream) {
            Some(_) => self.breaks(frame.stream, fault),
            // A stream that is not there cannot be reset (RFC 9113 §5.1).
            None => Err(fault),
        }
    }

    pub(crate) fn came_reset(&mut self, payload: &[u8], frame: Frame) -> Came {
        let stream = frame.stream;
        if stream == 0 {
            return Err(Fault::Place);
        }
        let Some(code) = number(payload).filter(|_| payload.len() == 4) else { return Err(Fault::FrameSize) };
        if self.is_idle(stream) {
            return Err(Fault::Idle);
        }
        let live = self.live(stream);
        // Of our own requests there are no more than we made.
        match live {
            Some(_) if !self.serves() => {}
            _ => self.budget.reset()?,
        }
        let Some(at) = live else { return Ok(None) };
        self.close(at, true);
        Ok(Some(Event::Reset { stream, code: Code(code) }))
    }

    pub(crate) fn came_ping(&mut self, payload: &[u8], frame: Frame) -> Came {
        if frame.stream != 0 {
            return Err(Fault::Place);
        }
        let Ok(said) = <[u8; 8]>::try_from(payload) else { return Err(Fault::FrameSize) };
        self.budget.idle()?;
        if !frame.has(ACK) {
            self.output.control((PING, ACK, 0), &said)?;
            return Ok(None);
        }
        if said == GOODBYE {
            return Ok(self.heard_goodbye());
        }
        let since = if said == PULSE { self.pinged.take() } else { None };
        Ok(since.map(|since| Event::Pong { came: self.came - since }))
    }

    /// Asks the peer for a sign of life; [`Event::Pong`] is the answer. False where one is still to come.
    pub fn ping(&mut self) -> bool {
        if self.pinged.is_some() || self.fault.is_some() {
            return false;
        }
        self.pinged = Some(self.came);
        crate::frame::put(&mut self.output.bytes, PULSE.len(), PING, 0, 0);
        self.output.bytes.extend_from_slice(&PULSE);
        true
    }

    pub(crate) fn came_update(&mut self, payload: &[u8], frame: Frame) -> Came {
        let Some(by) = number31(payload).filter(|_| payload.len() == 4) else { return Err(Fault::FrameSize) };
        self.budget.update(by)?;
        let stream = frame.stream;
        if stream == 0 {
            if by == 0 {
                return Err(Fault::NoIncrement);
            }
            self.windows.send += i64::from(by);
            if self.windows.send > MOST_WINDOW {
                return Err(Fault::Window);
            }
            self.take_turns();
            return Ok(None);
        }
        let Some(at) = self.live(stream) else {
            // It may have been sent before our end was read.
            return if self.is_idle(stream) { Err(Fault::Idle) } else { Ok(None) };
        };
        if by == 0 {
            return self.breaks(stream, Fault::NoIncrement);
        }
        let it = self.streams.at_mut(at);
        it.send += i64::from(by);
        if it.send > MOST_WINDOW {
            return self.breaks(stream, Fault::Window);
        }
        self.may_queue(at);
        self.take_turns();
        Ok(None)
    }
}
