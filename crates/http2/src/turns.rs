//! Who may send next. A body that its stream's window stops waits for that; one that the connection's window or the output
//! stops stands in a queue, and gets its turn: so much is set aside for it, then it is told, once. So whoever is told finds
//! what it was told of, no stream takes more than its turn from those before it, and what one leaves the next gets.

use crate::connection::Connection;
use crate::event::Ready;
use crate::frame::FRAME;
use crate::streams::{LISTED, QUEUED, Stream};
use std::collections::VecDeque;

/// A turn is a frame at most, so that a long body shares the way with short ones.
const TURN: i64 = FRAME as i64;

/// Of an idle connection's memory.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    queue: VecDeque<u32>,
    ready: VecDeque<u32>,
    /// The sum of all turns.
    reserved: i64,
    /// A request found no stream; one may have been found by now.
    pub(crate) asks: bool,
    pub(crate) may_ask: bool,
}

impl Turns {
    pub(crate) fn shrink(&mut self) {
        let holds = self.holds();
        if self.queue.is_empty() && self.ready.is_empty() && holds > KEPT {
            (self.queue, self.ready) = Default::default();
        }
    }

    pub(crate) fn holds(&self) -> usize {
        (self.queue.capacity() + self.ready.capacity()) * size_of::<u32>()
    }
}

impl Connection {
    /// Who may go on, each told once: to be asked after each [`Connection::next`] that gave something or nothing, and after
    /// [`Connection::sent`], [`Connection::body`], [`Connection::reset`] and [`Connection::done`], until it gives none.
    #[inline]
    pub fn pop_ready(&mut self) -> Option<Ready> {
        if std::mem::take(&mut self.turns.may_ask) {
            if self.finds_out() {
                return Some(Ready::Request);
            }
            // Another was quicker.
            self.turns.asks = true;
        }
        while let Some(stream) = self.turns.ready.pop_front() {
            if let Some(at) = self.streams.find(stream) {
                let it = self.streams.at_mut(at);
                it.flags &= !LISTED;
                if it.turn > 0 {
                    return Some(Ready::Body(stream));
                }
            }
        }
        None
    }

    /// Does not wait any more to send of this stream, which stays as it is.
    pub fn rest(&mut self, stream: u32) {
        if let Some(at) = self.live(stream) {
            self.withdraw(at);
            self.take_turns();
        }
    }

    /// What this stream may send now.
    #[inline]
    pub(crate) fn may_send(&mut self, at: usize) -> usize {
        let room = self.output.room() as i64;
        let it = self.streams.at(at);
        let turn = i64::from(it.turn);
        let others = self.turns.reserved - turn;
        let may = it.send.min(self.windows.send - others).min((room - others).max(turn));
        usize::try_from(may).unwrap_or(0)
    }

    /// Of its body so much is left.
    pub(crate) fn wait(&mut self, at: usize, wants: usize) {
        self.streams.at_mut(at).wants = u32::try_from(wants).unwrap_or(u32::MAX);
        self.may_queue(at);
    }

    /// Its turn is over, however much of it was used.
    #[inline]
    pub(crate) fn end_turn(&mut self, at: usize) {
        let it = self.streams.at_mut(at);
        self.turns.reserved -= i64::from(std::mem::take(&mut it.turn));
    }

    /// Its window may have opened.
    #[inline]
    pub(crate) fn may_queue(&mut self, at: usize) {
        if queues(self.streams.at_mut(at)) {
            let stream = self.streams.at(at).id;
            self.turns.queue.push_back(stream);
        }
    }

    /// All of them may have; the oldest goes first.
    pub(crate) fn may_all_queue(&mut self) {
        let before = self.turns.queue.len();
        for it in self.streams.iter_mut() {
            if queues(it) {
                self.turns.queue.push_back(it.id);
            }
        }
        if let Some(new) = self.turns.queue.make_contiguous().get_mut(before..) {
            new.sort_unstable();
        }
    }

    /// Gives turns as long as there is something to give.
    #[inline]
    pub(crate) fn take_turns(&mut self) {
        if !self.turns.queue.is_empty() {
            self.give_turns();
        }
    }

    fn give_turns(&mut self) {
        let room = self.output.room() as i64;
        let all = self.windows.send.min(room);
        while all > self.turns.reserved
            && let Some(stream) = self.turns.queue.pop_front()
        {
            let Some(at) = self.streams.find(stream) else { continue };
            let it = self.streams.at_mut(at);
            it.flags &= !QUEUED;
            let turn = i64::from(it.wants).min(it.send).min(TURN).min(all - self.turns.reserved);
            // Its own window closed meanwhile; it waits for that.
            let Some(turn) = u32::try_from(turn).ok().filter(|n| *n > 0) else { continue };
            it.turn = turn;
            self.turns.reserved += i64::from(turn);
            if !it.has(LISTED) {
                it.flags |= LISTED;
                self.turns.ready.push_back(stream);
            }
        }
    }

    /// Whoever is gone, or rests, stands in no list.
    pub(crate) fn withdraw(&mut self, at: usize) {
        self.end_turn(at);
        let it = self.streams.at_mut(at);
        it.wants = 0;
        let (flags, stream) = (it.flags, it.id);
        it.flags &= !(QUEUED | LISTED);
        if flags & QUEUED != 0 {
            self.turns.queue.retain(|it| *it != stream);
        }
        if flags & LISTED != 0 {
            self.turns.ready.retain(|it| *it != stream);
        }
    }

    /// A stream ended, the peer takes more, or there will be none any more.
    #[inline]
    pub(crate) fn may_ask_again(&mut self) {
        if self.turns.asks && self.finds_out() {
            (self.turns.asks, self.turns.may_ask) = (false, true);
        }
    }

    /// A request that came now would find a stream, or that it has to go elsewhere.
    fn finds_out(&self) -> bool {
        self.counted < self.most_streams() || self.goodbye.is_begun() || self.fault.is_some()
    }
}

/// Waits for nothing but a turn, and stands in no queue yet.
#[inline]
fn queues(it: &mut Stream) -> bool {
    let queues = it.wants > 0 && it.turn == 0 && it.send > 0 && !it.has(QUEUED);
    if queues {
        it.flags |= QUEUED;
    }
    queues
}
