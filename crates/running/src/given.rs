//! An answer of the edge's own, made ready: its bytes are there, once for all who are told them.

use crate::material::{Blob, Unusable};
use bytes::Bytes;
use everyhop_plan::{Content, Edit, Given, Piece};

pub struct GivenRun {
    pub status: u16,
    /// The value of Location.
    pub location: Option<Vec<Piece>>,
    pub fields: Vec<Edit>,
    pub body: Bytes,
}

impl GivenRun {
    pub(crate) fn of(it: &Given, blob: &Blob) -> Result<GivenRun, Unusable> {
        let body = match &it.body {
            Content::Nothing {} => Bytes::new(),
            Content::Words { text } => Bytes::copy_from_slice(text.as_bytes()),
            Content::Page { page } => blob.page(page)?,
        };
        Ok(GivenRun { status: it.status, location: it.location.clone(), fields: it.fields.clone(), body })
    }
}
