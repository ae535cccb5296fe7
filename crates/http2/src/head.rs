//! A field section as it was decoded: bytes one behind the other, in memory that each one fills anew. Fields keep their
//! order; pseudo-fields stand apart. Read next: `message.rs`, what a message must have.

use crate::fault::Fault;
use crate::hpack::ENTRY;
use crate::hpack::statics::at;
use crate::rules;

/// A field, in bytes of the [`Head`] that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// In lower case.
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Whoever sends it on must not index it either (RFC 7541 §6.2.3): [`crate::Fields::put_secret`].
    pub is_secret: bool,
    /// Its name's first place in the static table (RFC 7541 appendix A), 1 to 61, or 0.
    pub place: u8,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    at: u32,
    name: u32,
    value: u32,
    place: u8,
    is_secret: bool,
}

/// Pseudo-fields, in the order of their bits.
const METHOD: usize = 0;
const SCHEME: usize = 1;
const AUTHORITY: usize = 2;
const PATH: usize = 3;
const PROTOCOL: usize = 4;
const STATUS: usize = 5;

/// What of a field section was kept, and what it may hold.
#[derive(Debug, Default)]
pub struct Head {
    bytes: Vec<u8>,
    list: Vec<Kept>,
    pseudo: [(u32, u32); 6],
    /// Which of them are there.
    seen: u8,
    size: usize,
    most_bytes: usize,
    most_fields: usize,
    length: Option<u64>,
    too_long: bool,
    secrets: bool,
    wrong: Option<Fault>,
}

impl Head {
    /// The method of a request; empty where none is there, as all pseudo-fields (RFC 9113 §8.3.1).
    pub fn method(&self) -> &[u8] {
        self.of(METHOD)
    }

    pub fn scheme(&self) -> &[u8] {
        self.of(SCHEME)
    }

    pub fn authority(&self) -> &[u8] {
        self.of(AUTHORITY)
    }

    /// Path and query, as they came.
    pub fn path(&self) -> &[u8] {
        self.of(PATH)
    }

    /// What an extended CONNECT opens (RFC 8441 §4).
    pub fn protocol(&self) -> &[u8] {
        self.of(PROTOCOL)
    }

    /// The status of an answer, 100 to 599; 0 where none is there.
    pub fn status(&self) -> u16 {
        rules::status(self.of(STATUS)).unwrap_or(0)
    }

    /// The fields in their order, pseudo-fields left out.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.list.iter().map(|it| {
            let both = self.bytes.get(it.at as usize..(it.at + it.name + it.value) as usize).unwrap_or_default();
            let (name, value) = both.split_at_checked(it.name as usize).unwrap_or_default();
            Field { name, value, is_secret: it.is_secret, place: it.place }
        })
    }

    /// Some of its fields came as such that nobody is to keep (RFC 7541 §6.2.3).
    pub fn has_secrets(&self) -> bool {
        self.secrets
    }

    /// The value of the first field of a name, in lower case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|it| it.name == name).map(|it| it.value)
    }

    /// What Content-Length declares (RFC 9110 §8.6).
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Forgets what it has and keeps its memory, of which it gives back what no usual head needs.
    pub fn clear(&mut self) {
        if self.bytes.capacity() > ROOMY {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.list.clear();
        (self.seen, self.size, self.length) = (0, 0, None);
        (self.too_long, self.secrets, self.wrong) = (false, false, None);
    }

    fn of(&self, which: usize) -> &[u8] {
        let (from, to) = if self.has(which) { self.pseudo[which] } else { (0, 0) };
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }

    fn has(&self, which: usize) -> bool {
        self.seen & 1 << which != 0
    }
}

/// More memory than this a head does not keep for the next.
const ROOMY: usize = 64 * 1024;

/// While a block is read.
impl Head {
    pub(crate) fn begin(&mut self, most_bytes: usize, most_fields: usize) {
        self.clear();
        (self.most_bytes, self.most_fields) = (most_bytes, most_fields);
    }

