//! `everyhop probe`: one handshake with a server, described. It records what verification says instead of acting on
//! it, so that a broken server can be looked at; nothing else in this project may do that.

use base64::Engine;
use everyhop_hello as names;
use everyhop_plan::{Proof, StaleCrl, TlsPolicy, Verify};
use everyhop_record::refusal::Refusal;
use everyhop_running::judged::Judge;
use everyhop_running::material::{Blob, crypto, judge_of};
use everyhop_running::noted::{Noted, noting};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    addr: String,
    sni: Option<String>,
    /// Roots to verify by, where there are no pins.
    roots_pem: String,
    pins: Vec<String>,
    /// The SPIFFE ID to expect, by the roots, instead of the name.
    spiffe: Option<String>,
    /// With pins or an ID: whether the certificate must carry the name as well.
    name_too: bool,
    /// A chain and its key, to show where they are asked for.
    identity: Option<(String, String)>,
    alpn: Vec<String>,
    timeout_s: f64,
    /// Whether it waits a moment for what comes after the handshake; who asks what is taken at all need not.
    lingers: bool,
    /// That of the hops.
    policy: TlsPolicy,
}

/// The engine's own judge, of whom nothing but a note is taken.
#[derive(Debug)]
struct Noting {
    judge: Judge,
    verdict: Mutex<Option<Verdict>>,
}

#[derive(Debug, Clone)]
struct Verdict {
    why: Refusal,
    detail: String,
}

impl Verdict {
    fn of(error: &Error, noted: &Noted) -> Verdict {
        let shown = noted.disbelieved.as_ref();
        let weakness = shown.and_then(|d| d.weakness.clone());
        let why = Refusal::of_backend(error, shown.map(|d| &*d.leaf), weakness.is_some());
        Verdict { why, detail: weakness.unwrap_or_else(|| error.to_string()) }
    }
}

