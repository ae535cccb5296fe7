//! A cursor over bytes of a peer: every take may fail, nothing is indexed.

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// A big-endian number of `n` bytes.
    pub(crate) fn number(&mut self, n: usize) -> Option<usize> {
        Some(self.take(n)?.iter().fold(0, |all, b| all << 8 | usize::from(*b)))
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.number(2).and_then(|n| u16::try_from(n).ok())
    }

    /// A vector whose length is written in `n` bytes before it (RFC 8446 §3.4).
    pub(crate) fn vector(&mut self, n: usize) -> Option<Bytes<'a>> {
        let len = self.number(n)?;
        self.take(len).map(Bytes)
    }
}
