//! PostgreSQL: packets without a type, a length and then a number that says what is asked for.

use crate::clear::asking::{Answer, Unwilling};
use crate::clear::talk::{Heard, Talk};

const PACKET: usize = 8;
pub(super) const SSL_REQUEST: [u8; PACKET] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_ENC_REQUEST: [u8; PACKET] = [0, 0, 0, 8, 4, 210, 22, 48];
/// The major version 3 of a StartupMessage, where the request stands in the others.
const STARTUP: [u8; 2] = [0, 3];

/// What a client reads that begins without TLS: an ErrorResponse.
const REFUSED: &[u8] = b"E\0\0\0\x49SFATAL\0VFATAL\0C28000\0Mthis port takes TLS only: sslmode=verify-full\0\0";

/// TLS at once is PostgreSQL's too, since 17; a length begins with a zero, and a record of TLS never does.
pub(super) fn hear(talk: &mut Talk, bytes: &[u8]) -> Heard {
    if bytes.first().is_some_and(|b| *b != 0) {
        return Heard::AtOnce;
    }
    let Some((asked, more)) = bytes.split_at_checked(PACKET) else { return Heard::NeedMore };
    let is_tls = asked == SSL_REQUEST;
    // Encryption by GSSAPI is not had here: a client goes on to ask for TLS, once.
    if !is_tls && (asked != GSS_ENC_REQUEST || talk.begun) {
        let is_startup = asked.get(4..6) == Some(&STARTUP);
        return Heard::Refused { says: if is_startup { REFUSED.to_vec() } else { Vec::new() } };
    }
    if !more.is_empty() {
        return Heard::Early;
    }
    if is_tls {
        return Heard::Begins { says: b"S".to_vec() };
    }
    talk.begun = true;
    Heard::Answer { consumed: PACKET, says: b"N".to_vec() }
}

/// A backend's answer to [`SSL_REQUEST`].
pub(super) fn answered(bytes: &[u8]) -> Answer {
    Answer::No(Unwilling::NoTls(match bytes {
        [] => return Answer::NeedMore,
        b"S" => return Answer::Begins,
        [b'N', ..] => "it answered the request for TLS with no",
        // Whoever stands in between could have added it to what the session says (CVE-2021-23222).
        [b'S', ..] => "it said more than yes to the request for TLS",
        _ => "it answered the request for TLS with neither yes nor no",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_tls_is_told_so_in_a_message_of_its_own_length() {
        let length = REFUSED.get(1..5).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        assert_eq!(length.map(usize::try_from), Some(Ok(REFUSED.len() - 1)));
    }
}
