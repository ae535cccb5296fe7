//! What a route changes in a head: the fields that pass are those of the message without what is removed or set anew, then
//! what is set and added, each value put together for this request. Read next:
//! `../client/known.rs`, who knows the values.

use crate::exchange::asked::Asked;
use crate::exchange::words::Fields;
use everyhop_decide::Headers;
use everyhop_http1::{FieldId, field_id, is_twin};
use everyhop_plan::{Edit, Edits, Piece, Variable};
use everyhop_running::running::{Shape, Sticks};
use std::cell::Cell;

/// Of a route that changes nothing.
pub(crate) static NO_EDITS: Edits = Edits { remove: Vec::new(), set: Vec::new(), add: Vec::new() };

/// Whoever knows what is asked of the client's connection; what is of the request alone is [`Asked`]'s.
pub(crate) trait Knows {
    fn tell(&self, of: Variable, asked: &Asked, into: &mut Vec<u8>);
}

/// What a route changes, and where its values come from.
#[derive(Clone, Copy)]
pub(crate) struct Editing<'a> {
    pub(crate) edits: &'a Edits,
    pub(crate) asked: &'a Asked,
    pub(crate) knows: &'a dyn Knows,
}

/// What a route makes of an answer, and of what.
#[derive(Clone, Copy)]
pub(crate) struct Shaping<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) asked: &'a Asked,
    pub(crate) knows: &'a dyn Knows,
    /// Where its client comes back to, where its route says that; of the backend that answers.
    pub(crate) sticks: Option<Sticks<'a>>,
}

/// A head's fields as they are when they were edited.
pub(crate) struct Edited<'a, F> {
    pub(crate) fields: F,
    pub(crate) by: Editing<'a>,
}

impl<F: Fields> Fields for Edited<'_, F> {
    fn has_secrets(&self) -> bool {
        self.fields.has_secrets()
    }

    fn reason(&self) -> &[u8] {
        self.fields.reason()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        let Edits { remove, set, add } = self.by.edits;
        let is = |name: &[u8], gone: &str| gone.as_bytes().eq_ignore_ascii_case(name);
        self.fields.each(|id, name, value| {
            if !remove.iter().any(|it| is(name, it)) && !set.iter().any(|it| is_twin(name, it.name.as_bytes())) {
                f(id, name, value);
            }
        });
        for Edit { name, value } in set.iter().chain(add) {
            let mut put = |value: &[u8]| f(field_id(name.as_bytes()), name.as_bytes(), value);
            match value.as_slice() {
                [Piece::Text { text }] => put(text.as_bytes()),
                pieces => composed(pieces, self.by.asked, self.by.knows, put),
            }
        }
    }
}

/// Routes are chosen by what the client sent.
impl<F: Headers> Headers for Edited<'_, &F> {
    fn all_equal(&self, name: &str, value: &str) -> bool {
        self.fields.all_equal(name, value)
    }

    fn cookie_equals(&self, name: &str, value: &str) -> bool {
        self.fields.cookie_equals(name, value)
    }

    fn each_value(&self, name: &str, f: &mut dyn FnMut(&[u8])) {
        self.fields.each_value(name, f);
    }
}

thread_local! {
    static VALUE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands on a value that is put together for one request; one that comes to nothing is not there.
pub(crate) fn composed(pieces: &[Piece], asked: &Asked, knows: &dyn Knows, put: impl FnOnce(&[u8])) {
    let mut value = VALUE.take();
    value.clear();
    for piece in pieces {
        match piece {
            Piece::Text { text } => value.extend_from_slice(text.as_bytes()),
            Piece::Of { of } => knows.tell(*of, asked, &mut value),
            Piece::Answer { name } => {
                if let Some(verdict) = asked.verdict() {
                    verdict.tell(name, &mut value);
                }
            }
            Piece::User {} => {
                value.extend_from_slice(asked.user.as_ref().map_or("", |it| &it.name).as_bytes());
            }
            Piece::Claim { path } => {
                let token = asked.token.as_ref();
                value.extend_from_slice(token.map_or("".into(), |it| it.told(path)).as_bytes());
            }
        }
    }
    // A name in a certificate may hold what no field can (RFC 9110 §5.5); nothing of it may end one.
    value.retain(|b| *b == b'\t' || !b.is_ascii_control());
    let told = value.trim_ascii();
    if !told.is_empty() {
        put(told);
    }
    VALUE.set(value);
}
