//! Fields of a request that its line names, kept from its head until its end: a head is long gone when a line is written.
//! Made only where a line names some. Read next: `lines.rs`.

use crate::json::FIELD_BYTES;

/// The values by the place of their name in the line's list. Its memory is used again.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    /// Where each value ends, and whether the field was there at all.
    values: Vec<(usize, bool)>,
}

impl Kept {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
    }

    /// Begins with the next name.
    pub fn next(&mut self) {
        self.values.push((self.bytes.len(), false));
    }

    /// A value of the name that was begun; several are one, as RFC 9110 §5.2 joins them.
    pub fn add(&mut self, value: &[u8]) {
        let before = self.values.iter().rev().nth(1).map_or(0, |(end, _)| *end);
        let Some((end, there)) = self.values.last_mut() else { return };
        // More than is told, by which a line tells that it was cut.
        let room = (FIELD_BYTES + 1).saturating_sub(self.bytes.len() - before);
        if *there && room > 0 {
            self.bytes.extend_from_slice(b", ");
        }
        self.bytes.extend_from_slice(value.get(..room).unwrap_or(value));
        (*end, *there) = (self.bytes.len(), true);
    }

    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let (end, there) = *self.values.get(index)?;
        let start = index.checked_sub(1).and_then(|i| self.values.get(i)).map_or(0, |(end, _)| *end);
        self.bytes.get(start..end).filter(|_| there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_values_and_none_is_taken_for_anothers() {
        let mut it = Kept::default();
        for values in [&[&b"one"[..]][..], &[], &[b"a", b"", b"c"], &[b""]] {
            it.next();
            values.iter().for_each(|v| it.add(v));
        }
        let all: Vec<_> = (0..5).map(|i| it.get(i)).collect();
        assert_eq!(all, [Some(&b"one"[..]), None, Some(b"a, , c"), Some(b""), None]);
        it.clear();
        assert_eq!(it.get(0), None);
    }

    #[test]
    fn no_more_is_kept_than_is_told() {
        let mut it = Kept::default();
        it.next();
        for _ in 0..1000 {
            it.add(&[b'x'; 999]);
        }
        assert!(it.get(0).is_some_and(|v| (FIELD_BYTES + 1..FIELD_BYTES + 4).contains(&v.len())));
        it.next();
        it.add(b"next");
        assert_eq!(it.get(1), Some(&b"next"[..]));
    }
}
