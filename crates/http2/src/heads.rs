//! Heads and trailers in (RFC 9113 §6.2, §6.10, §8.1): a block is read whatever becomes of its stream, since the table is the
//! connection's. Read next: `message.rs`, what one must have.

use crate::connection::{Connection, MOST_BLOCK};
use crate::event::Event;
use crate::fault::Fault;
use crate::frame::{END_HEADERS, END_STREAM, Frame, PADDED, RESET, WITH_PRIORITY, number31};
use crate::message::{self, Answer};
use crate::streams::{ANY, CONNECT, HEAD_CAME, RECV_OVER, TO_HEAD};

/// A head that needs more frames is none that anybody sends (RUSTSEC-2024-0332).
const CONTINUATIONS: u32 = 8;

type Came = Result<Option<Event<'static>>, Fault>;

impl Connection {
    pub(crate) fn headers(&mut self, payload: &[u8], frame: Frame) -> Came {
        if frame.stream == 0 {
            return Err(Fault::Place);
        }
        let (mut rest, mut wrong) = (payload, None);
        let mut pad = 0;
        if frame.has(PADDED) {
            let (n, behind) = rest.split_first().ok_or(Fault::FrameSize)?;
            (pad, rest) = (usize::from(*n), behind);
        }
        if frame.has(WITH_PRIORITY) {
            let on = number31(rest).ok_or(Fault::FrameSize)?;
            rest = rest.get(5..).ok_or(Fault::FrameSize)?;
            wrong = (on == frame.stream).then_some(Fault::Itself);
        }
        let block = rest.len().checked_sub(pad).and_then(|n| rest.get(..n)).ok_or(Fault::Padding)?;
        self.budget.head();
        let last = frame.has(END_STREAM);
        if frame.has(END_HEADERS) {
            return self.whole(block, frame.stream, last, wrong);
        }
        (self.block.stream, self.block.last, self.block.wrong, self.block.frames) = (frame.stream, last, wrong, 0);
        self.block.bytes.extend_from_slice(block);
        Ok(None)
    }

    #[cold]
    pub(crate) fn continuation(&mut self, payload: &[u8], frame: Frame) -> Came {
        let it = &mut self.block;
        if it.stream == 0 {
            return Err(Fault::Interleaved);
        }
        self.budget.idle()?;
        it.frames += 1;
        let most = (2 * self.config.head_bytes as usize).max(MOST_BLOCK);
        if it.frames > CONTINUATIONS || it.bytes.len() + payload.len() > most {
            return Err(Fault::EndlessHead);
        }
        it.bytes.extend_from_slice(payload);
        if !frame.has(END_HEADERS) {
            return Ok(None);
        }
        let (stream, last, wrong) = (std::mem::take(&mut it.stream), it.last, it.wrong);
        // It is not kept: hardly any head is so long.
        let block = std::mem::take(&mut it.bytes);
        self.whole(&block, stream, last, wrong)
    }

    fn whole(&mut self, block: &[u8], stream: u32, last: bool, wrong: Option<Fault>) -> Came {
        let (bytes, fields) = (self.config.head_bytes as usize, self.config.head_fields as usize);
        self.decoder.block(block, &mut self.head, bytes, fields)?;
        let wrong = wrong.or(self.head.wrong());
        match self.live(stream) {
            Some(at) if self.streams.at(at).has(RECV_OVER) => self.breaks(stream, Fault::Closed),
            Some(at) if self.streams.at(at).has(HEAD_CAME) => self.trailers_came(at, last, wrong),
            Some(at) => self.answer_came(at, last, wrong),
            None if self.serves() && stream & 1 == 1 && stream > self.last => self.request_came(stream, last, wrong),
            None if self.is_idle(stream) => Err(if stream & 1 == 0 { Fault::Place } else { Fault::Idle }),
            None if self.may_be_late(stream) => {
                self.budget.idle()?;
                Ok(None)
            }
            None => Err(Fault::Closed),
        }
    }

    fn request_came(&mut self, stream: u32, last: bool, wrong: Option<Fault>) -> Came {
        self.last = stream;
        if self.goodbye.is_beyond(stream) {
            self.budget.idle()?;
            return Ok(None);
        }
        self.output.is_read()?;
        let most = self.config.streams;
        // Nor is one over, to a client, whose answer it has not read: so who asks on and reads nothing opens more than may be.
        let unread = self.output.answers() > 2 * most;
        if self.counted >= most || self.streams.len() >= 2 * most as usize || unread {
            return self.refuses(stream);
        }
        if let Some(fault) = wrong {
            return self.breaks(stream, fault);
        }
        if self.head.is_too_long() {
            self.begin(stream, HEAD_CAME, ANY);
            self.over_if(stream, last);
            return Ok(Some(Event::TooLong { stream, last }));
        }
        match message::request(&self.head, last, self.config.extended_connect) {
            Ok((flags, left)) => {
                self.begin(stream, HEAD_CAME | flags, left);
                self.over_if(stream, last);
                Ok(Some(Event::Head { stream, last }))
            }
            Err(fault) => self.breaks(stream, fault),
        }
    }

    fn answer_came(&mut self, at: usize, last: bool, wrong: Option<Fault>) -> Came {
        let it = *self.streams.at(at);
        let stream = it.id;
        let too_long = self.head.is_too_long().then_some(Fault::HeadTooLong);
        if let Some(fault) = wrong.or(too_long) {
            return self.breaks(stream, fault);
        }
        match message::answer(&self.head, last, it.flags & (TO_HEAD | CONNECT)) {
            Ok(Answer::Interim) => Ok(Some(Event::Informational { stream })),
            Ok(Answer::Final(left)) => {
                let opens = matches!(self.head.status(), 200..300);
                let it = self.streams.at_mut(at);
                it.flags |= HEAD_CAME;
                it.flags &= if opens { !0 } else { !CONNECT };
                it.left = left;
                self.over_if(stream, last);
                Ok(Some(Event::Head { stream, last }))
            }
            Err(fault) => self.breaks(stream, fault),
        }
    }

    fn trailers_came(&mut self, at: usize, last: bool, wrong: Option<Fault>) -> Came {
        let (stream, left) = (self.streams.at(at).id, self.streams.at(at).left);
        // Nothing stands behind what a tunnel carries (RFC 9113 §8.5).
        let tunnels = self.streams.at(at).has(CONNECT).then_some(Fault::HeadAgain);
        let fault = wrong.or(tunnels).or_else(|| message::trailers(&self.head, last, left).err());
        if let Some(fault) = fault {
            return self.breaks(stream, fault);
        }
        self.over_if(stream, true);
        let too_long = self.head.is_too_long();
        Ok(Some(if too_long { Event::TrailersTooLong { stream } } else { Event::Trailers { stream } }))
    }

    #[inline]
    fn over_if(&mut self, stream: u32, last: bool) {
        if last && let Some(at) = self.live(stream) {
            self.over(at, RECV_OVER);
        }
    }

    /// One more than may be open. Before the peer knows how many that are, it is not its fault.
    #[cold]
    fn refuses(&mut self, stream: u32) -> Came {
        if self.ours.unacknowledged == 0 {
            self.budget.reset()?;
        } else {
            self.budget.idle()?;
        }
        self.remembered.add(stream, self.config.remembered);
        self.output.control((RESET, 0, stream), &Fault::Refused.code().0.to_be_bytes())?;
        Ok(None)
    }
}
