//! Fields into a block (RFC 7541 §6). What was sent before is found again by a hash; what is different each time, or secret,
//! is not kept, by the list that the `h2` crate has.

use super::huffman;
use super::statics::{STATIC, at, bucket, hashed, place};
use super::table::{ENTRY, TABLE, Table};
use crate::rules;

/// As many as the table's smallest entries are, twice.
const EXACT: usize = 256;
const NAMES: usize = 128;
/// The first bits of a literal (RFC 7541 §6.2.1 to §6.2.3) with how many are left for the name's index.
const KEPT: (u8, u32) = (0x40, 6);
const NOT_KEPT: (u8, u32) = (0, 4);
const NEVER_KEPT: (u8, u32) = (0x10, 4);
/// The first bits of an index (RFC 7541 §6.1) and of another size of the table (§6.3).
const INDEX: (u8, u32) = (0x80, 7);
const RESIZE: (u8, u32) = (0x20, 5);

/// The writing side of HPACK for one connection.
pub struct Encoder {
    table: Table,
    /// By the hash of a whole field, and of a name: which entry was the last one; 0 where none was. Made with the first
    /// entry.
    exact: Vec<u32>,
    names: Vec<u32>,
    /// The smallest size that the table was given since a block was written, and the last.
    resized: Option<(usize, usize)>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { table: Table::new(), exact: Vec::new(), names: Vec::new(), resized: None }
    }
}

#[inline]
fn put((first, bits): (u8, u32), n: usize, out: &mut Vec<u8>) {
    let mask = (1usize << bits) - 1;
    if n < mask {
        return out.push(first | n as u8);
    }
    out.push(first | mask as u8);
    let mut n = n - mask;
    while n >= 128 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[inline]
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    huffman::encode(text, out);
    let len = out.len() - at - 1;
    if len < 127 {
        out[at] = 0x80 | len as u8;
        return;
    }
    put_long(len, at, out);
}

/// The length takes more than the byte that was left for it.
#[cold]
fn put_long(len: usize, at: usize, out: &mut Vec<u8>) {
    let mut head = Vec::with_capacity(4);
    put((0x80, 7), len, &mut head);
    out.splice(at..=at, head);
}

/// What differs each time, or is as good as a password. `:path` is the first of them.
#[inline]
fn is_passing(place: u8) -> bool {
    matches!(
        place,
        at::PATH
            | at::AGE
            | at::AUTHORIZATION
            | at::CONTENT_LENGTH
            | at::COOKIE
            | at::ETAG
            | at::IF_MODIFIED_SINCE
            | at::IF_NONE_MATCH
            | at::LOCATION
            | at::SET_COOKIE
    )
}

impl Encoder {
    /// The peer's table has another size (RFC 7541 §4.2); the next block says so.
    pub fn resize(&mut self, most: usize) {
        let most = most.min(TABLE);
        let (low, last) = self.resized.unwrap_or((self.table.most(), self.table.most()));
        if most != last {
            self.resized = Some((low.min(most), most));
        }
    }

