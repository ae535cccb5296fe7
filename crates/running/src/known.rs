//! Sessions of sites that ask clients who they are: a session that is taken up again stands for a certificate that nobody
//! looks at again. So it ends an hour after the handshake in which the client was verified, however often it was taken
//! up, and with the certificate in any case; after that comes a whole handshake.
//!
//! The end travels in front of what rustls keeps or seals. rustls does not say whose handshake a call belongs to, so
//! whoever drives one says so: [`remembering`]. Read next: `noted.rs`, `material.rs`.

use crate::noted;
use everyhop_record::facts::not_after_s;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ProducesTickets, StoresServerSessions};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::cell::Cell;
use std::sync::Arc;

/// How long what a client proved stands for it: an hour, while sessions of clients that nobody asked last as long as
/// ticket keys do.
const KNOWN_S: i64 = 3600;
/// The end in front of a session, in Unix time.
const END_BYTES: usize = 8;

thread_local! {
    static ENDS_S: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Runs `f`, part of a handshake with a client. `ends_s` is of that handshake alone, `None` at its beginning.
pub fn remembering<T>(ends_s: &mut Option<i64>, f: impl FnOnce() -> T) -> T {
    ENDS_S.set(*ends_s);
    let it = f();
    *ends_s = ENDS_S.take();
    it
}

fn secs(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Keeps sessions, or seals tickets, each with its end.
#[derive(Debug)]
pub(crate) struct Lasting<T>(pub(crate) T);

/// What the handshake on this thread gives the client to come back with.
fn with_end(session: &[u8]) -> Vec<u8> {
    let ends_s = ENDS_S.get().unwrap_or_else(|| secs(UnixTime::now()).saturating_add(KNOWN_S));
    [&ends_s.to_be_bytes(), session].concat()
}

/// The session, if it is not over; the handshake that takes it up gives no other end.
fn within_end(kept: Vec<u8>) -> Option<Vec<u8>> {
    let (end, session) = kept.split_first_chunk::<END_BYTES>()?;
    let ends_s = i64::from_be_bytes(*end);
    if secs(UnixTime::now()) >= ends_s {
        return None;
    }
    ENDS_S.set(Some(ends_s));
    Some(session.to_vec())
}

impl ProducesTickets for Lasting<Arc<dyn ProducesTickets>> {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(KNOWN_S).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(&with_end(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher).and_then(within_end)
    }
}

impl<T: StoresServerSessions> StoresServerSessions for Lasting<Arc<T>> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.put(key, with_end(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).and_then(within_end)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key).and_then(within_end)
    }

    fn can_cache(&self) -> bool {
        self.0.can_cache()
    }
}

/// Verifies clients, and notes until when a session may stand for it, or what was not believed.
#[derive(Debug)]
pub(crate) struct Noting {
    pub(crate) judge: Arc<dyn ClientCertVerifier>,
    pub(crate) roots: Arc<RootCertStore>,
}

