//! Bytes in, frame by frame (RFC 9113 §4, §6): what is no whole frame yet waits with the caller, but for DATA. Nothing that
//! came is kept but a head that goes on in CONTINUATION. Read next: `heads.rs`, `data.rs`, `control.rs`.

use crate::connection::Connection;
use crate::event::Event;
use crate::fault::Fault;
use crate::frame::{
    ACK, CONTINUATION, DATA, FRAME, Frame, GOAWAY, HEADER, HEADERS, PING, PREFACE, PRIORITY, PUSH, RESET, SETTINGS,
    UPDATE,
};

pub(crate) enum Step<'i> {
    /// The next frame is not all there.
    More,
    /// So many bytes were taken.
    Took(usize),
    Gives(usize, Event<'i>),
}

impl Connection {
    /// The next thing that the peer said, of `input[*at..]`; `at` goes on by what was taken.
    ///
    /// Takes: what came and was not taken yet; up to 16,393 bytes of one frame have to stand there together. Gives: an
    /// event, or none where more has to come. Refuses: a [`Fault`] of the connection (RFC 9113 §5.4.1), once and for all: the
    /// GOAWAY that tells the peer is in the output, and the caller sends it and closes. All streams are over then, of which
    /// nothing is told one by one.
    pub fn next<'i>(&mut self, input: &'i [u8], at: &mut usize) -> Result<Option<Event<'i>>, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        loop {
            if let Some(event) = self.pending_event() {
                return Ok(Some(event));
            }
            let (n, event) = match self.step(input.get(*at..).unwrap_or_default()) {
                Ok(Step::More) => return Ok(None),
                Ok(Step::Took(n)) => (n, None),
                Ok(Step::Gives(n, event)) => (n, Some(event)),
                Err(fault) => {
                    self.fail(fault);
                    return Err(fault);
                }
            };
            *at += n;
            self.came += n as u64;
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    #[inline]
    fn pending_event(&mut self) -> Option<Event<'static>> {
        self.pending.take().or_else(|| if self.goodbye.sweeps() { self.swept() } else { None })
    }

    fn step<'i>(&mut self, rest: &'i [u8]) -> Result<Step<'i>, Fault> {
        if self.preface > 0 {
            return self.greet(rest);
        }
        if self.piece.left > 0 {
            return self.piece(rest);
        }
        if self.piece.pad > 0 {
            let n = self.piece.pad.min(rest.len());
            self.piece.pad -= n;
            return Ok(if n == 0 { Step::More } else { Step::Took(n) });
        }
        let Some(header) = rest.first_chunk::<HEADER>() else { return Ok(Step::More) };
        let frame = Frame::of(*header);
        if frame.len > FRAME {
            return Err(Fault::FrameSize);
        }
        if !self.theirs.came && (frame.kind != SETTINGS || frame.has(ACK)) {
            return Err(Fault::NoSettings);
        }
        if self.block.stream != 0 && (frame.kind != CONTINUATION || frame.stream != self.block.stream) {
            return Err(Fault::Interleaved);
        }
        if frame.kind == DATA {
            return self.data(rest, frame);
        }
        let whole = HEADER + frame.len;
        let Some(payload) = rest.get(HEADER..whole) else { return Ok(Step::More) };
        let event = match frame.kind {
            HEADERS => self.headers(payload, frame)?,
            CONTINUATION => self.continuation(payload, frame)?,
            PRIORITY => self.priority(payload, frame)?,
            RESET => self.came_reset(payload, frame)?,
            SETTINGS => self.came_settings(payload, frame)?,
            PUSH => return Err(Fault::Push),
            PING => self.came_ping(payload, frame)?,
            GOAWAY => self.came_goaway(payload, frame)?,
            UPDATE => self.came_update(payload, frame)?,
            // Whatever others may mean by them (RFC 9113 §5.5).
            _ => {
                self.budget.idle()?;
                None
            }
        };
        Ok(event.map_or(Step::Took(whole), |event| Step::Gives(whole, event)))
    }

    #[cold]
    fn greet<'i>(&mut self, rest: &'i [u8]) -> Result<Step<'i>, Fault> {
        let left = PREFACE.get(PREFACE.len() - self.preface..).unwrap_or_default();
        let n = left.len().min(rest.len());
        if rest.get(..n) != left.get(..n) {
            return Err(Fault::Preface);
        }
        self.preface -= n;
        Ok(if n == 0 { Step::More } else { Step::Took(n) })
    }

    /// A stream of which nothing was ever said (RFC 9113 §5.1).
    #[inline]
    pub(crate) fn is_idle(&self, stream: u32) -> bool {
        stream & 1 == 0 || if self.serves() { stream > self.last } else { stream >= self.next }
    }

    /// Frames of it may be on their way though it is closed: we reset it, or went away before it. What we asked for we may take
    /// back faster than its answers come, which is no fault of the server, nor of those whom its other answers are for.
    pub(crate) fn may_be_late(&self, stream: u32) -> bool {
        let is_beyond =
            if self.serves() { self.goodbye.is_beyond(stream) } else { self.remembered.may_have_had(stream) };
        is_beyond || self.remembered.has(stream)
    }

    /// Where a stream stands that is open.
    #[inline]
    pub(crate) fn live(&self, stream: u32) -> Option<usize> {
        self.streams.find(stream).filter(|at| !self.streams.at(*at).has(crate::streams::DEAD))
    }
}