    /// Whether a field of so many bytes is kept, which is asked before it is copied: what is too long, or too many, is read on
    /// for the table's sake alone.
    #[inline]
    fn fits(&mut self, bytes: usize) -> bool {
        self.size += bytes + ENTRY;
        self.too_long |= self.size > self.most_bytes;
        !self.too_long
    }

    /// A field of a table: its bytes and where its value begins.
    #[inline]
    pub(crate) fn take(&mut self, both: &[u8], name: usize, place: u8, wrong: Option<Fault>) {
        self.fails(wrong);
        if self.fits(both.len()) {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(both);
            self.keep(from, from + name, place, false);
        }
    }

    /// As [`Head::take`], of two parts.
    #[inline]
    pub(crate) fn take_parts(&mut self, name: &[u8], value: &[u8], place: u8, wrong: Option<Fault>) {
        self.fails(wrong);
        if self.fits(name.len() + value.len()) {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
            self.keep(from, from + name.len(), place, false);
        }
    }

    /// Where a literal is read to; what of it stays [`Head::take_tail`] says.
    #[inline]
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    pub(crate) fn tail_len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// The bytes from `from` on, whose value begins at `mid`, are a field.
    #[inline]
    pub(crate) fn take_tail(&mut self, (from, mid): (usize, usize), place: u8, wrong: Option<Fault>, secret: bool) {
        self.fails(wrong);
        if self.fits(self.bytes.len() - from) {
            self.keep(from, mid, place, secret);
        } else {
            self.bytes.truncate(from);
        }
    }

    #[inline]
    fn fails(&mut self, wrong: Option<Fault>) {
        self.wrong = self.wrong.or(wrong);
    }

    #[inline]
    fn keep(&mut self, from: usize, mid: usize, place: u8, is_secret: bool) {
        let pseudo = match place {
            at::AUTHORITY => AUTHORITY,
            at::METHOD => METHOD,
            at::PATH => PATH,
            at::SCHEME => SCHEME,
            at::STATUS => STATUS,
            0 if self.bytes.get(from) == Some(&b':') => PROTOCOL,
            _ => return self.keep_field(from, mid, place, is_secret),
        };
        if self.has(pseudo) || !self.list.is_empty() {
            return self.fails(Some(Fault::PseudoField));
        }
        self.seen |= 1 << pseudo;
        self.pseudo[pseudo] = (short(mid), short(self.bytes.len()));
    }

    #[inline]
    fn keep_field(&mut self, from: usize, mid: usize, place: u8, is_secret: bool) {
        if self.list.len() >= self.most_fields {
            self.too_long = true;
            return self.bytes.truncate(from);
        }
        if place == at::CONTENT_LENGTH {
            let length = rules::length(self.slice(mid, self.bytes.len()));
            if length.is_none() || self.length.is_some_and(|it| Some(it) != length) {
                self.fails(Some(Fault::ContentLength));
            }
            self.length = length;
        }
        let (name, value) = (short(mid - from), short(self.bytes.len() - mid));
        self.secrets |= is_secret;
        self.list.push(Kept { at: short(from), name, value, place, is_secret });
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.too_long
    }

    pub(crate) fn wrong(&self) -> Option<Fault> {
        self.wrong
    }

    /// Which pseudo-fields are there.
    pub(crate) fn seen(&self) -> u8 {
        self.seen
    }

    /// Bytes of memory that it holds, itself left out.
    pub fn holds_bytes(&self) -> usize {
        self.bytes.capacity() + self.list.capacity() * size_of::<Kept>()
    }
}

pub(crate) const HAS_METHOD: u8 = 1 << METHOD;
pub(crate) const HAS_SCHEME: u8 = 1 << SCHEME;
pub(crate) const HAS_AUTHORITY: u8 = 1 << AUTHORITY;
pub(crate) const HAS_PATH: u8 = 1 << PATH;
pub(crate) const HAS_PROTOCOL: u8 = 1 << PROTOCOL;
pub(crate) const HAS_STATUS: u8 = 1 << STATUS;

/// A head is bounded far below 4 GiB; what would not fit is empty.
fn short(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(0)
}
