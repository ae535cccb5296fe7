//! A request's fields without the edge's own cookie, which says to the edge alone where its client comes back to: its backend,
//! and whoever reads its logs, learn nothing by which another could be sent there; and without a cookie in which a token was that goes no further. Read next: the `sticky.rs` of what runs.

use crate::exchange::words::Fields;
use everyhop_canon::cookie;
use everyhop_http1::FieldId;
use everyhop_running::sticky::StickyRun;

pub(crate) struct Unstuck<'a, F> {
    pub(crate) fields: F,
    pub(crate) sticky: &'a StickyRun,
}

impl<F: Fields> Fields for Unstuck<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        self.fields.each(|id, name, value| {
            let is_ours = |value: &[u8]| value.split(|b| *b == b';').any(|pair| self.sticky.is_ours(pair));
            if !name.eq_ignore_ascii_case(b"cookie") || !is_ours(value) {
                f(id, name, value);
            } else if let Some(left) = self.sticky.without(value) {
                f(id, name, &left);
            }
        });
    }
}

/// Without the cookie of that name.
pub(crate) struct Untold<'a, F> {
    pub(crate) fields: F,
    pub(crate) cookie: &'a str,
}

impl<F: Fields> Fields for Untold<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        self.fields.each(|id, name, value| {
            if !name.eq_ignore_ascii_case(b"cookie") {
                f(id, name, value);
            } else if let Some(left) = cookie::without(value, self.cookie) {
                f(id, name, &left);
            }
        });
    }
}
