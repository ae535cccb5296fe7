//! Keys that a token has, asked for by its PKCS#11 module: the URI that names one (RFC 7512), the module in this process, and
//! a key as rustls signs by it. What may be signed is judged before, by `everyhop_keyholder`. The module is code of
//! somebody else's: a process that loads one holds nothing else. Read next: `uri.rs`, `module.rs`, `key.rs`.

#![forbid(unsafe_code)]

mod der;
mod key;
mod module;
mod uri;
mod wrong;

pub use key::Key;
pub use module::{Module, Token};
pub use uri::{Selector, Unread, Uri};
pub use wrong::Wrong;
