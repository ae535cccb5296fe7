//! What is told of a peer: the names and the key of its certificate, until when it is one, and no more names than fit.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use everyhop_record::facts::{IdentityUse, Peer, TlsFacts, not_after_s};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, ServerConnection, SignatureScheme,
};
use std::sync::Arc;

/// Of `A.Test` and `spiffe://Test/One`, until 2031-01-02 03:04:05 UTC; its key was thrown away.
const LEAF: &[u8] = include_bytes!("leaf.der");
const UNTIL: i64 = 1_925_089_445;
const KEY: &str = "141988c95fbd4ea1597675953c6ef0a76510e4b2d96899ecbeaeeacf61521254";

#[test]
fn a_certificate_is_over_after_its_last_second_and_what_is_none_has_been_over_forever() {
    assert_eq!(not_after_s(&CertificateDer::from(LEAF)), UNTIL);
    for broken in [&b""[..], b"\x30", LEAF.get(..LEAF.len() - 1).unwrap_or_default()] {
        assert_eq!(not_after_s(&CertificateDer::from(broken)), i64::MIN);
    }
}

#[test]
fn a_peer_is_told_by_the_names_and_the_key_that_its_certificate_proves() {
    let peer = Peer::of(&CertificateDer::from(LEAF)).expect("a certificate");
    assert_eq!(peer.names(), ["a.test", "spiffe://Test/One"]);
    let itself = format!("sha256:{}", peer.sha256());
    assert_eq!(peer.sha256().len(), 64);
    assert_eq!(peer.known_by(), [itself.as_str(), "a.test", "spiffe://Test/One"], "all by which it may be allowed");
    assert_eq!(peer.key_sha256, KEY);
    assert_eq!(peer.not_after_s, UNTIL);
    assert_eq!(Peer::of(&CertificateDer::from(&b"\x30"[..])), None);
}

fn written(peer: Option<Peer>, resumed: bool) -> serde_json::Value {
    let facts = TlsFacts {
        version: Some("1.3"),
        suite: Some("s"),
        group: None,
        resumed,
        peer: peer.map(Box::new),
        ..TlsFacts::default()
    };
    let mut out = b"{\"hop\":1".to_vec();
    facts.write(&mut out);
    out.push(b'}');
    serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
}

#[test]
fn what_was_agreed_is_written_with_its_version_and_whether_it_was_resumed() {
    let facts = written(None, false);
    let expected =
        serde_json::json!({"hop": 1, "version": "1.3", "suite": "s", "group": null, "resumed": false, "peer": null});
    assert_eq!(facts, expected);
    assert_eq!(written(None, true)["resumed"], true);
}

#[test]
fn of_a_peers_names_the_first_sixteen_are_written_and_that_there_are_more() {
    for count in [0, 1, 2, 16, 17, 3000] {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let peer = Peer::new(names.clone(), "AB", "k".into(), 0);
        let mut shown: Vec<&str> = names.iter().map(String::as_str).take(16).collect();
        shown.extend((count > 16).then_some("..."));
        assert_eq!(
            written(Some(peer), false)["peer"],
            serde_json::json!({"names": shown, "sha256": "ab", "key_sha256": "k"}),
            "{count}"
        );
    }
}

#[test]
fn each_way_in_which_our_identity_was_used_has_a_word_of_its_own() {
    use IdentityUse::{Demanded, NotDemanded, NotPresented, Refused, Unknown};
    let words = [Demanded, NotDemanded, NotPresented, Refused, Unknown].map(IdentityUse::name);
    assert_eq!(words, ["demanded", "not_demanded", "not_presented", "refused", "unknown"]);
}

/// Takes any key: whose it is, is not what is asked here.
#[derive(Debug)]
struct AnyKey(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyKey {
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
        Err(Error::DecryptError)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Until neither side has anything to say.
fn talk(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.wants_write() || server.wants_write() {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut up).expect("memory");
        }
        server.read_tls(&mut &up[..]).expect("memory");
        server.process_new_packets().expect("TLS");
        while server.wants_write() {
            server.write_tls(&mut down).expect("memory");
        }
        client.read_tls(&mut &down[..]).expect("memory");
        client.process_new_packets().expect("TLS");
    }
}

#[test]
fn what_a_handshake_agreed_on_is_told_alike_on_both_sides_and_that_it_was_taken_up_again() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("a key");
    let key = PrivateKeyDer::Pkcs8(key.as_ref().to_vec().into());
    let key = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&key).expect("a key");
    let shown = CertificateDer::from(key.public_key().expect("its public half").as_ref().to_vec());
    let shown = AlwaysResolvesServerRawPublicKeys::new(Arc::new(CertifiedKey::new(vec![shown], key)));
    let mut ours = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    ours.alpn_protocols = vec![b"h2".to_vec()];
    let mut theirs = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(provider)))
        .with_no_client_auth();
    theirs.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
    for resumed in [false, true] {
        let name = ServerName::try_from("a.test").expect("a name");
        let mut client = ClientConnection::new(theirs.clone(), name).expect("a client");
        let mut server = ServerConnection::new(ours.clone()).expect("a server");
        assert_eq!(TlsFacts::of(&client).version, None, "nothing is agreed on yet");
        talk(&mut client, &mut server);
        for it in [TlsFacts::of(&client), TlsFacts::of(&server)] {
            let agreed = (it.version, it.suite, it.group, it.alpn.as_deref(), it.resumed);
            let suite = Some("TLS_AES_256_GCM_SHA384");
            assert_eq!(agreed, (Some("1.3"), suite, Some("X25519MLKEM768"), Some("h2"), resumed));
            assert_eq!(it.peer, None, "a bare key is no certificate");
        }
    }
}
