//! Names and passwords as HTTP's Basic scheme has them (RFC 7617): a file of users in the form of htpasswd, with hashes by argon2id
//! and bcrypt alone, and what a request shows in Authorization. Read strictly: what somebody could guess the passwords of, and what
//! costs so much to verify that asking for it is an attack, is no hash here. argon2 is RustCrypto's, bcrypt is Keats's.
//!
//! Pure: no clock, no socket, no file, no thread. Verifying takes tens of milliseconds and megabytes, which is the caller's to
//! bound. It knows nobody. Read next: `users.rs` (the file), `hash.rs` (one hash), then `shown.rs`.

#![forbid(unsafe_code)]

mod hash;
mod shown;
mod users;

pub use hash::{Hash, Kind, NoHash, hashed};
pub use shown::{LONGEST, NotShown, Shown, shown};
pub use users::{MOST_BYTES, MOST_USERS, User, Users, Why, Wrong};
