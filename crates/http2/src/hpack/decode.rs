//! A block into a head (RFC 7541 §6). Whatever becomes of the head, the whole block is read: the table is the connection's.

use super::huffman;
use super::statics::{STATIC, at, hashed, place};
use super::table::{TABLE, Table};
use crate::fault::Fault;
use crate::head::Head;
use crate::rules;

/// The table is changed at most this often before a block (RFC 7541 §4.2).
const RESIZES: u32 = 2;

/// The reading side of HPACK for one connection.
pub struct Decoder {
    table: Table,
    /// What is neither kept nor to be remembered is read to here.
    waste: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { table: Table::new(), waste: Vec::new() }
    }
}

/// A number of RFC 7541 §5.1 in four bytes more at most.
#[inline]
fn int(src: &[u8], at: &mut usize, bits: u32) -> Result<usize, Fault> {
    let mask = (1usize << bits) - 1;
    let mut n = usize::from(*src.get(*at).ok_or(Fault::Compression)?) & mask;
    *at += 1;
    if n < mask {
        return Ok(n);
    }
    for shift in [0, 7, 14, 21] {
        let b = *src.get(*at).ok_or(Fault::Compression)?;
        *at += 1;
        n += usize::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(Fault::Compression)
}

/// A string of RFC 7541 §5.2, appended.
#[inline]
fn text(src: &[u8], at: &mut usize, into: &mut Vec<u8>) -> Result<(), Fault> {
    let is_coded = src.get(*at).ok_or(Fault::Compression)? & 0x80 != 0;
    let len = int(src, at, 7)?;
    let raw = src.get(*at..).and_then(|it| it.get(..len)).ok_or(Fault::Compression)?;
    *at += len;
    if is_coded {
        return huffman::decode(raw, into).ok_or(Fault::Compression);
    }
    into.extend_from_slice(raw);
    Ok(())
}

/// The first place of a name that has several.
#[inline]
fn first(i: usize) -> u8 {
    match u8::try_from(i).unwrap_or(0) {
        3 => at::METHOD,
        at::PATH_INDEX => at::PATH,
        at::SCHEME_HTTPS => at::SCHEME,
        at::STATUS..=at::STATUS_500 => at::STATUS,
        it => it,
    }
}

impl Decoder {
    /// Fills `head` with a whole block.
    ///
    /// Takes: `most_bytes` of a head as RFC 9113 §6.5.2 counts them, `most_fields` of it without pseudo-fields; what is
    /// beyond is read and not kept. Refuses: [`Fault::Compression`], which ends the connection. What else is wrong with
    /// a field is told of the message, since only its stream has to end.
    pub fn block(&mut self, src: &[u8], head: &mut Head, most_bytes: usize, most_fields: usize) -> Result<(), Fault> {
        head.begin(most_bytes, most_fields);
        let (mut at, mut resizes, mut is_first) = (0, 0, true);
        while let Some(b) = src.get(at) {
            if b & 0x80 != 0 {
                let i = int(src, &mut at, 7)?;
                self.indexed(i, head)?;
            } else if b & 0xe0 == 0x20 {
                let most = int(src, &mut at, 5)?;
                resizes += 1;
                if !is_first || resizes > RESIZES || most > TABLE {
                    return Err(Fault::Compression);
                }
                self.table.resize(most);
                continue;
            } else {
                self.literal(src, &mut at, *b, head)?;
            }
            is_first = false;
        }
        if self.waste.capacity() > TABLE {
            self.waste = Vec::new();
        }
        Ok(())
    }

    #[inline]
    fn indexed(&mut self, i: usize, head: &mut Head) -> Result<(), Fault> {
        if let Some((name, value)) = i.checked_sub(1).and_then(|i| STATIC.get(i)) {
            let place = first(i);
            // Those few have no value that would be right.
            let wrong = match place {
                at::AUTHORITY | at::TRANSFER_ENCODING => rules::wrong(place, name.as_bytes(), b""),
                _ => None,
            };
            head.take_parts(name.as_bytes(), value.as_bytes(), place, wrong);
            return Ok(());
        }
        let entry = i.checked_sub(STATIC.len() + 1).and_then(|i| self.table.get(i)).ok_or(Fault::Compression)?;
        let (both, name) = self.table.both(&entry);
        head.take(both, name, entry.place, entry.wrong);
        Ok(())
    }

    fn literal(&mut self, src: &[u8], at: &mut usize, b: u8, head: &mut Head) -> Result<(), Fault> {
        let is_indexed = b & 0x40 != 0;
        let i = int(src, at, if is_indexed { 6 } else { 4 })?;
        if head.is_too_long() && !is_indexed {
            return self.passed_over(i, src, at);
        }
        let from = head.tail().len();
        // Of a name that a table has, what was found wrong before.
        let (place, known) = if i == 0 {
            text(src, at, head.tail())?;
            let name = head.slice(from, head.tail_len());
            (place(name, hashed(0, name)), None)
        } else if let Some((name, _)) = STATIC.get(i - 1) {
            head.tail().extend_from_slice(name.as_bytes());
            (first(i), Some(None))
        } else {
            let entry = i.checked_sub(STATIC.len() + 1).and_then(|i| self.table.get(i)).ok_or(Fault::Compression)?;
            head.tail().extend_from_slice(self.table.name(&entry));
            (entry.place, Some(entry.wrong))
        };
        let mid = head.tail_len();
        text(src, at, head.tail())?;
        let (name, value) = (head.slice(from, mid), head.slice(mid, head.tail_len()));
        let wrong = match known {
            Some(before) => rules::wrong_again(before, place, name, value),
            None => rules::wrong(place, name, value),
        };
        if is_indexed {
            self.table.insert(name, value, (place, wrong));
        }
        head.take_tail((from, mid), place, wrong, b & 0x10 != 0 && !is_indexed);
        Ok(())
    }

    /// A literal that is neither kept nor remembered.
    #[cold]
    fn passed_over(&mut self, i: usize, src: &[u8], at: &mut usize) -> Result<(), Fault> {
        self.waste.clear();
        if i == 0 {
            text(src, at, &mut self.waste)?;
        } else if i > STATIC.len() {
            i.checked_sub(STATIC.len() + 1).and_then(|i| self.table.get(i)).ok_or(Fault::Compression)?;
        }
        text(src, at, &mut self.waste)
    }

    /// Bytes of memory that it holds.
    pub(crate) fn holds(&self) -> usize {
        self.table.holds() + self.waste.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::LOOKED_AT;

    #[test]
    fn a_name_that_the_table_has_costs_no_look_at_each_of_its_bytes_again() {
        for letter in [b'a', b'A'] {
            // A literal that is kept (RFC 7541 §6.2.1), its name 3,999 bytes long, its value empty.
            let name = vec![letter; 3999];
            let first = [&[0x40, 0x7f, 0xa0, 0x1e][..], &name, &[0]].concat();
            let (mut decoder, mut head) = (Decoder::default(), Head::default());
            decoder.block(&first, &mut head, 65_536, 128).expect("a block");
            // The entry is kept anew under its own name each time, by two bytes.
            let before = LOOKED_AT.get();
            decoder.block(&[0x7e, 0].repeat(1000), &mut head, 65_536, 128).expect("a block");
            assert!(before >= 3999 && LOOKED_AT.get() - before < 2 * 3999, "{}", LOOKED_AT.get() - before);
        }
    }
}
