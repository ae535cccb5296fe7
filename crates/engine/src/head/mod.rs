//! What is written to the backend in place of what the client sent. Read next: `request.rs`.

mod envoy;
pub(crate) mod identity;
pub(crate) mod question;
pub(crate) mod request;
pub(crate) mod shown;
pub(crate) mod target;
