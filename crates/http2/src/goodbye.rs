//! The end of a connection (RFC 9113 §6.8). A server goes away in two steps, so that no request is lost that is on its way:
//! first it says that it will, and asks for an answer; when that comes, the peer knows, and what it opens then is not looked at.

use crate::connection::Connection;
use crate::control::PULSE;
use crate::event::Event;
use crate::fault::{Code, Fault};
use crate::frame::{Frame, GOAWAY, MOST_STREAM, PING, number, number31, put};
use crate::streams::{DEAD, RECV_OVER};

/// The PING between the two steps.
pub(crate) const GOODBYE: [u8; 8] = *b"goodbye!";
const _: () = assert!(GOODBYE[0] != PULSE[0]);

#[derive(Debug, Default)]
pub(crate) struct Goodbye {
    /// The first step was made.
    leaving: bool,
    /// The second: streams above it are not looked at.
    last: Option<u32>,
    /// The peer looks at none of ours above it.
    theirs: Option<u32>,
    sweep: Option<Sweep>,
}

#[derive(Debug, Clone, Copy)]
enum Sweep {
    /// Requests above this are unprocessed.
    Above(u32),
    /// Nothing more comes: what has not ended is broken off.
    Unended,
}

impl Goodbye {
    pub(crate) fn is_final(&self) -> bool {
        self.last.is_some()
    }

    pub(crate) fn last(&self) -> Option<u32> {
        self.last
    }

    pub(crate) fn is_beyond(&self, stream: u32) -> bool {
        self.last.is_some_and(|last| stream > last)
    }

    #[inline]
    pub(crate) fn sweeps(&self) -> bool {
        self.sweep.is_some()
    }

    /// No request begins any more.
    pub(crate) fn is_begun(&self) -> bool {
        self.leaving || self.last.is_some() || self.theirs.is_some()
    }
}

type Came = Result<Option<Event<'static>>, Fault>;

impl Connection {
    /// Goes away in order: what is under way goes on to its end. A server still takes what is on its way, until
    /// [`Event::Left`]; a client asks nothing new. [`Connection::is_over`] says when all is done.
    pub fn leave(&mut self) {
        if self.goodbye.leaving || self.goodbye.last.is_some() || self.fault.is_some() {
            return;
        }
        self.goodbye.leaving = true;
        self.may_ask_again();
        if !self.serves() {
            self.goodbye.last = Some(0);
            return self.say_goaway(Code::NO_ERROR);
        }
        put(&mut self.output.bytes, 8, GOAWAY, 0, 0);
        self.output.bytes.extend_from_slice(&MOST_STREAM.to_be_bytes());
        self.output.bytes.extend_from_slice(&Code::NO_ERROR.0.to_be_bytes());
        put(&mut self.output.bytes, GOODBYE.len(), PING, 0, 0);
        self.output.bytes.extend_from_slice(&GOODBYE);
    }

    pub(crate) fn heard_goodbye(&mut self) -> Option<Event<'static>> {
        if !self.goodbye.leaving || self.goodbye.last.is_some() {
            return None;
        }
        self.goodbye.last = Some(self.last);
        self.say_goaway(Code::NO_ERROR);
        Some(Event::Left)
    }

    /// Ends the connection now, with what is wrong: nothing is read or sent any more but the output.
    pub fn abort(&mut self, code: Code) {
        if self.fault.is_none() {
            self.say_goaway(code);
            self.fault = Some(Fault::Aborted);
            self.may_ask_again();
        }
    }

    pub(crate) fn came_goaway(&mut self, payload: &[u8], frame: Frame) -> Came {
        if frame.stream != 0 {
            return Err(Fault::Place);
        }
        self.budget.idle()?;
        let code = payload.get(4..).and_then(number);
        let (Some(last), Some(code)) = (number31(payload), code) else { return Err(Fault::FrameSize) };
        if self.goodbye.theirs.is_some_and(|before| last > before) {
            return Err(Fault::GoAway);
        }
        self.goodbye.theirs = Some(last);
        self.may_ask_again();
        if !self.serves() {
            self.goodbye.sweep = Some(Sweep::Above(last));
        }
        Ok(Some(Event::GoAway { last, code: Code(code) }))
    }

    /// Nothing more comes of the peer. What waits for answers goes on; a stream whose end can come no more is broken off, and
    /// told by [`Connection::next`] as if its sender had reset it. Refuses: where that was within a frame, a head or the
    /// preface.
    pub fn end_of_input(&mut self) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let is_whole = self.preface == 0 && self.block.stream == 0 && self.piece.left == 0 && self.piece.pad == 0;
        if !is_whole {
            self.fail(Fault::Truncated);
            return Err(Fault::Truncated);
        }
        self.goodbye.sweep = Some(Sweep::Unended);
        self.goodbye.last = self.goodbye.last.or(Some(self.last));
        self.may_ask_again();
        Ok(())
    }

    /// The next stream that a goodbye of the peer ends.
    #[cold]
    pub(crate) fn swept(&mut self) -> Option<Event<'static>> {
        let sweep = self.goodbye.sweep?;
        let ends = |it: &crate::streams::Stream| {
            let is_meant = match sweep {
                Sweep::Above(last) => it.id > last,
                Sweep::Unended => !it.has(RECV_OVER),
            };
            is_meant && !it.has(DEAD)
        };
        let Some(stream) = self.streams.iter().filter(|it| ends(it)).map(|it| it.id).min() else {
            self.goodbye.sweep = None;
            return None;
        };
        if let Some(at) = self.live(stream) {
            self.close(at, true);
        }
        Some(match sweep {
            Sweep::Above(_) => Event::Unprocessed { stream },
            Sweep::Unended => Event::Reset { stream, code: Code::CANCEL },
        })
    }
}
