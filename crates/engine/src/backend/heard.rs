//! What whoever decides about requests has said, in whichever words it was asked. Read next: `ask.rs`, by HTTP/1.1, and `ask_call.rs`, by
//! gRPC.

use crate::backend::up::Up;
use everyhop_transport::buf::Buf;

/// What is read of an answer's body: a page that says no, or who may sign in where.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;
/// Interim answers before one.
pub(super) const INTERIM: u32 = 16;

/// An answer.
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Buf,
    /// Its body was read to the end.
    pub(crate) is_whole: bool,
    /// Why it is neither a yes nor a no, where its status does not tell.
    pub(crate) unfit: Option<String>,
    /// The connection, where it may be asked the next question.
    pub(crate) up: Option<Up>,
}

impl Heard {
    /// The first of that name, which is written in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}
