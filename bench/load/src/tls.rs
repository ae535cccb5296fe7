//! TLS as all subjects are measured with it: 1.3, X25519, AES-128-GCM, so that ciphers are not what is compared.

use crate::{Failed, Given};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

fn provider() -> Arc<CryptoProvider> {
    let mut it = aws_lc_rs::default_provider();
    it.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    it.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    Arc::new(it)
}

/// A client that trusts `ca=`, presents `chain=` and `key=` where given, and resumes if `resume=1`.
pub(crate) fn client(given: &Given) -> Result<Arc<ClientConfig>, Failed> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(given.text("ca")?)? {
        roots.add(cert?)?;
    }
    let start = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let start = start.with_root_certificates(roots);
    let mut config = match (given.maybe("chain"), given.maybe("key")) {
        (Some(chain), Some(key)) => {
            start.with_client_auth_cert(chain_of(chain)?, PrivateKeyDer::from_pem_file(key)?)?
        }
        _ => start.with_no_client_auth(),
    };
    if given.maybe("resume") != Some("1") {
        config.resumption = rustls::client::Resumption::disabled();
    }
    Ok(Arc::new(config))
}

pub(crate) fn chain_of(path: &str) -> Result<Vec<CertificateDer<'static>>, Failed> {
    Ok(CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?)
}

pub(crate) fn server(chain: &str, key: &str) -> Result<Arc<ServerConfig>, Failed> {
    let start = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config =
        start.with_no_client_auth().with_single_cert(chain_of(chain)?, PrivateKeyDer::from_pem_file(key)?)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// An open session with `to=` as `name=`.
pub(crate) fn open(given: &Given, config: &Arc<ClientConfig>) -> Result<Secured, Failed> {
    let sock = TcpStream::connect(given.text("to")?)?;
    sock.set_nodelay(true)?;
    let name = ServerName::try_from(given.text("name")?.to_owned())?;
    Ok(StreamOwned::new(ClientConnection::new(config.clone(), name)?, sock))
}

/// One GET on an open connection; gives the answer's bytes, of which there must be a 200 and `Content-Length`.
pub(crate) fn get(tls: &mut (impl Read + Write), request: &[u8], buf: &mut Vec<u8>) -> Result<(), Failed> {
    tls.write_all(request)?;
    tls.flush()?;
    buf.clear();
    let mut piece = [0u8; 16 * 1024];
    loop {
        let n = tls.read(&mut piece)?;
        if n == 0 {
            return Err("the connection ended early".into());
        }
        buf.extend_from_slice(piece.get(..n).unwrap_or_default());
        if let Some(whole) = whole(buf)? {
            return if buf.len() == whole { Ok(()) } else { Err("more bytes than were asked for".into()) };
        }
    }
}

/// How long the answer is, once its head is there and all of it came.
fn whole(buf: &[u8]) -> Result<Option<usize>, Failed> {
    let Some(end) = buf.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(buf.get(..end).unwrap_or_default()).to_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(format!("not a 200: {head}").into());
    }
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).ok_or("no content-length")?;
    let total = end + 4 + length.trim().parse::<usize>()?;
    Ok((buf.len() >= total).then_some(total))
}
