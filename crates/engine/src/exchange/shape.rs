//! What becomes of the head of a backend's answer on its way to the client: first the route's edits, then what the edge says
//! itself of who may read it. Read next: `edits.rs`, `cors.rs`.

use crate::exchange::cors::is_of_cors;
use crate::exchange::edits::{Edited, Editing};
use crate::exchange::words::Fields;
use everyhop_http1::FieldId;

/// An answer's fields as they are when they were edited, and the edge has said its own.
pub(crate) struct Shaped<'a, F> {
    pub(crate) fields: Edited<'a, F>,
}

impl<'a, F: Fields> Shaped<'a, F> {
    pub(crate) fn of(fields: &'a F, by: Editing<'a>) -> Shaped<'a, F> {
        Shaped { fields: Edited { fields, by } }
    }
}

impl<F: Fields> Fields for Shaped<'_, F> {
    fn reason(&self) -> &[u8] {
        self.fields.reason()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        let cors = self.fields.by.asked.cors.as_deref();
        self.fields.each(|id, name, value| {
            if cors.is_none() || !is_of_cors(id, name) {
                f(id, name, value);
            }
        });
        if let Some(cors) = cors {
            cors.each(|name, value| f(FieldId::Other, name.as_bytes(), value));
        }
    }
}
