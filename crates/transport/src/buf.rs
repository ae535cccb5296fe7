//! Bytes on their way: a growable buffer with a consumed front, and the thread's pool of them.
//! A connection borrows a buffer while bytes wait in it and gives it back when none do, so that an idle connection holds
//! none. Read next: `side.rs`.

use std::cell::RefCell;

/// Room of a pooled buffer: a full TLS record with its overhead, which most messages fit into.
pub const ROOM: usize = 16 * 1024 + 320;
/// Room of a wide buffer: what flows fast moves 256 KiB a system call (measured: half the cost per GiB of 64 KiB).
const WIDE: usize = 16 * ROOM;

/// At most this many spare buffers of each kind a thread (6 MiB in all); more are freed.
const SPARE: usize = 128;
const SPARE_WIDE: usize = 16;

/// Wide buffers that a thread lends at once (65 MiB): each slow reader of a fast flow holds one, and there is no end of
/// slow readers. Above it flows move in plain pieces.
const MOST_WIDE: usize = 256;

#[derive(Default)]
struct Pool {
    plain: Vec<Vec<u8>>,
    wide: Vec<Vec<u8>>,
    wide_lent: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { plain: Vec::new(), wide: Vec::new(), wide_lent: 0 }) };
}

/// Memory for at least `n` bytes.
#[inline]
fn room(n: usize) -> Vec<u8> {
    if n <= ROOM
        && let Some(pooled) = POOL.with_borrow_mut(|p| p.plain.pop())
    {
        return pooled;
    }
    other_room(n)
}

#[cold]
fn other_room(n: usize) -> Vec<u8> {
    let (pooled, size) = match n {
        0..=ROOM => (None, ROOM),
        _ if n <= WIDE => (POOL.with_borrow_mut(Pool::lend_wide), WIDE),
        _ => (None, n.next_power_of_two()),
    };
    pooled.unwrap_or_else(|| Vec::with_capacity(size))
}

impl Pool {
    fn lend_wide(&mut self) -> Option<Vec<u8>> {
        self.wide_lent += 1;
        self.wide.pop()
    }

    /// A buffer that grew to another size is freed, so that one large head does not stay paid for.
    #[inline]
    fn take_back(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() != ROOM {
            self.take_back_wide(bytes);
        } else if self.plain.len() < SPARE {
            self.plain.push(bytes);
        }
    }

    #[cold]
    fn take_back_wide(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() == WIDE {
            self.wide_lent = self.wide_lent.saturating_sub(1);
            if self.wide.len() < SPARE_WIDE {
                self.wide.push(bytes);
            }
        }
    }
}

/// The thread lends as many wide buffers as it will.
pub fn is_pressed() -> bool {
    POOL.with_borrow(|p| p.wide_lent >= MOST_WIDE)
}

/// Empty and without memory until it is written to.
#[derive(Debug, Default)]
pub struct Buf {
    bytes: Vec<u8>,
    start: usize,
}

