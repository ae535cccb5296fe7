//! A copy of a request as it is made, beside the request and without a word to it: of its body what is taken for the backend,
//! up to a bound. Who copies it is told of the whole, or with what it begins. Read next: `both_ways.rs`, which gives it the body,
//! and the client's `copies.rs` and `overheard.rs`.

use everyhop_transport::buf::Buf;
use http::HeaderMap;

/// Whoever takes the copy. Dropped, it was not all there.
pub(crate) trait Goes {
    /// It is whole.
    fn goes(self: Box<Self>, body: Buf, trailers: Option<HeaderMap>);
    /// Its body is too long; `beginning` is as much of it as there may be.
    fn is_too_long(self: Box<Self>, beginning: Buf);
}

pub(crate) struct Copied {
    body: Buf,
    most: usize,
    by: Option<Box<dyn Goes>>,
    /// Another one of the same request.
    beside: Option<Box<Copied>>,
}

impl Copied {
    /// Of a request whose body is copied if it has so many bytes at the most.
    pub(crate) fn new(most: usize, by: Box<dyn Goes>) -> Copied {
        Copied { body: Buf::default(), most, by: Some(by), beside: None }
    }

    /// Both of the same request.
    pub(crate) fn beside(mut self: Box<Self>, other: Option<Box<Copied>>) -> Box<Self> {
        self.beside = other;
        self
    }

    /// Copies more of the body; false once nobody takes more.
    pub(crate) fn takes(&mut self, more: &[u8]) -> bool {
        self.beside.take_if(|it| !it.takes(more));
        let room = self.most.saturating_sub(self.body.len());
        if self.by.is_some() {
            self.body.push(more.get(..room).unwrap_or(more));
        }
        if more.len() > room
            && let Some(by) = self.by.take()
        {
            by.is_too_long(std::mem::take(&mut self.body));
        }
        self.by.is_some() || self.beside.is_some()
    }

    /// The request is all there.
    pub(crate) fn goes(self, trailers: Option<&HeaderMap>) {
        if let Some(by) = self.by {
            by.goes(self.body, trailers.cloned());
        }
        if let Some(beside) = self.beside {
            beside.goes(trailers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    #[derive(Default, Clone)]
    struct Told(Rc<RefCell<Vec<String>>>);

    impl Goes for Told {
        fn goes(self: Box<Self>, body: Buf, trailers: Option<HeaderMap>) {
            let said = format!("{}{}", String::from_utf8_lossy(body.bytes()), trailers.map_or(0, |it| it.len()));
            self.0.borrow_mut().push(said);
        }

        fn is_too_long(self: Box<Self>, beginning: Buf) {
            self.0.borrow_mut().push(format!("{}...", String::from_utf8_lossy(beginning.bytes())));
        }
    }

    fn copy(most: usize) -> (Told, Box<Copied>) {
        let told = Told::default();
        (told.clone(), Box::new(Copied::new(most, Box::new(told))))
    }

    fn said(most: usize) -> String {
        if most >= 6 { "abcdef0".to_owned() } else { format!("{}...", "abcdef".get(..most).unwrap_or_default()) }
    }

    #[test]
    fn a_body_is_copied_to_the_last_byte_of_its_bound_however_it_comes_and_no_further() {
        for piece in 1..=6 {
            for most in 0..=7 {
                let (told, mut it) = copy(most);
                let fits = b"abcdef".chunks(piece).all(|more| it.takes(more));
                assert_eq!(fits, most >= 6, "{piece} {most}");
                if fits {
                    it.goes(Some(&HeaderMap::new()))
                }
                assert_eq!(*told.0.borrow(), [said(most)], "{piece} {most}");
            }
        }
    }

    #[test]
    fn two_copies_of_one_request_each_have_their_own_bound() {
        for piece in 1..=6 {
            for (first, second) in [(0, 7), (7, 0), (3, 4), (7, 7), (2, 2)] {
                let ((told, it), (other_told, other)) = (copy(first), copy(second));
                let mut it = it.beside(Some(other));
                let fits = b"abcdef".chunks(piece).all(|more| it.takes(more));
                assert_eq!(fits, first >= 6 || second >= 6, "{piece} {first} {second}");
                if fits {
                    it.goes(Some(&HeaderMap::new()))
                }
                assert_eq!(*told.0.borrow(), [said(first)], "{piece} {first} {second}");
                assert_eq!(*other_told.0.borrow(), [said(second)], "{piece} {first} {second}");
            }
        }
    }
}