impl Noting {
    fn note<T>(&self, judged: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let mut noted = Noted::default();
        noting(&mut noted, judged).inspect_err(|e| {
            let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
            verdict.get_or_insert_with(|| Verdict::of(e, &noted));
        })
    }
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let _ = self.note(|| self.judge.verify_server_cert(leaf, between, name, ocsp, now));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(|| self.judge.verify_tls12_signature(message, cert, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.note(|| self.judge.verify_tls13_signature(message, cert, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// Notes that the server asked who we are, and for whose word it would take.
#[derive(Debug)]
struct Presenting {
    key: Option<Arc<CertifiedKey>>,
    asked: Mutex<Option<usize>>,
}

impl ResolvesClientCert for Presenting {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(hints.len());
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn key(chain: &str, key: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
    let signer = provider.key_provider.load_private_key(key).map_err(|e| e.to_string())?;
    Ok(Arc::new(CertifiedKey::new(chain.map_err(|e| e.to_string())?, signer)))
}

/// The judge of what the server shows.
fn judged_by(ask: &Ask, name: &str, provider: &Arc<CryptoProvider>) -> Result<Judge, String> {
    const ROOTS: &str = "ca/probe";
    let mut blob = Blob::default();
    blob.cas.insert(ROOTS.to_owned(), ask.roots_pem.clone());
    let by = if let Some(id) = &ask.spiffe {
        let (ca, id) = (ROOTS.to_owned(), id.clone());
        Proof::Spiffe { ca, crl: None, stale_crl: StaleCrl::Refuse, id, name_too: ask.name_too }
    } else if ask.pins.is_empty() {
        Proof::Roots { ca: ROOTS.to_owned(), crl: None, stale_crl: StaleCrl::Refuse }
    } else {
        Proof::Pins { sha256: ask.pins.clone(), name_too: ask.name_too }
    };
    judge_of(&Verify { by, name: name.to_owned() }, provider, &blob).map_err(|e| e.0)
}

/// Connects, shakes hands, listens a moment for what a TLS 1.3 server says after it, and describes all of that.
pub(crate) fn probe(ask: &Ask) -> Result<String, String> {
    let (provider, versions) = crypto(&ask.policy).map_err(|e| e.0)?;
    let host = ask.addr.rsplit_once(':').map_or(ask.addr.as_str(), |(h, _)| h).trim_matches(['[', ']']);
    let asked_for = ask.sni.clone().unwrap_or_else(|| host.to_owned());
    let noting = Arc::new(Noting { judge: judged_by(ask, &asked_for, &provider)?, verdict: Mutex::default() });
    let ours = ask.identity.as_ref().map(|(chain, k)| key(chain, k, &provider)).transpose()?;
    let presenting = Arc::new(Presenting { key: ours, asked: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(noting.clone())
        .with_client_cert_resolver(presenting.clone());
    config.alpn_protocols = ask.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    let name = ServerName::try_from(asked_for).map_err(|e| e.to_string())?;
    let limit = Duration::try_from_secs_f64(ask.timeout_s).map_err(|e| e.to_string())?;
    let deadline = Instant::now() + limit;
    let at = ask.addr.to_socket_addrs().map_err(|e| format!("{}: {e}", ask.addr))?.next();
    let at = at.ok_or_else(|| format!("{} resolves to nothing", ask.addr))?;
    let mut sock = TcpStream::connect_timeout(&at, limit).map_err(|e| format!("{at}: {e}"))?;
    let mut conn = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    let shaken = shake(&mut conn, &mut sock, deadline);
    let ended = match shaken {
        Ok(()) if ask.lingers => linger(&mut conn, &mut sock, deadline),
        Ok(()) => None,
        Err(e) => Some(e),
    };
    let chain: Vec<String> = conn
        .peer_certificates()
        .into_iter()
        .flatten()
        .map(|c| base64::engine::general_purpose::STANDARD.encode(c))
        .collect();
    let asked = *presenting.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = noting.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let verified = match &verdict {
        Some(verdict) => verdict.why.sentence(),
        None if chain.is_empty() => "nothing was shown",
        None => "ok",
    };
    Ok(json!({
        "at": at.to_string(),
        "handshake": ended.as_ref().map_or("ok", |e| e.words(asked.is_some())),
        "handshake_why": ended.as_ref().map(|e| e.why(asked.is_some()).map(Refusal::slug)),
        "handshake_detail": ended.as_ref().map(|e| &e.detail),
        "version": conn.protocol_version().map(|v| names::version_name(u16::from(v))),
        "suite": conn.negotiated_cipher_suite().map(|s| names::suite_name(u16::from(s.suite()))),
        "group": conn.negotiated_key_exchange_group().map(|g| names::group_name(u16::from(g.name()))),
        "alpn": conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        "offered": offered(&ask.policy),
        "chain": chain,
        "verified": verified,
        "verified_why": verdict.as_ref().map(|v| v.why.slug()),
        "verified_detail": verdict.as_ref().map(|v| &v.detail),
        "asked_for_certificate": asked.is_some(),
        "acceptable_cas": asked,
        "presented": asked.is_some() && ask.identity.is_some(),
        "tickets": conn.tls13_tickets_received(),
    })
    .to_string())
}

fn offered(policy: &TlsPolicy) -> Value {
    json!({"versions": policy.versions, "suites": policy.suites, "groups": policy.groups})
}

/// How a handshake, or a session right after it, came to nothing.
struct Ended {
    tls: Option<Error>,
    detail: String,
}

impl Ended {
    /// Its reason, as the engine would tell it; `asked`: the server asked for a certificate.
    fn why(&self, asked: bool) -> Option<Refusal> {
        let tls = self.tls.as_ref()?;
        Some(if asked { Refusal::of_asking_backend(tls, None, false) } else { Refusal::of_backend(tls, None, false) })
    }

    fn words(&self, asked: bool) -> &str {
        match (&self.tls, self.why(asked)) {
            // Of the certificate is told beside it.
            (Some(Error::InvalidCertificate(_)), _) => "ended by us for the server's certificate",
            (_, Some(why)) => why.sentence(),
            (_, None) => &self.detail,
        }
    }
}

impl From<std::io::Error> for Ended {
    fn from(e: std::io::Error) -> Ended {
        let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        let detail = match e.kind() {
            ErrorKind::UnexpectedEof => "the server closed during the handshake".to_owned(),
            ErrorKind::ConnectionReset => "the server reset the connection".to_owned(),
            _ => e.to_string(),
        };
        Ended { tls, detail }
    }
}

impl From<Error> for Ended {
    fn from(e: Error) -> Ended {
        Ended { detail: e.to_string(), tls: Some(e) }
    }
}

fn shake(conn: &mut ClientConnection, sock: &mut TcpStream, deadline: Instant) -> Result<(), Ended> {
    while conn.is_handshaking() || conn.wants_write() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Ended { tls: None, detail: "the handshake took too long".into() });
        }
        sock.set_read_timeout(Some(left))?;
        conn.complete_io(sock)?;
    }
    Ok(())
}

/// A TLS 1.3 server that refuses our certificate says so only after the handshake.
fn linger(conn: &mut ClientConnection, sock: &mut TcpStream, deadline: Instant) -> Option<Ended> {
    let moment = Duration::from_millis(300).min(deadline.saturating_duration_since(Instant::now()));
    sock.set_read_timeout(Some(moment.max(Duration::from_millis(1)))).ok()?;
    loop {
        match conn.read_tls(sock) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(e) => return Some(e.into()),
        }
        if let Err(e) = conn.process_new_packets() {
            return Some(e.into());
        }
        let mut waste = [0u8; 1024];
        while matches!(conn.reader().read(&mut waste), Ok(n) if n > 0) {}
    }
}
