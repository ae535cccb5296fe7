//! CORS, as the Fetch standard has it: which page of another origin asks, whether its route lets it read the answer, and what
//! the answer says of that. Browsers hold pages to it; nobody is let in or kept out by it but pages, and who is no browser
//! says any origin it likes. Read next: `shape.rs`, for the head of an answer, and `../client/given.rs`, for a preflight's.

use crate::exchange::words::Fields;
use everyhop_http1::FieldId;
use everyhop_running::cors::CorsRun;
use std::sync::Arc;

/// The names of all fields by which an answer says who may read it begin so.
const OF_CORS: &[u8] = b"access-control-";
const ORIGIN: &[u8] = b"origin";

/// What a request comes to by its route's CORS, for all that is answered to it.
#[derive(Debug)]
pub(crate) struct Granted {
    by: Arc<CorsRun>,
    /// The page's origin, where the route takes it.
    origin: Option<String>,
    /// It asks only whether another request may come.
    pub(crate) is_preflight: bool,
}

impl Granted {
    pub(crate) fn of(by: &Arc<CorsRun>, method: &str, fields: &impl Fields) -> Granted {
        let (mut origins, mut first, mut asks) = (0, None, false);
        fields.each(|_, name, value| {
            if name.eq_ignore_ascii_case(ORIGIN) {
                origins += 1;
                // One that is taken is ASCII: the route's are.
                first = std::str::from_utf8(value).ok().filter(|_| by.takes(value)).map(str::to_owned);
            }
            asks |= name.eq_ignore_ascii_case(b"access-control-request-method");
        });
        // Who names two origins is of none.
        let origin = first.filter(|_| origins == 1);
        Granted { by: by.clone(), origin, is_preflight: method == "OPTIONS" && asks && origins > 0 }
    }

    /// The page may read the answer.
    pub(crate) fn takes(&self) -> bool {
        self.origin.is_some()
    }

    /// What any answer says; none of it to a page that may not read it.
    pub(crate) fn each(&self, mut f: impl FnMut(&'static str, &[u8])) {
        if let Some(origin) = self.allowed() {
            f("access-control-allow-origin", origin);
            self.by.always.iter().for_each(|(name, value)| f(name, value.as_bytes()));
        }
        // Whose answer does not name an origin is another for another one all the same (Fetch, "CORS protocol and HTTP caches").
        if !self.by.anybody {
            f("vary", b"Origin");
        }
    }

    /// What the answer to a preflight says that is taken.
    pub(crate) fn each_of_preflight(&self, mut f: impl FnMut(&'static str, &[u8])) {
        if let Some(origin) = self.allowed() {
            f("access-control-allow-origin", origin);
            self.by.preflight.iter().for_each(|(name, value)| f(name, value.as_bytes()));
        }
        if !self.by.anybody {
            f("vary", b"Origin");
        }
    }

    /// Where everybody may read, the same for all, so that a cache may give it to all.
    fn allowed(&self) -> Option<&[u8]> {
        if self.by.anybody { Some(b"*") } else { self.origin.as_deref().map(str::as_bytes) }
    }
}

/// The backend's own word on it does not go on.
pub(crate) fn is_of_cors(id: FieldId, name: &[u8]) -> bool {
    let head = name.get(..OF_CORS.len());
    id == FieldId::Other && head.is_some_and(|it| it.eq_ignore_ascii_case(OF_CORS))
}
