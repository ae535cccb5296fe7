//! A text that a health check wants in the body of an answer, which comes in pieces that know nothing of it.
//! Read next: `check_asks.rs`.

/// What is looked for, in what came so far; of that no more is kept than a text that is not whole yet can begin in.
pub(crate) struct Sought<'a> {
    text: &'a [u8],
    end: Vec<u8>,
    /// How much was looked through.
    pub(crate) read: usize,
}

impl Sought<'_> {
    pub(crate) fn new(text: &str) -> Sought<'_> {
        Sought { text: text.as_bytes(), end: Vec::new(), read: 0 }
    }

    /// Whether it is there, now that this came.
    pub(crate) fn is_in(&mut self, more: &[u8]) -> bool {
        self.read += more.len();
        self.end.extend_from_slice(more);
        // A plan has none that is empty; it would be in everything.
        if self.text.is_empty() || self.end.windows(self.text.len()).any(|it| it == self.text) {
            return true;
        }
        let surplus = self.end.len().saturating_sub(self.text.len() - 1);
        self.end.drain(..surplus);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_wherever_its_pieces_end_and_nothing_else_is() {
        let body = b"{\"a\":1,\"ststatus\":\"up\"}";
        for text in ["status\":\"up\"", "{", "}", "stst", "{\"a\":1,\"ststatus\":\"up\"}"] {
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let mut sought = Sought::new(text);
                    let pieces = [&body[..first], &body[first..second], &body[second..]];
                    assert!(pieces.iter().any(|it| sought.is_in(it)), "{text} at {first}, {second}");
                }
            }
            let mut sought = Sought::new(text);
            assert!(body.iter().any(|it| sought.is_in(&[*it])), "{text} byte by byte");
        }
        for text in ["status\":\"UP\"", "statusup", "}}", "stss"] {
            let mut sought = Sought::new(text);
            assert!(!body.iter().any(|it| sought.is_in(&[*it])) && !sought.is_in(b""), "{text}");
            assert_eq!(sought.read, body.len());
            assert!(sought.end.len() < text.len().max(2));
        }
    }
}
