//! `everyhop probe`: one handshake with a server, described. It records what verification says instead of acting on
//! it, so that a broken server can be looked at; nothing else in this project may do that.

use base64::Engine;
use everyhop_hello as names;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::json;
use std::io::{ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Ask {
    pub(crate) addr: String,
    pub(crate) sni: Option<String>,
    pub(crate) roots_pem: Option<String>,
    pub(crate) identity: Option<(String, String)>,
    pub(crate) alpn: Vec<String>,
    pub(crate) timeout_s: f64,
}

#[derive(Debug)]
struct Noting {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    verdict: Mutex<Option<String>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = match &self.inner {
            None => "not checked: no roots given".to_owned(),
            Some(inner) => match inner.verify_server_cert(leaf, issuers, name, ocsp, now) {
                Ok(_) => "ok".to_owned(),
                Err(e) => e.to_string(),
            },
        };
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
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

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(cert.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    }
    Ok(store)
}

fn key(chain: &str, key: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
    let signer = provider.key_provider.load_private_key(key).map_err(|e| e.to_string())?;
    Ok(Arc::new(CertifiedKey::new(chain.map_err(|e| e.to_string())?, signer)))
}

/// Connects, shakes hands, listens a moment for what a TLS 1.3 server says after it, and describes all of that.
pub(crate) fn probe(ask: &Ask) -> Result<String, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner = match &ask.roots_pem {
        None => None,
        Some(pem) => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(pem)?), provider.clone())
                .build()
                .map_err(|e| e.to_string())?,
        ),
    };
    let noting = Arc::new(Noting { inner, provider: provider.clone(), verdict: Mutex::default() });
    let ours = ask.identity.as_ref().map(|(chain, k)| key(chain, k, &provider)).transpose()?;
    let presenting = Arc::new(Presenting { key: ours, asked: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(noting.clone())
        .with_client_cert_resolver(presenting.clone());
    config.alpn_protocols = ask.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    config.enable_sni = ask.sni.is_some();
    let host = ask.addr.rsplit_once(':').map_or(ask.addr.as_str(), |(h, _)| h).trim_matches(['[', ']']);
    let name = ServerName::try_from(ask.sni.clone().unwrap_or_else(|| host.to_owned())).map_err(|e| e.to_string())?;
    let limit = Duration::try_from_secs_f64(ask.timeout_s).map_err(|e| e.to_string())?;
    let deadline = Instant::now() + limit;
    let at = ask.addr.to_socket_addrs().map_err(|e| format!("{}: {e}", ask.addr))?.next();
    let at = at.ok_or_else(|| format!("{} resolves to nothing", ask.addr))?;
    let mut sock = TcpStream::connect_timeout(&at, limit).map_err(|e| format!("{at}: {e}"))?;
    let mut conn = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
    let shaken = shake(&mut conn, &mut sock, deadline);
    let after = if shaken.is_ok() { linger(&mut conn, &mut sock, deadline) } else { None };
    let chain: Vec<String> = conn
        .peer_certificates()
        .into_iter()
        .flatten()
        .map(|c| base64::engine::general_purpose::STANDARD.encode(c))
        .collect();
    let asked = *presenting.asked.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = noting.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(json!({
        "at": at.to_string(),
        "handshake": shaken.err().or(after).unwrap_or_else(|| "ok".to_owned()),
        "version": conn.protocol_version().map(|v| names::version_name(u16::from(v))),
        "suite": conn.negotiated_cipher_suite().map(|s| names::suite_name(u16::from(s.suite()))),
        "group": conn.negotiated_key_exchange_group().map(|g| names::group_name(u16::from(g.name()))),
        "alpn": conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
        "chain": chain,
        "verified": verdict,
        "asked_for_certificate": asked.is_some(),
        "acceptable_cas": asked,
        "presented": asked.is_some() && ask.identity.is_some(),
        "tickets": conn.tls13_tickets_received(),
    })
    .to_string())
}

fn shake(conn: &mut ClientConnection, sock: &mut TcpStream, deadline: Instant) -> Result<(), String> {
    while conn.is_handshaking() || conn.wants_write() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the handshake took too long".into());
        }
        sock.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        conn.complete_io(sock).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A TLS 1.3 server that refuses our certificate says so only after the handshake.
fn linger(conn: &mut ClientConnection, sock: &mut TcpStream, deadline: Instant) -> Option<String> {
    let moment = Duration::from_millis(300).min(deadline.saturating_duration_since(Instant::now()));
    sock.set_read_timeout(Some(moment.max(Duration::from_millis(1)))).ok()?;
    loop {
        match conn.read_tls(sock) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(e) => return Some(e.to_string()),
        }
        if let Err(e) = conn.process_new_packets() {
            return Some(e.to_string());
        }
        let mut waste = [0u8; 1024];
        while matches!(conn.reader().read(&mut waste), Ok(n) if n > 0) {}
    }
}
