//! A copy of a request as it is made, beside the request and without a word to it: of its body what is taken for the backend,
//! up to a bound. It goes whole or not at all. Read next: `both_ways.rs`, which gives it the body, and the client's `copies.rs`.

use everyhop_transport::buf::Buf;
use http::HeaderMap;

/// Whoever sends the copy. Dropped, it was not all there.
pub(crate) trait Goes {
    /// It is whole.
    fn goes(self: Box<Self>, body: Buf, trailers: Option<HeaderMap>);
    /// It is not made, since its body is too long.
    fn is_too_long(self: Box<Self>);
}

pub(crate) struct Copied {
    body: Buf,
    most: usize,
    by: Box<dyn Goes>,
}

impl Copied {
    /// Of a request whose body is copied if it has so many bytes at the most.
    pub(crate) fn new(most: usize, by: Box<dyn Goes>) -> Copied {
        Copied { body: Buf::default(), most, by }
    }

    /// Copies more of the body; false where that would be too much.
    pub(crate) fn takes(&mut self, more: &[u8]) -> bool {
        let fits = self.body.len() + more.len() <= self.most;
        if fits {
            self.body.push(more);
        }
        fits
    }

    /// The request is all there.
    pub(crate) fn goes(self, trailers: Option<&HeaderMap>) {
        self.by.goes(self.body, trailers.cloned());
    }

    pub(crate) fn leave(self) {
        self.by.is_too_long();
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

        fn is_too_long(self: Box<Self>) {
            self.0.borrow_mut().push("too long".into());
        }
    }

    #[test]
    fn a_body_is_copied_to_the_last_byte_of_its_bound_however_it_comes_and_no_further() {
        for piece in 1..=6 {
            for most in 0..=7 {
                let told = Told::default();
                let mut it = Copied::new(most, Box::new(told.clone()));
                let fits = b"abcdef".chunks(piece).all(|more| it.takes(more));
                assert_eq!(fits, most >= 6, "{piece} {most}");
                if fits {
                    it.goes(Some(&HeaderMap::new()))
                } else {
                    it.leave()
                }
                assert_eq!(*told.0.borrow(), [if fits { "abcdef0" } else { "too long" }]);
            }
        }
    }
}
