//! A try at a hop that failed, as it is told: which backend at which address, what was expected of it and what it showed,
//! by which alert or rule it ended, and how long it took. Made only where something failed. Every text of a peer's is cut
//! and escaped. It decides nothing. Read next: `certificate.rs`, then `line.rs`, which puts it into a line.

use crate::certificate::Shown;
use crate::facts::{IdentityUse, TlsFacts};
use crate::json::{bytes_field, field, socket_address, stamp, text};
use crate::line::HopFragment;
use crate::refusal::Refusal;
use everyhop_http1::write::number;
use std::net::SocketAddr;

/// Failed tries that one line tells of; more are counted and not told.
const TOLD: usize = 8;
const DETAIL_BYTES: usize = 160;

/// A try at a hop that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub at: String,
    /// `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    pub tls: &'static str,
    pub why: Refusal,
    pub identity: IdentityUse,
    /// The name that its certificate had to carry.
    pub expected: Option<String>,
    /// The certificate that was not believed.
    pub certificate: Option<Shown>,
    /// The alert that it sent.
    pub alert: Option<String>,
    /// The rule or limit that it broke, or what the system said.
    pub detail: Option<String>,
    pub duration_us: u64,
    /// When, in microseconds since 1970.
    pub ended_us: u64,
    /// The span that the backend was told, where it was told one.
    pub span: Option<[u8; 8]>,
}

impl Failure {
    /// Takes what rustls says of it: the alert is kept for itself.
    pub fn told_by(&mut self, error: &rustls::Error) {
        match error {
            rustls::Error::AlertReceived(alert) => self.alert = Some(snake(&format!("{alert:?}"))),
            other => self.detail = Some(words(other)),
        }
    }

    /// What we offered stands beside a handshake that came to nothing: one of them is what the backend has not.
    pub fn offered(&mut self, what: &str) {
        let said = self.detail.take().map(|d| d + "; ").unwrap_or_default();
        self.detail = Some(format!("{said}we offer {what}"));
    }

    /// It showed a certificate that is not the one it should have.
    pub fn is_impostor(&self) -> bool {
        matches!(
            self.why,
            Refusal::HopUntrusted
                | Refusal::HopNameMismatch
                | Refusal::HopExpired
                | Refusal::HopBadCertificate
                | Refusal::HopPinMismatch
                | Refusal::HopRevoked
                | Refusal::HopWrongUse
                | Refusal::HopWeakKey
                | Refusal::HopOldForm
        )
    }

    /// The hop of a line where no other was reached.
    pub fn fragment(&self) -> HopFragment {
        HopFragment::of(&self.at, self.address, self.tls, TlsFacts::default(), self.identity)
    }

    /// `micros`: when, since 1970; left out in a line, which has its own.
    pub fn write(&self, out: &mut Vec<u8>, micros: Option<u64>) {
        out.extend_from_slice(b"{\"at\":");
        text(out, self.at.as_bytes());
        if let Some(micros) = micros {
            out.extend_from_slice(b",\"time\":\"");
            stamp(out, micros);
            out.push(b'"');
        }
        address_field(out, self.address);
        field(out, "end", Some(self.why.slug()));
        field(out, "expected", self.expected.as_deref());
        out.extend_from_slice(b",\"certificate\":");
        match &self.certificate {
            Some(shown) => shown.write(out),
            None => out.extend_from_slice(b"null"),
        }
        field(out, "alert", self.alert.as_deref());
        bytes_field(out, "detail", self.detail.as_deref().map(str::as_bytes));
        out.extend_from_slice(b",\"duration_us\":");
        number(out, self.duration_us);
        out.push(b'}');
    }
}

/// What rustls says, cut.
pub fn words(error: &rustls::Error) -> String {
    let mut words = error.to_string();
    if let Some((at, _)) = words.char_indices().nth(DETAIL_BYTES) {
        words.truncate(at);
    }
    words
}

pub(crate) fn write_all(out: &mut Vec<u8>, failed: &[Failure]) {
    for (i, it) in failed.iter().take(TOLD).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        it.write(out, None);
    }
}

pub(crate) fn address_field(out: &mut Vec<u8>, address: Option<SocketAddr>) {
    match address {
        Some(it) => {
            out.extend_from_slice(b",\"address\":\"");
            socket_address(out, it);
            out.push(b'"');
        }
        None => out.extend_from_slice(b",\"address\":null"),
    }
}

/// `UnknownCA` is `unknown_ca`, as RFC 8446 §6 writes alerts; one without a name keeps its number.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = 'A';
    for c in name.chars() {
        if c.is_ascii_uppercase() && !before.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_their_rfc() {
        for (ours, theirs) in [
            ("UnknownCA", "unknown_ca"),
            ("CertificateRequired", "certificate_required"),
            ("HandshakeFailure", "handshake_failure"),
        ] {
            assert_eq!(snake(ours), theirs);
        }
    }
}
