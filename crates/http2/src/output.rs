//! What is to be sent: frames whole, one behind the other, drained by the caller as its socket takes them.

use crate::fault::Fault;
use crate::frame;

/// Answers of the protocol that wait to be sent: PING's, SETTINGS' and resets are short, and a peer that reads has read
/// hundreds of them by then.
const CONTROL_BYTES: usize = 64 * 1024;
/// Less room than this is none: a frame for each crumb of it would cost more than it carries.
const LEAST: usize = 1024;

/// Bytes of answers of the protocol, and how many requests were answered.
#[derive(Debug, Default, Clone, Copy)]
struct Owed {
    control: usize,
    answers: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    at: usize,
    /// What waits of which the peer is to read before it makes us say more: up to `turn`, and behind it. So of what waits long
    /// no more counts than waits, whatever was sent before.
    before: Owed,
    behind: Owed,
    turn: usize,
    most: usize,
    /// Bodies wait until half of it went.
    full: bool,
}

impl Output {
    pub(crate) fn new(most: usize) -> Output {
        Output { most, ..Output::default() }
    }

    #[inline]
    pub(crate) fn waiting(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// How much of bodies it takes now.
    #[inline]
    pub(crate) fn room(&mut self) -> usize {
        let left = self.most.saturating_sub(self.len());
        self.full |= left < LEAST;
        if self.full { 0 } else { left }
    }

    /// So many bytes went.
    pub(crate) fn sent(&mut self, n: usize) {
        self.at = (self.at + n).min(self.bytes.len());
        let left = self.len();
        match self.turn.checked_sub(n) {
            Some(turn @ 1..) => self.turn = turn,
            _ => (self.before, self.behind, self.turn) = (std::mem::take(&mut self.behind), Owed::default(), left),
        }
        self.full &= left > self.most / 2;
        if left == 0 {
            self.at = 0;
            self.before = Owed::default();
            // Heads may have needed more than bodies may.
            if self.bytes.capacity() > 4 * self.most {
                self.bytes = Vec::new();
            }
            self.bytes.clear();
        } else if self.at > self.most {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
    }

    /// Something the peer made us say. Refuses: where it lets us say more and reads nothing.
    pub(crate) fn control(&mut self, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) -> Result<(), Fault> {
        frame::put(&mut self.bytes, payload.len(), kind, flags, stream);
        self.bytes.extend_from_slice(payload);
        self.behind.control += frame::HEADER + payload.len();
        self.is_read()
    }

    /// Refuses where too much of that waits.
    #[inline]
    pub(crate) fn is_read(&self) -> Result<(), Fault> {
        if self.before.control + self.behind.control > CONTROL_BYTES { Err(Fault::Unread) } else { Ok(()) }
    }

    /// A window that opens, or a reset of ours: what the peer does next tells whether it is read.
    pub(crate) fn number(&mut self, kind: u8, stream: u32, number: u32) {
        frame::put_number(&mut self.bytes, kind, stream, number);
        self.behind.control += frame::HEADER + 4;
    }

    /// A request was answered.
    #[inline]
    pub(crate) fn answered(&mut self) {
        self.behind.answers += 1;
    }

    /// Requests whose answers wait to be sent; of two parts of them the first counts until all of it went.
    #[inline]
    pub(crate) fn answers(&self) -> u32 {
        self.before.answers + self.behind.answers
    }

    pub(crate) fn holds(&self) -> usize {
        self.bytes.capacity()
    }
}
