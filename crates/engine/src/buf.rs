//! Bytes on their way: a growable buffer with a consumed front, and the thread's pool of them.
//! A connection borrows a buffer while bytes wait in it and gives it back when it is idle: that is what an idle connection
//! costs nothing for. Read next: `wire.rs`.

use std::cell::RefCell;

/// Room of a pooled buffer: two full TLS records with their overhead, so that bulk moves 32 KiB a system call.
pub(crate) const ROOM: usize = 2 * (16 * 1024 + 256);

/// At most this many spare buffers a thread (4 MiB); more are freed.
const SPARE: usize = 128;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Empty and without memory until it is written to.
#[derive(Debug, Default)]
pub(crate) struct Buf {
    bytes: Vec<u8>,
    start: usize,
}

impl Buf {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    /// Drops `n` bytes from the front; gives the memory back when nothing is left.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.release();
        }
    }

    /// As [`Buf::consume`], but keeps the memory: the next read comes at once.
    pub(crate) fn consume_keep(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    pub(crate) fn push(&mut self, more: &[u8]) {
        self.reserve(more.len());
        self.bytes.extend_from_slice(more);
    }

    /// Moves the first `n` bytes of `other` here; without copying where all of it goes into an empty buffer.
    pub(crate) fn take_from(&mut self, other: &mut Buf, n: usize) {
        if self.is_empty() && n == other.len() {
            std::mem::swap(self, other);
            other.consume_keep(other.len());
            return;
        }
        self.push(other.bytes().get(..n).unwrap_or_default());
        other.consume_keep(n);
    }

    /// The memory itself, to append to; never shorten it.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.reserve(0);
        &mut self.bytes
    }

    /// Makes room for `n` more bytes, moving what is there to the front first.
    pub(crate) fn reserve(&mut self, n: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes = POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(ROOM));
        }
        if self.bytes.capacity() - self.bytes.len() < n.max(1) && self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(n);
    }

    pub(crate) fn release(&mut self) {
        self.start = 0;
        let mut bytes = std::mem::take(&mut self.bytes);
        // A buffer that grew beyond its kind is freed, so that one large head does not stay paid for.
        if bytes.capacity() >= ROOM && bytes.capacity() <= 2 * ROOM {
            bytes.clear();
            POOL.with_borrow_mut(|pool| {
                if pool.len() < SPARE {
                    pool.push(bytes);
                }
            });
        }
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