    /// What a block begins with.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((low, last)) = self.resized.take() {
            for size in [low, last] {
                if size != self.table.most() {
                    put(RESIZE, size, out);
                    self.table.resize(size);
                }
            }
        }
    }

    /// Appends a field, whose name is in lower case. `is_secret`: nobody is to keep it, on no hop (RFC 7541 §6.2.3).
    ///
    /// Gives: whether it is one; what no message may have is left out.
    pub fn field(&mut self, name: &[u8], value: &[u8], is_secret: bool, out: &mut Vec<u8>) -> bool {
        self.put_field(name, value, is_secret, out).is_some()
    }

    /// As [`Encoder::field`]; gives the name's first place in the static table, or 0.
    #[inline]
    pub(crate) fn put_field(&mut self, name: &[u8], value: &[u8], is_secret: bool, out: &mut Vec<u8>) -> Option<u8> {
        let by_name = hashed(0, name);
        let place = place(name, by_name);
        self.put((place, by_name, name), value, is_secret, out).then_some(place)
    }

    /// A pseudo-field, whose value was looked at before.
    #[inline]
    pub(crate) fn pseudo(&mut self, place: u8, value: &[u8], out: &mut Vec<u8>) {
        let (name, by_name) = match place {
            at::AUTHORITY => (&b":authority"[..], const { hashed(0, b":authority") }),
            at::METHOD => (&b":method"[..], const { hashed(0, b":method") }),
            at::PATH => (&b":path"[..], const { hashed(0, b":path") }),
            at::SCHEME => (&b":scheme"[..], const { hashed(0, b":scheme") }),
            at::STATUS => (&b":status"[..], const { hashed(0, b":status") }),
            _ => (rules::PROTOCOL, const { hashed(0, rules::PROTOCOL) }),
        };
        let written = self.put((place, by_name, name), value, false, out);
        debug_assert!(written, "a pseudo-field is looked at before it is written");
    }

    #[inline]
    fn put(&mut self, name: (u8, u64, &[u8]), value: &[u8], is_secret: bool, out: &mut Vec<u8>) -> bool {
        let (place, by_name, name) = name;
        if (at::METHOD..=at::ACCEPT_ENCODING).contains(&place)
            && !is_secret
            && let Some(i) = exactly(place, name, value)
        {
            put(INDEX, i, out);
            return true;
        }
        let passes = is_secret || is_passing(place);
        let by_both = if passes { 0 } else { hashed(by_name, value) };
        if !passes && let Some(i) = self.kept(by_both, name, value) {
            put(INDEX, STATIC.len() + 1 + i, out);
            return true;
        }
        if rules::wrong(place, name, value).is_some() {
            return false;
        }
        let named = if place > 0 { usize::from(place) } else { self.named(by_name, name) };
        // What takes most of the table would drive out all that is in it.
        let keeps = !passes && (name.len() + value.len() + ENTRY) * 4 <= self.table.most() * 3;
        let literal = match () {
            () if is_secret => NEVER_KEPT,
            () if keeps => KEPT,
            () => NOT_KEPT,
        };
        put(literal, named, out);
        if named == 0 {
            put_text(name, out);
        }
        put_text(value, out);
        if keeps && self.table.insert(name, value, (place, None)) {
            self.remember(by_name, by_both);
        }
        true
    }

    #[inline]
    fn kept(&self, hash: u64, name: &[u8], value: &[u8]) -> Option<usize> {
        let i = self.entry(*self.exact.get(bucket(hash, EXACT))?);
        let it = self.table.get(i)?;
        (self.table.value(&it) == value && self.table.name(&it) == name).then_some(i)
    }

    /// The index of an entry with that name; 0 where none is.
    #[inline]
    fn named(&self, hash: u64, name: &[u8]) -> usize {
        let found = || {
            let i = self.entry(*self.names.get(bucket(hash, NAMES))?);
            let it = self.table.get(i)?;
            (self.table.name(&it) == name).then_some(STATIC.len() + 1 + i)
        };
        found().unwrap_or(0)
    }

    /// Where that entry stands now: behind the last one where there never was one, until their number wraps. Whoever asks compares.
    #[inline]
    fn entry(&self, inserted: u32) -> usize {
        self.table.inserted.wrapping_sub(inserted) as usize
    }

    #[inline]
    fn remember(&mut self, by_name: u64, by_both: u64) {
        if self.exact.is_empty() {
            self.exact.resize(EXACT, 0);
            self.names.resize(NAMES, 0);
        }
        let inserted = self.table.inserted;
        if let Some(it) = self.exact.get_mut(bucket(by_both, EXACT)) {
            *it = inserted;
        }
        if let Some(it) = self.names.get_mut(bucket(by_name, NAMES)) {
            *it = inserted;
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn holds(&self) -> usize {
        self.table.holds() + (self.exact.capacity() + self.names.capacity()) * size_of::<u32>()
    }
}

/// The index of the whole field in the static table.
#[inline]
fn exactly(place: u8, name: &[u8], value: &[u8]) -> Option<usize> {
    let from = usize::from(place);
    let same = STATIC.get(from - 1..)?.iter().take_while(|it| it.0.as_bytes() == name);
    let i = same.enumerate().find(|(_, it)| it.1.as_bytes() == value && !value.is_empty())?.0;
    Some(from + i)
}
