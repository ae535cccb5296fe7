//! Pages for errors of the edge's own, made ready. A plan without any has none of this. Read next: `given.rs`.

use crate::material::{Blob, Unusable};
use bytes::Bytes;
use everyhop_plan::ErrorPage;
use std::ops::RangeInclusive;

pub struct PagesRun(Vec<(RangeInclusive<u16>, Bytes)>);

impl PagesRun {
    pub(crate) fn of(pages: &[ErrorPage], blob: &Blob) -> Result<Option<PagesRun>, Unusable> {
        let read = pages.iter().map(|it| Ok((it.first..=it.last, blob.page(&it.page)?)));
        let read = read.collect::<Result<Vec<_>, Unusable>>()?;
        Ok((!read.is_empty()).then_some(PagesRun(read)))
    }

    /// The page for errors of that status.
    pub fn page(&self, status: u16) -> Option<Bytes> {
        self.0.iter().find(|(of, _)| of.contains(&status)).map(|(_, page)| page.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn page(first: u16, last: u16, page: &str) -> ErrorPage {
        ErrorPage { first, last, page: page.into() }
    }

    #[test]
    fn the_first_page_that_fits_is_told_and_one_that_was_not_sent_makes_no_plan() {
        let mut blob = Blob::default();
        for id in ["page/down", "page/gone"] {
            blob.pages.insert(id.into(), STANDARD.encode(id));
        }
        let pages = [page(404, 404, "page/gone"), page(400, 499, "page/down")];
        let run = PagesRun::of(&pages, &blob).ok().flatten();
        let told = |status| run.as_ref().and_then(|it| it.page(status));
        assert_eq!(told(404).as_deref(), Some(&b"page/gone"[..]));
        assert_eq!(told(403).as_deref(), Some(&b"page/down"[..]));
        assert_eq!((told(399), told(500)), (None, None));
        assert!(PagesRun::of(&[], &blob).is_ok_and(|it| it.is_none()));
        assert!(PagesRun::of(&[page(500, 599, "page/none")], &blob).is_err());
    }
}
