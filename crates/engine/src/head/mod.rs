//! What is written to the backend in place of what the client sent. Read next: `request.rs`.

pub(crate) mod envoy;
pub(crate) mod identity;
pub(crate) mod question;
pub(crate) mod request;
pub(crate) mod target;
