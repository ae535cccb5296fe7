//! What is signed in a handshake, taken apart and put together again: of TLS 1.3 the hash of the transcript, below the words of
//! its side (RFC 8446 §4.4.3); of TLS 1.2 a server's key exchange below both random values (RFC 8422 §5.4), and a client's whole
//! transcript (RFC 5246 §7.4.8). Each is read to its end, and what can be read as one kind can be read as no other.

use std::borrow::Cow;

/// Which side of a handshake a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A site's.
    Server,
    /// An identity's, that is shown to backends.
    Client,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// The hash of the transcript, by SHA-256 or SHA-384.
    Tls13(Role, &'a [u8]),
    /// Both random values and the parameters of the exchange.
    KeyExchange(&'a [u8]),
    /// All messages so far.
    Transcript(&'a [u8]),
}

const SPACES: [u8; 64] = [b' '; 64];

fn words(role: Role) -> &'static [u8] {
    match role {
        Role::Server => b"TLS 1.3, server CertificateVerify\0",
        Role::Client => b"TLS 1.3, client CertificateVerify\0",
    }
}

impl<'a> Content<'a> {
    /// What rustls gives to be signed; nothing where it is no handshake of that side.
    pub fn of_message(role: Role, message: &'a [u8]) -> Option<Content<'a>> {
        let hash = message.strip_prefix(&SPACES).and_then(|rest| rest.strip_prefix(words(role)));
        let it = match (hash, role) {
            (Some(hash), _) => Content::Tls13(role, hash),
            (None, Role::Server) => Content::KeyExchange(message),
            (None, Role::Client) => Content::Transcript(message),
        };
        it.is_whole().then_some(it)
    }

    pub(crate) fn of_parts(kind: u8, parts: &'a [u8]) -> Option<Content<'a>> {
        let it = match kind {
            1 => Content::Tls13(Role::Server, parts),
            2 => Content::Tls13(Role::Client, parts),
            3 => Content::KeyExchange(parts),
            4 => Content::Transcript(parts),
            _ => return None,
        };
        it.is_whole().then_some(it)
    }

    pub(crate) fn parts(&self) -> (u8, &'a [u8]) {
        match self {
            Content::Tls13(Role::Server, hash) => (1, hash),
            Content::Tls13(Role::Client, hash) => (2, hash),
            Content::KeyExchange(parts) => (3, parts),
            Content::Transcript(messages) => (4, messages),
        }
    }

    /// Whose key signs it.
    pub fn role(&self) -> Role {
        match self {
            Content::Tls13(role, _) => *role,
            Content::KeyExchange(_) => Role::Server,
            Content::Transcript(_) => Role::Client,
        }
    }

    /// The bytes that the signature is of.
    pub fn signed(&self) -> Cow<'a, [u8]> {
        match self {
            Content::Tls13(role, hash) => Cow::Owned([&SPACES, words(*role), hash].concat()),
            Content::KeyExchange(parts) | Content::Transcript(parts) => Cow::Borrowed(parts),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Content::Tls13(_, hash) => matches!(hash.len(), 32 | 48),
            Content::KeyExchange(parts) => is_key_exchange(parts).is_some(),
            Content::Transcript(messages) => is_transcript(messages).is_some(),
        }
    }
}

const NAMED_CURVE: u8 = 3;
const RANDOM: usize = 32;

/// Two random values, and an ephemeral key of a group that TLS 1.2 knows, of that group's length. TLS 1.3 has a letter where this
/// has `named_curve`.
fn is_key_exchange(parts: &[u8]) -> Option<()> {
    let params = parts.get(2 * RANDOM..)?;
    let (head, point) = params.split_first_chunk::<4>()?;
    let [kind, high, low, len] = *head;
    let expected = match u16::from_be_bytes([high, low]) {
        23 => 65,  // secp256r1, uncompressed
        24 => 97,  // secp384r1
        25 => 133, // secp521r1
        29 => 32,  // x25519
        30 => 56,  // x448
        _ => return None,
    };
    (kind == NAMED_CURVE && point.len() == expected && usize::from(len) == expected).then_some(())
}

/// Messages of a handshake that came before a client's CertificateVerify (RFC 5246 §7.3), each whole, in their order.
const BEFORE_VERIFY: [(u8, bool); 9] = [
    (1, true),   // ClientHello
    (2, true),   // ServerHello
    (11, true),  // Certificate, the server's
    (22, false), // CertificateStatus
    (12, true),  // ServerKeyExchange: every suite here is ephemeral
    (13, true),  // CertificateRequest
    (14, true),  // ServerHelloDone
    (11, true),  // Certificate, ours
    (16, true),  // ClientKeyExchange
];

fn is_transcript(mut messages: &[u8]) -> Option<()> {
    for (kind, is_there) in BEFORE_VERIFY {
        let (head, rest) = match messages.split_first_chunk::<4>() {
            Some((head, rest)) if head[0] == kind => (head, rest),
            _ if !is_there => continue,
            _ => return None,
        };
        let [_, a, b, c] = *head;
        let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
        messages = rest.get(len..)?;
    }
    messages.is_empty().then_some(())
}
