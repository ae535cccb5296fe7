//! Who resets may have said why: that is what is told, whatever the runtime has seen by then.

use everyhop_transport::buf::Buf;
use everyhop_transport::side::{Wire, WireError};
use everyhop_transport::sock::Sock;
use everyhop_transport::tls::Session;
use std::error::Error;
use std::future::poll_fn;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// A fatal alert in a record of its own (RFC 8446 §6): unknown_ca.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 48];

/// A client's wire to a peer that wrote `words` and reset before the client wrote or looked.
async fn reset_after(words: &[u8]) -> Result<Wire, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sock = TcpStream::connect(listener.local_addr()?).await?;
    let (mut peer, _) = listener.accept()?;
    peer.write_all(words)?;
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO))?;
    drop(peer);
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let session = Session::client(Arc::new(config), "backend.example".try_into()?)?;
    Ok(Wire::secured(Sock::Tcp(sock), session, Buf::default()))
}

fn shaken(words: &[u8]) -> Result<Result<(), WireError>, Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut wire = reset_after(words).await?;
        Ok(poll_fn(|cx| wire.poll_handshake(cx)).await)
    })
}

#[test]
fn an_alert_before_a_reset_is_read_where_writing_fails() -> Result<(), Box<dyn Error>> {
    let why = shaken(&ALERT)?;
    let alert = rustls::AlertDescription::UnknownCA;
    assert!(matches!(&why, Err(WireError::Tls(rustls::Error::AlertReceived(a))) if *a == alert), "{why:?}");
    Ok(())
}

#[test]
fn a_reset_without_a_word_is_no_more_than_that() -> Result<(), Box<dyn Error>> {
    let why = shaken(&[])?;
    assert!(matches!(why, Err(WireError::Io)), "{why:?}");
    Ok(())
}
