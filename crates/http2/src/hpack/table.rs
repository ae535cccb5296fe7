//! The dynamic table of HPACK (RFC 7541 §2.3.2): entries' bytes one behind the other, so that one is kept without memory of
//! its own. What was evicted is cut off now and then.

use crate::fault::Fault;
use std::collections::VecDeque;

/// What a table may hold: the size that both sides have unless one says another (RFC 9113 §6.5.2).
pub(crate) const TABLE: usize = 4096;
/// What an entry counts beside its bytes (RFC 7541 §4.1).
pub(crate) const ENTRY: usize = 32;

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    at: u64,
    name: u32,
    value: u32,
    /// Its name's first place in the static table, or 0.
    pub(crate) place: u8,
    /// Why no message may have it.
    pub(crate) wrong: Option<Fault>,
}

#[derive(Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    /// Where the first of the bytes stands, of all that were ever kept.
    base: u64,
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
    /// How many were ever kept; wraps.
    pub(crate) inserted: u32,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { most: TABLE, ..Table::default() }
    }

    pub(crate) fn most(&self) -> usize {
        self.most
    }

    #[inline]
    pub(crate) fn get(&self, i: usize) -> Option<Entry> {
        self.entries.get(i).copied()
    }

    #[inline]
    pub(crate) fn name(&self, it: &Entry) -> &[u8] {
        self.slice(it.at, it.name)
    }

    #[inline]
    pub(crate) fn value(&self, it: &Entry) -> &[u8] {
        self.slice(it.at + u64::from(it.name), it.value)
    }

    /// Name and value, one behind the other, and where the value begins.
    #[inline]
    pub(crate) fn both(&self, it: &Entry) -> (&[u8], usize) {
        (self.slice(it.at, it.name + it.value), it.name as usize)
    }

    #[inline]
    fn slice(&self, at: u64, len: u32) -> &[u8] {
        let at = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        self.bytes.get(at..at + len as usize).unwrap_or_default()
    }

    /// Another size; the oldest go.
    pub(crate) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, to: usize) {
        while self.size > to
            && let Some(it) = self.entries.pop_back()
        {
            self.size -= (it.name + it.value) as usize + ENTRY;
        }
    }

    /// Keeps one. False where it is larger than the whole table, which is empty then (RFC 7541 §4.4).
    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8], (place, wrong): (u8, Option<Fault>)) -> bool {
        let size = name.len() + value.len() + ENTRY;
        if size > self.most {
            self.shrink(0);
            return false;
        }
        self.shrink(self.most - size);
        if self.bytes.len() + size > 3 * TABLE {
            self.cut();
        }
        let at = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        // Of a table of 4 KiB both fit.
        let short = |n: usize| u32::try_from(n).unwrap_or(0);
        self.entries.push_front(Entry { at, name: short(name.len()), value: short(value.len()), place, wrong });
        self.size += size;
        self.inserted = self.inserted.wrapping_add(1);
        true
    }

    fn cut(&mut self) {
        let end = self.base + self.bytes.len() as u64;
        let first = self.entries.back().map_or(end, |it| it.at);
        let gone = usize::try_from(first - self.base).unwrap_or(0);
        self.bytes.drain(..gone);
        self.base = first;
    }

    /// Bytes of memory that it holds.
    pub(crate) fn holds(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}
