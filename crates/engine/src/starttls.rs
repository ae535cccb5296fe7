//! A client's request for TLS in the words of its own protocol, before its hello: answered with a yes, since nothing is
//! served here without. Nothing that came in the clear gets into the session: whoever sends more than the request before it
//! has its answer is refused (the kind of CVE-2011-0411). Read next: `peek.rs`, which reads the hello behind it.

use crate::arrived::Arrived;
use everyhop_plan::StartTls;
use everyhop_record::refusal::Refusal;

/// A packet of PostgreSQL without a type: its length, then a number that says what it asks for.
const PACKET: usize = 8;
const SSL_REQUEST: [u8; PACKET] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_ENC_REQUEST: [u8; PACKET] = [0, 0, 0, 8, 4, 210, 22, 48];
/// The major version 3 of a StartupMessage, where the request stands in the others.
const STARTUP: [u8; 2] = [0, 3];

/// What a client of PostgreSQL reads that begins without TLS: an ErrorResponse.
const POSTGRES_REFUSED: &[u8] =
    b"E\0\0\0\x49SFATAL\0VFATAL\0C28000\0Mthis port takes TLS only: sslmode=verify-full\0\0";

/// Answers the request, if TLS does not begin at once.
pub(crate) async fn answer(arrived: &mut Arrived, words: StartTls) -> Result<(), Refusal> {
    match words {
        StartTls::Postgres => postgres(arrived).await,
    }
}

/// TLS at once is PostgreSQL's too, since 17; a length begins with a zero, and a record of TLS never does.
async fn postgres(arrived: &mut Arrived) -> Result<(), Refusal> {
    let mut declined = false;
    loop {
        while arrived.bytes.len() < PACKET && arrived.bytes.bytes().first().is_none_or(|b| *b == 0) {
            arrived.fill(Refusal::HelloIncomplete).await?;
        }
        let bytes = arrived.bytes.bytes();
        if bytes.first() != Some(&0) {
            return Ok(());
        }
        let asked = bytes.get(..PACKET).unwrap_or_default();
        let yes = match () {
            () if asked == SSL_REQUEST => true,
            // Encryption by GSSAPI is not had here: a client goes on to ask for TLS, once.
            () if asked == GSS_ENC_REQUEST && !declined => false,
            () => return Err(Refusal::TlsNotAsked),
        };
        if bytes.len() > PACKET {
            return Err(Refusal::EarlyBytes);
        }
        arrived.bytes.consume_keep(PACKET);
        let Some(sock) = &arrived.sock else { return Err(Refusal::HelloIncomplete) };
        // A byte into an empty socket: it goes at once, or nobody is there.
        if !matches!(sock.try_write(if yes { b"S" } else { b"N" }), Ok(1)) {
            return Err(Refusal::HelloIncomplete);
        }
        if yes {
            return Ok(());
        }
        declined = true;
    }
}

/// What a client is told that was refused for what it sent in the clear.
pub(crate) fn refusal(arrived: &Arrived) -> &'static [u8] {
    let is_startup = arrived.bytes.bytes().get(4..6) == Some(&STARTUP);
    match arrived.listening.starttls {
        Some(StartTls::Postgres) if is_startup => POSTGRES_REFUSED,
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_tls_is_told_so_in_a_message_of_its_own_length() {
        let length = POSTGRES_REFUSED.get(1..5).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        assert_eq!(length.map(usize::try_from), Some(Ok(POSTGRES_REFUSED.len() - 1)));
    }
}
