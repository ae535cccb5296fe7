//! A request's fields as whoever judges, edits or writes them looks at them: of an HTTP/1 head in its buffer, and of an HTTP/2
//! field list. Nothing is copied here. Read next: `words.rs`, for what is looked at.

use crate::exchange::words::Fields;
use everyhop_canon::cookie;
use everyhop_http1::{FieldId, RequestHead, Span};
use everyhop_http2::Head;

const COOKIE: &str = "cookie";

/// An HTTP/1 head with the buffer that it points into.
pub(crate) struct View<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) buf: &'a [u8],
}

impl everyhop_decide::Headers for View<'_> {
    fn all_equal(&self, name: &str, value: &str) -> bool {
        let of = |span: Span| span.of(self.buf);
        let mut seen = false;
        for field in self.head.fields.iter().filter(|f| of(f.name).eq_ignore_ascii_case(name.as_bytes())) {
            // What the backend will not see, or only as the edge says it, decides nothing (threats R03, X01).
            let stays_behind = field.id.is_identity() || self.head.is_hop_by_hop(field, self.buf);
            if stays_behind || of(field.value) != value.as_bytes() {
                return false;
            }
            seen = true;
        }
        seen
    }

    fn cookie_equals(&self, name: &str, value: &str) -> bool {
        let of = |span: Span| span.of(self.buf);
        let fields = || self.head.fields.iter().filter(|f| of(f.name).eq_ignore_ascii_case(COOKIE.as_bytes()));
        // As above: what stays behind decides nothing.
        !fields().any(|f| self.head.is_hop_by_hop(f, self.buf))
            && cookie::all_equal(fields().map(|f| of(f.value)), name, value)
    }

    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        for field in self.head.fields.iter().filter(|f| f.name.of(self.buf).eq_ignore_ascii_case(name.as_bytes())) {
            if !self.head.is_hop_by_hop(field, self.buf) {
                f(field.value.of(self.buf));
            }
        }
    }
}

impl Fields for View<'_> {
    fn has_secrets(&self) -> bool {
        false
    }

    /// What may go on to the backend; what concerns this connection alone stays behind.
    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        for field in &self.head.fields {
            if !self.head.is_hop_by_hop(field, self.buf) {
                f(field.id, field.name.of(self.buf), field.value.of(self.buf));
            }
        }
    }

    fn each_as_sent(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        for field in &self.head.fields {
            f(field.id, field.name.of(self.buf), field.value.of(self.buf));
        }
    }
}

/// An HTTP/2 field list, as the codec gives it: names are tokens in lower case, and no value has white space around it. A rule
/// that judged one with it would let pass what a backend, after HTTP/1 has trimmed it, reads as the value that was judged (R03).
pub(crate) struct HeadView<'a>(pub(crate) &'a Head);

impl HeadView<'_> {
    fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        self.0.fields().filter(|it| it.name.eq_ignore_ascii_case(name.as_bytes())).map(|it| it.value)
    }
}

impl everyhop_decide::Headers for HeadView<'_> {
    fn all_equal(&self, name: &str, value: &str) -> bool {
        let id = everyhop_http1::field_id(name.as_bytes());
        if id.is_identity() || id.is_hop_by_hop() {
            return false;
        }
        let mut all = self.all(name).peekable();
        if name.eq_ignore_ascii_case(COOKIE) {
            return all.peek().is_some() && is_joined(value.as_bytes(), all);
        }
        all.peek().is_some() && all.all(|v| v == value.as_bytes())
    }

    fn cookie_equals(&self, name: &str, value: &str) -> bool {
        let all: Vec<&[u8]> = self.all(COOKIE).collect();
        cookie::all_equal(all.into_iter(), name, value)
    }

    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        if !everyhop_http1::field_id(name.as_bytes()).is_hop_by_hop() {
            self.all(name).for_each(f);
        }
    }
}

/// True if `whole` is what the crumbs of a cookie become where they are one field again (RFC 9113 §8.2.3).
fn is_joined<'a>(whole: &[u8], mut crumbs: impl Iterator<Item = &'a [u8]>) -> bool {
    let rest = crumbs.next().and_then(|first| whole.strip_prefix(first));
    crumbs.fold(rest, |rest, crumb| rest?.strip_prefix(b"; ")?.strip_prefix(crumb)) == Some(b"")
}

impl Fields for HeadView<'_> {
    fn has_secrets(&self) -> bool {
        self.0.has_secrets()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        for it in self.0.fields() {
            let id = everyhop_http1::field_id(it.name);
            if !id.is_hop_by_hop() {
                f(id, it.name, it.value);
            }
        }
    }
}