impl Buf {
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Drops `n` bytes from the front; gives the memory back when nothing is left.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.release();
        }
    }

    /// As [`Buf::consume`], but keeps the memory: the next read comes at once.
    #[inline]
    pub fn consume_keep(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    #[inline]
    pub fn push(&mut self, more: &[u8]) {
        self.reserve(more.len());
        self.bytes.extend_from_slice(more);
    }

    /// Moves the first `n` bytes of `other` here; without copying where all of it goes into an empty buffer.
    #[inline]
    pub fn take_from(&mut self, other: &mut Buf, n: usize) {
        if self.is_empty() && n == other.len() {
            std::mem::swap(self, other);
            other.consume_keep(other.len());
            return;
        }
        self.push(other.bytes().get(..n).unwrap_or_default());
        other.consume_keep(n);
    }

    /// The memory itself, to append to; never shorten it.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.reserve(0);
        &mut self.bytes
    }

    /// Makes room for `n` more bytes, moving what is there to the front first.
    #[inline]
    pub fn reserve(&mut self, n: usize) {
        let n = n.max(1);
        if self.bytes.capacity() - self.bytes.len() < n {
            self.make_room(n);
        }
    }

    fn make_room(&mut self, n: usize) {
        if self.is_empty() {
            // Growing would copy what nobody needs.
            self.release();
            self.bytes = room(n);
            return;
        }
        if self.len() + n <= self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
            return;
        }
        // Into the next kind at once: doubling would copy again and again, and end in a size that no pool takes back.
        self.move_to(self.len() + n);
    }

    /// Makes room for a read that is worth its system call. A record fits into any buffer, so what is held of one is
    /// moved to the front rather than the buffer grown.
    pub fn reserve_read(&mut self) {
        if self.start > 0 && self.bytes.capacity() - self.bytes.len() < ROOM / 4 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.reserve(1);
    }

    /// Makes the buffer a wide one, for a flow that filled the last. What it holds moves along, which of a flow in records is
    /// the beginning of one: else such a flow, whose reads end within a record, would never get more room than for one.
    pub fn widen(&mut self) {
        if self.bytes.capacity() < WIDE && !is_pressed() {
            self.move_to(WIDE);
        }
    }

    /// Gives the room of a wide buffer back where what is left needs none.
    pub fn narrow(&mut self) {
        if self.bytes.capacity() > ROOM && self.len() <= ROOM {
            self.move_to(ROOM);
        }
    }

    fn move_to(&mut self, size: usize) {
        let mut more = room(size);
        more.extend_from_slice(self.bytes());
        self.release();
        self.bytes = more;
    }

    #[inline]
    pub fn release(&mut self) {
        if self.bytes.capacity() > 0 {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.start = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        POOL.with_borrow_mut(|pool| pool.take_back(bytes));
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        // At thread exit the pool may be gone already; then the memory is simply freed.
        if self.bytes.capacity() > 0 && POOL.try_with(|_| ()).is_ok() {
            self.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_buffer_holds_no_memory() {
        let mut buf = Buf::default();
        buf.push(b"hello");
        buf.consume(2);
        assert_eq!(buf.bytes(), b"llo");
        buf.consume(3);
        assert_eq!(buf.bytes.capacity(), 0);
    }

    #[test]
    fn a_wide_buffer_goes_back_to_its_own_kind() {
        let mut buf = Buf::default();
        buf.push(b"xy");
        buf.consume_keep(1);
        buf.widen();
        assert_eq!((buf.bytes.capacity(), buf.bytes()), (WIDE, &b"y"[..]), "what it holds moves along");
        buf.narrow();
        assert_eq!((buf.bytes.capacity(), buf.bytes()), (ROOM, &b"y"[..]));
        assert_eq!(POOL.with_borrow(|p| (p.wide.len(), p.wide_lent)), (1, 0));
        buf.widen();
        buf.push(&[1; ROOM]);
        buf.narrow();
        assert_eq!((buf.bytes.capacity(), buf.len()), (WIDE, ROOM + 1), "what needs its room keeps it");
        buf.release();
        buf.push(b"x");
        assert_eq!(buf.bytes.capacity(), ROOM);
    }

    #[test]
    fn many_that_are_slow_at_once_hold_no_more_wide_buffers_than_a_thread_lends() {
        let widened = || {
            let mut buf = Buf::default();
            buf.widen();
            buf.push(b"x");
            buf
        };
        let held: Vec<Buf> = (0..MOST_WIDE).map(|_| widened()).collect();
        assert!(held.iter().all(|b| b.bytes.capacity() == WIDE) && is_pressed());
        assert_eq!(widened().bytes.capacity(), ROOM);
        drop(held);
        assert!(!is_pressed());
        assert_eq!(widened().bytes.capacity(), WIDE);
    }

    #[test]
    fn consuming_more_than_there_is_empties() {
        let mut buf = Buf::default();
        buf.push(b"ab");
        buf.consume(9);
        assert!(buf.is_empty());
    }

    #[test]
    fn making_room_keeps_what_is_unread() {
        let mut buf = Buf::default();
        buf.push(&vec![1; ROOM]);
        buf.consume_keep(ROOM - 3);
        buf.push(&[2; 100]);
        assert_eq!(buf.len(), 103);
        assert_eq!(buf.bytes().get(..4), Some(&[1, 1, 1, 2][..]));
    }
}
