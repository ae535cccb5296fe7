//! The streams that somebody still has to do with: open addressing by half the number, so that those that are open together
//! lie side by side. It knows no frame. Read next: `ends.rs`, when one is over.

/// Their end came, ours went (RFC 9113 §5.1).
pub(crate) const RECV_OVER: u16 = 1;
pub(crate) const SEND_OVER: u16 = 2;
/// The head came, or went: of an answer the final one.
pub(crate) const HEAD_CAME: u16 = 4;
pub(crate) const HEAD_SENT: u16 = 8;
/// It counts towards what may be open at once.
pub(crate) const COUNTS: u16 = 16;
/// Closed; it is here until the caller has done with it.
pub(crate) const DEAD: u16 = 32;
/// The request was a HEAD, or a CONNECT.
pub(crate) const TO_HEAD: u16 = 64;
pub(crate) const CONNECT: u16 = 128;
/// It stands in the queue of those that wait for their turn, or in the list of those that have it.
pub(crate) const QUEUED: u16 = 256;
pub(crate) const LISTED: u16 = 512;

/// No length was declared.
pub(crate) const ANY: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) flags: u16,
    /// What the peer's window takes, which may be less than nothing (RFC 9113 §6.9.2).
    pub(crate) send: i64,
    /// What ours takes, what came and was not released, and what was released and not said.
    pub(crate) recv: i64,
    pub(crate) held: u32,
    pub(crate) unsaid: u32,
    /// Of a declared length, still to come and still to be sent.
    pub(crate) left: u64,
    pub(crate) owes: u64,
    /// Bytes that wait to be sent, and how many of them were set aside for it.
    pub(crate) wants: u32,
    pub(crate) turn: u32,
}

impl Stream {
    #[inline]
    pub(crate) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    slots: Vec<Stream>,
    len: usize,
}

/// The first slots, which are all that an idle connection holds.
const FEW: usize = 8;

impl Streams {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn home(&self, id: u32) -> usize {
        (id >> 1) as usize & (self.slots.len() - 1)
    }

    #[inline]
    pub(crate) fn find(&self, id: u32) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut at = self.home(id);
        loop {
            let it = self.slots[at].id;
            if it == id {
                return Some(at);
            }
            if it == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    pub(crate) fn at(&self, at: usize) -> &Stream {
        &self.slots[at]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, at: usize) -> &mut Stream {
        &mut self.slots[at]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|it| it.id != 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().filter(|it| it.id != 0)
    }

    /// No two have one number.
    pub(crate) fn add(&mut self, stream: Stream) -> usize {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        self.len += 1;
        self.place(stream)
    }

    fn place(&mut self, stream: Stream) -> usize {
        let mut at = self.home(stream.id);
        while self.slots[at].id != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = stream;
        at
    }

    #[cold]
    fn grow(&mut self) {
        let wider = vec![Stream::default(); (self.slots.len() * 2).max(FEW)];
        for it in std::mem::replace(&mut self.slots, wider) {
            if it.id != 0 {
                self.place(it);
            }
        }
    }

    /// Places of others change.
    pub(crate) fn remove(&mut self, mut at: usize) {
        let mask = self.slots.len() - 1;
        self.len -= 1;
        let mut next = at;
        loop {
            self.slots[at].id = 0;
            loop {
                next = (next + 1) & mask;
                let id = self.slots[next].id;
                if id == 0 {
                    return;
                }
                // Whoever would be found no more moves into the gap.
                if (next.wrapping_sub(self.home(id)) & mask) >= (next.wrapping_sub(at) & mask) {
                    break;
                }
            }
            self.slots[at] = self.slots[next];
            at = next;
        }
    }

    /// Gives memory back where nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.len == 0 && self.slots.len() > FEW {
            self.slots = Vec::new();
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn holds(&self) -> usize {
        self.slots.capacity() * size_of::<Stream>()
    }
}

/// The last streams that we reset, of which frames may still come (RFC 9113 §5.1).
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    ids: Vec<u32>,
    next: usize,
    /// The highest that gave its place to another.
    forgot: u32,
}

impl Remembered {
    pub(crate) fn add(&mut self, id: u32, most: u32) {
        if self.ids.len() < most as usize {
            self.ids.push(id);
        } else if let Some(it) = self.ids.get_mut(self.next) {
            self.forgot = self.forgot.max(std::mem::replace(it, id));
            self.next = (self.next + 1) % self.ids.len();
        }
    }

    /// It may be one of which nothing is remembered any more.
    pub(crate) fn may_have_had(&self, id: u32) -> bool {
        id <= self.forgot
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    pub(crate) fn holds(&self) -> usize {
        self.ids.capacity() * size_of::<u32>()
    }
}
