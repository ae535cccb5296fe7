//! What a backend says of itself in an answer, as its client knows it: Location, Content-Location, and the cookies that it sets.
//! It comes before all that the route changes itself. Which values are changed, and how, is said by
//! `everyhop_canon::returned`. Read next: `shape.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::words::Fields;
use everyhop_canon::host::host_into;
use everyhop_canon::returned::{Guards, Known, cookie, location, path};
use everyhop_http1::FieldId;
use everyhop_running::returned::ReturnedRun;

/// An answer's fields as its client has to read them.
pub(crate) struct Returned<'a, F> {
    pub(crate) fields: &'a F,
    pub(crate) asked: &'a Asked,
    /// `None`: as they came.
    pub(crate) by: Option<&'a ReturnedRun>,
}

impl<F: Fields> Fields for Returned<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn reason(&self) -> &[u8] {
        self.fields.reason()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        let Some(by) = self.by else { return self.fields.each(f) };
        self.fields.each(|id, name, value| {
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            let told = match name.len() {
                _ if id != FieldId::Other => None,
                8 | 16 if is("location") || is("content-location") => self.location(by, value),
                10 if is("set-cookie") => self.cookie(by, value),
                _ => None,
            };
            f(id, name, told.as_deref().unwrap_or(value));
        });
    }
}

impl<F> Returned<'_, F> {
    fn known<'b>(&'b self, by: &'b ReturnedRun) -> Known<'b> {
        let told = self.asked.told.as_ref();
        Known {
            scheme: told.map_or("https", |it| it.scheme.name()),
            authority: told.map_or(&self.asked.authority, |it| &it.authority),
            host: by.host.as_deref().unwrap_or(&self.asked.authority),
            strip: &by.strip,
            under: &by.under,
        }
    }

    #[cold]
    fn location(&self, by: &ReturnedRun, value: &[u8]) -> Option<Vec<u8>> {
        let is_backend = |host: Option<&str>, port| by.is_backend(host, port);
        location(value, self.known(by), is_backend).filter(|_| by.locations).map(String::into_bytes)
    }

    #[cold]
    fn cookie(&self, by: &ReturnedRun, value: &[u8]) -> Option<Vec<u8>> {
        let guards = by.cookies.as_ref().map_or_else(Guards::default, |it| Guards {
            secure: it.secure,
            http_only: it.http_only,
            same_site: it.same_site.map(|it| it.name()),
            path: it.path.as_deref(),
        });
        let back = |said: &str| path(said, &by.strip, &by.under).filter(|_| by.locations);
        // A name that is the client's own for it is meant as it stands.
        let mut asked = String::new();
        let asked = by.host.as_deref().filter(|it| host_into(it.as_bytes(), &mut asked).is_ok()).map(|_| asked);
        let other = asked.filter(|it| by.locations && *it != self.asked.host);
        cookie(value, guards, back, |said| other.as_deref().is_some_and(|it| said.eq_ignore_ascii_case(it)))
    }
}