impl ClientCertVerifier for Noting {
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = self.judge.verify_client_cert(leaf, issuers, now);
        let verified = noted::chain(judged, leaf, issuers, Some(&self.roots))?;
        ENDS_S.set(Some(not_after_s(leaf).min(secs(now).saturating_add(KNOWN_S))));
        Ok(verified)
    }

    fn offer_client_auth(&self) -> bool {
        self.judge.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.judge.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.judge.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted::signature(self.judge.verify_tls12_signature(message, leaf, signed), leaf)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted::signature(self.judge.verify_tls13_signature(message, leaf, signed), leaf)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_given_back_until_its_end_and_not_after() {
        let now = secs(UnixTime::now());
        for (ends_s, lives) in [(now + 60, true), (now, false), (now - 1, false), (i64::MIN, false)] {
            let mut mine = Some(ends_s);
            let kept = remembering(&mut mine, || with_end(b"session"));
            let mut others = None;
            let found = remembering(&mut others, || within_end(kept.clone()));
            assert_eq!(found.as_deref(), lives.then_some(&b"session"[..]));
            assert_eq!(others, lives.then_some(ends_s), "what it gives anew ends with it");
        }
        assert_eq!(within_end(b"short".to_vec()), None);
    }

    #[test]
    fn a_handshake_knows_nothing_of_the_end_that_another_one_noted() {
        let now = secs(UnixTime::now());
        let mut mine = Some(now - 1);
        remembering(&mut mine, || ());
        let mut others = None;
        let kept = remembering(&mut others, || with_end(b"session"));
        let end = i64::from_be_bytes(*kept.first_chunk().expect("an end"));
        assert!((now + KNOWN_S..=now + KNOWN_S + 5).contains(&end));
    }

    #[test]
    fn what_is_kept_or_sealed_for_a_client_is_given_back_as_it_was_and_only_until_its_end() {
        let now = secs(UnixTime::now());
        let kept = Lasting(rustls::server::ServerSessionMemoryCache::new(8));
        let sealed: Arc<dyn ProducesTickets> = rustls::crypto::aws_lc_rs::Ticketer::new().expect("randomness");
        let sealed = Lasting(sealed);
        assert!(kept.can_cache() && sealed.enabled());
        assert_eq!(i64::from(sealed.lifetime()), KNOWN_S, "what is sealed stands for no longer than it is believed");
        for (ends_s, lives) in [(now + 60, true), (now - 1, false)] {
            let given_back = lives.then_some(&b"session"[..]);
            let mut mine = Some(ends_s);
            let ticket = remembering(&mut mine, || {
                assert!(kept.put(b"key".to_vec(), b"session".to_vec()));
                sealed.encrypt(b"session").expect("a ticket")
            });
            assert_eq!(kept.get(b"key").as_deref(), given_back);
            assert_eq!(kept.take(b"key").as_deref(), given_back);
            assert_eq!(kept.take(b"key"), None, "taken once");
            assert_eq!(sealed.decrypt(&ticket).as_deref(), given_back);
        }
        assert_eq!(kept.get(b"another"), None);
        assert_eq!(sealed.decrypt(b"no ticket"), None);
    }

    /// Seals nothing.
    #[derive(Debug)]
    struct Off;

    impl ProducesTickets for Off {
        fn enabled(&self) -> bool {
            false
        }

        fn lifetime(&self) -> u32 {
            0
        }

        fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }

        fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }

    #[test]
    fn where_nothing_is_kept_or_sealed_that_is_said() {
        let none = Lasting(Arc::new(rustls::server::NoServerSessionStorage {}));
        assert!(!none.can_cache() && !none.put(b"key".to_vec(), b"session".to_vec()));
        let off: Lasting<Arc<dyn ProducesTickets>> = Lasting(Arc::new(Off));
        assert!(!off.enabled() && off.encrypt(b"session").is_none() && off.decrypt(b"ticket").is_none());
    }

    /// Says of everything the opposite of what rustls says by default.
    #[derive(Debug)]
    struct Odd(bool, Vec<DistinguishedName>);

    impl ClientCertVerifier for Odd {
        fn verify_client_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: UnixTime,
        ) -> Result<ClientCertVerified, Error> {
            if self.0 { Ok(ClientCertVerified::assertion()) } else { Err(Error::DecryptError) }
        }

        fn offer_client_auth(&self) -> bool {
            self.0
        }

        fn client_auth_mandatory(&self) -> bool {
            self.0
        }

        fn root_hint_subjects(&self) -> &[DistinguishedName] {
            &self.1
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::DecryptError)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED448]
        }
    }

    #[test]
    fn what_is_asked_of_clients_is_what_the_judge_behind_it_asks() {
        let names = vec![DistinguishedName::in_sequence(b"\x31\x00")];
        for believes in [true, false] {
            let it = Noting { judge: Arc::new(Odd(believes, names.clone())), roots: Arc::new(RootCertStore::empty()) };
            assert_eq!((it.offer_client_auth(), it.client_auth_mandatory()), (believes, believes));
            let hinted: Vec<&[u8]> = it.root_hint_subjects().iter().map(AsRef::as_ref).collect();
            assert_eq!(hinted, [AsRef::<[u8]>::as_ref(&names[0])]);
            assert_eq!(it.supported_verify_schemes(), [SignatureScheme::ED448]);
            let leaf = CertificateDer::from(&b"\x30"[..]);
            let mut ends_s = None;
            let judged = remembering(&mut ends_s, || it.verify_client_cert(&leaf, &[], UnixTime::now()));
            assert_eq!(judged.is_ok(), believes);
            assert_eq!(
                ends_s,
                believes.then_some(i64::MIN),
                "a certificate whose end cannot be read stands for nothing"
            );
        }
    }
}
