//! What must hold for every input of everything that reads bytes of a stranger: not only that nothing panics, but that a
//! verdict does not depend on where the bytes were cut, that what was accepted reads back as the same, and that a second,
//! naive reading of the same grammar (`oracle.rs`) agrees.
//!
//! Each target is a function that panics where a property does not hold. libFuzzer (`fuzz_targets/`) and the seeded run
//! (`tests/seeded.rs`) call the same ones. Read next: `http1.rs`, then `oracle.rs`.

mod canon;
mod check_response;
mod clear;
mod hello;
mod http1;
mod http2;
#[cfg(feature = "session")]
mod inspector;
mod key_uri;
pub mod mutate;
mod oracle;
mod password;
mod plan;
mod rate_limit_response;
#[cfg(feature = "session")]
mod session;
mod signing;
mod ticket;
mod token;

pub use canon::{forwarded, host, path, proxy, reply, trace};
pub use check_response::check_response;
pub use clear::{clear_asking, clear_talk};
pub use hello::{hello, server_hello};
pub use http1::{chunked, request, response};
pub use http2::{http2_block, http2_client, http2_frames, http2_server};
#[cfg(feature = "session")]
pub use inspector::inspector;
pub use key_uri::key_uri;
pub use password::{authorization, users};
pub use plan::plan;
pub use rate_limit_response::rate_limit_response;
#[cfg(feature = "session")]
pub use session::{backend_h1, backend_h2, client_h1, client_h2};
pub use signing::signing;
pub use ticket::ticket;
pub use token::{key_set, token};

pub type Target = fn(&[u8]);

/// Every target by its name, which is also its corpus' folder and its binary.
pub const TARGETS: &[(&str, Target)] = &[
    ("hello", hello),
    ("server_hello", server_hello),
    ("clear_talk", clear_talk),
    ("clear_asking", clear_asking),
    ("request", request),
    ("response", response),
    ("chunked", chunked),
    ("http2_frames", http2_frames),
    ("http2_block", http2_block),
    ("http2_server", http2_server),
    ("http2_client", http2_client),
    ("proxy", proxy),
    ("forwarded", forwarded),
    ("trace", trace),
    ("reply", reply),
    ("check_response", check_response),
    ("rate_limit_response", rate_limit_response),
    ("host", host),
    ("path", path),
    ("plan", plan),
    ("token", token),
    ("key_set", key_set),
    ("users", users),
    ("signing", signing),
    ("key_uri", key_uri),
    ("ticket", ticket),
    ("authorization", authorization),
    #[cfg(feature = "session")]
    ("inspector", inspector),
    #[cfg(feature = "session")]
    ("client_h1", client_h1),
    #[cfg(feature = "session")]
    ("client_h2", client_h2),
    #[cfg(feature = "session")]
    ("backend_h1", backend_h1),
    #[cfg(feature = "session")]
    ("backend_h2", backend_h2),
];

/// Prefixes at which an input is cut, in order: every one of its beginning, a sample of the rest.
fn cuts(len: usize) -> impl Iterator<Item = usize> {
    let all = len.min(96);
    let step = (len / 96).max(1);
    (0..all).chain((all..len).step_by(step))
}

/// Bytes as a person can read them, for the message of a property that does not hold.
fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
