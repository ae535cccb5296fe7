//! What an engine may have signed, and how it asks: handshakes of TLS, and nothing else. Whoever holds the keys builds what is
//! signed by itself from the parts that are told here, so that a taken engine has no way to have anything else signed: no
//! request for a certificate, no token, no other protocol's greeting. Knows no key, no socket and no clock.
//!
//! An ask is one message: its number, the key by the SHA-256 of its SubjectPublicKeyInfo, the scheme, the kind, the parts. Its
//! answer has the same number, and the signature or a word for why there is none. Read next: `content.rs`.

#![forbid(unsafe_code)]

mod content;

pub use content::{Content, Role};

/// A key, by the SHA-256 of its SubjectPublicKeyInfo in DER.
pub type KeyId = [u8; 32];

/// An ask or an answer is no longer: a transcript of TLS 1.2 with the longest chains that we take.
pub const LONGEST_BYTES: usize = 96 * 1024;

/// A question for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The engine's own count, by which a late answer is told from that of the next ask.
    pub number: u64,
    pub key: KeyId,
    /// `SignatureScheme` (RFC 8446 §4.2.3).
    pub scheme: u16,
    pub content: Content<'a>,
}

impl<'a> Ask<'a> {
    pub fn write(&self) -> Vec<u8> {
        let (kind, parts) = self.content.parts();
        [&self.number.to_be_bytes()[..], &self.key, &self.scheme.to_be_bytes(), &[kind], parts].concat()
    }

    /// Refuses whatever is no part of a handshake; gives the ask's number where that can be read.
    pub fn read(message: &'a [u8]) -> Result<Ask<'a>, (u64, No)> {
        let (number, rest) = message.split_first_chunk::<8>().ok_or((0, No::Malformed))?;
        let number = u64::from_be_bytes(*number);
        let malformed = (number, No::Malformed);
        if message.len() > LONGEST_BYTES {
            return Err(malformed);
        }
        let (key, rest) = rest.split_first_chunk::<32>().ok_or(malformed)?;
        let (scheme, rest) = rest.split_first_chunk::<2>().ok_or(malformed)?;
        let (kind, parts) = rest.split_first().ok_or(malformed)?;
        let content = Content::of_parts(*kind, parts).ok_or((number, No::Handshake))?;
        Ok(Ask { number, key: *key, scheme: u16::from_be_bytes(*scheme), content })
    }
}

/// Why there is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    /// No ask.
    Malformed,
    /// What is to be signed is no handshake.
    Handshake,
    /// The key is not held, or not for that side of a handshake.
    Key,
    /// The key does not sign by that scheme.
    Scheme,
    /// More than the key signs in a while.
    TooMany,
    /// The key is in a token, and that signs nothing now.
    Token,
    /// As that, and it may sign in a moment: worth another ask.
    Away,
}

impl No {
    pub const ALL: [No; 7] = [No::Malformed, No::Handshake, No::Key, No::Scheme, No::TooMany, No::Token, No::Away];

    pub fn word(self) -> &'static str {
        match self {
            No::Malformed => "malformed",
            No::Handshake => "no-handshake",
            No::Key => "no-key",
            No::Scheme => "no-scheme",
            No::TooMany => "too-many",
            No::Token => "no-token",
            No::Away => "token-away",
        }
    }

    fn code(self) -> u8 {
        match self {
            No::Malformed => 1,
            No::Handshake => 2,
            No::Key => 3,
            No::Scheme => 4,
            No::TooMany => 5,
            No::Token => 6,
            No::Away => 7,
        }
    }
}

/// What the holder of the keys says to an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub number: u64,
    pub signed: Result<Vec<u8>, No>,
}

impl Answer {
    pub fn write(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        match &self.signed {
            Ok(signature) => {
                out.push(0);
                out.extend_from_slice(signature);
            }
            Err(no) => out.push(no.code()),
        }
        out
    }

    /// Nothing where it is none.
    pub fn read(message: &[u8]) -> Option<Answer> {
        let (number, rest) = message.split_first_chunk::<8>()?;
        let (code, signature) = rest.split_first()?;
        let signed = match code {
            0 if !signature.is_empty() => Ok(signature.to_vec()),
            code => Err(*No::ALL.iter().find(|no| no.code() == *code && signature.is_empty())?),
        };
        Some(Answer { number: u64::from_be_bytes(*number), signed })
    }
}
