//! Tokens that somebody else issued: JWTs (RFC 7519) signed as RFC 7515 has it, and the public keys by which they are verified
//! (RFC 7517). Read strictly, as RFC 8725 advises: what two readers could read in two ways is refused, no field of a token
//! says by which key or by whose it is verified, and no key is a secret that both sides have. Signatures are aws-lc's.
//!
//! Pure: no clock, no socket, no file. It knows nobody. Read next: `form.rs` (what a token says), `keys.rs`, then `judge.rs`.

#![forbid(unsafe_code)]

mod algorithm;
mod claims;
mod form;
mod judge;
mod keys;
mod remembered;
mod strict;
#[cfg(test)]
mod vectors;

pub use algorithm::Algorithm;
pub use claims::{Claims, NoText, Wanted};
pub use form::{LONGEST, Token, read};
pub use judge::{Kind, Rules};
pub use keys::{KeySet, LeftOut, MOST_BYTES, NoSet, Why};
pub use remembered::Remembered;

/// Why a token does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum No {
    /// Longer than [`LONGEST`].
    TooLong,
    /// Not a JWS in its compact form around an object of claims, each said once.
    Malformed,
    /// It has an extension that must be understood (`crit`), and none is.
    Critical,
    /// It is of another type than the issuer's tokens.
    Type,
    /// Signed by an algorithm that its issuer does not use, or by none.
    Algorithm,
    /// No key of its issuer is the one that it names.
    UnknownKey,
    Signature,
    /// Nobody who is believed here says to have issued it.
    Issuer,
    Audience,
    /// It does not say until when it is valid.
    NoEnd,
    Expired,
    NotYet,
}
