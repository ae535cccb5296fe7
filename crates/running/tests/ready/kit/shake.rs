//! Handshakes in memory, between what the crate made ready and whoever a test puts at the other end.

use super::{Cert, Key, blob};
use everyhop_plan::{Cert as Named, ClientDemand, Protocol, Site, TlsPolicy};
use everyhop_running::material::{Blob, server};
use everyhop_running::resumption::Resumption;
use everyhop_running::secret::SecretPem;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme,
};
use std::sync::Arc;

pub const SUITES: [&str; 2] = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];

pub fn policy(versions: &[&str]) -> TlsPolicy {
    let texts = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect();
    TlsPolicy { versions: texts(versions), suites: texts(&SUITES), groups: texts(&["X25519", "secp256r1"]) }
}

/// Of a site whose certificates are `site/0` and so on.
pub fn site(certs: usize, clients: ClientDemand, versions: &[&str]) -> Site {
    let named = |i| Named { material: format!("site/{i}"), chain: String::new(), key: String::new() };
    Site {
        listeners: None,
        name: "edge".into(),
        hosts: vec!["a.test".into()],
        certs: (0..certs).map(named).collect(),
        clients,
        protocol: Protocol::Http,
        policy: policy(versions),
        alpn: vec!["h2".into(), "http/1.1".into()],
        hsts: None,
    }
}

/// The server side of [`site`], with what `blob` holds beside the certificates.
pub fn serving(site: &Site, blob: &Blob) -> Arc<ServerConfig> {
    let keep = Resumption::new(false).expect("randomness");
    server(site, blob, &keep, |_| i64::MAX).unwrap_or_else(|e| panic!("{}", e.0))
}

/// A server that shows `cert` and asks nobody for anything.
pub fn plain(cert: &Cert, versions: &[&str]) -> Arc<ServerConfig> {
    serving(&site(1, ClientDemand::Nothing {}, versions), &blob(&[("site/0", cert)], &[], &[]))
}

/// What rustls shows of a certificate with a key, whether they belong together or not.
pub fn certified(cert: &Cert, key: &Key) -> Arc<CertifiedKey> {
    let key = SecretPem::new(key.pem().as_bytes()).key().expect("a key");
    let key = provider::sign::any_supported_type(&key).expect("a key");
    Arc::new(CertifiedKey::new(vec![cert.der.clone()], key))
}

/// Takes whoever comes, if the signature is of a kind that it knows.
#[derive(Debug)]
pub struct Anyone(pub Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// A client that believes `root` and shows `identity`.
pub fn client_of(root: &Cert, identity: Option<(&Cert, &Key)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.der.clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    match identity {
        Some((cert, key)) => {
            let shown = rustls::sign::SingleCertAndKey::from((*certified(cert, key)).clone());
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    }
}

/// A client that takes whoever comes, by these signatures.
pub fn easy_client(schemes: &[SignatureScheme]) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(schemes.to_vec())))
        .with_no_client_auth()
}

pub type Ends = (ClientConnection, ServerConnection);

/// Until neither side has anything to say, or one refuses: then whose word that is.
pub fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<Ends, (Side, Error)> {
    let name = ServerName::try_from(name).expect("a name");
    let mut client = ClientConnection::new(client.clone(), name).expect("a client");
    let mut server = ServerConnection::new(server.clone()).expect("a server");
    while client.wants_write() || server.wants_write() {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).expect("memory");
        }
        read(&up, |mut bytes| server.read_tls(&mut bytes));
        server.process_new_packets().map_err(|e| (Side::Server, e))?;
        while server.wants_write() {
            server.write_tls(&mut down).expect("memory");
        }
        read(&down, |mut bytes| client.read_tls(&mut bytes));
        client.process_new_packets().map_err(|e| (Side::Client, e))?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn read(bytes: &[u8], mut into: impl FnMut(&[u8]) -> std::io::Result<usize>) {
    let mut left = bytes;
    while !left.is_empty() {
        left = &left[into(left).expect("memory")..];
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}
