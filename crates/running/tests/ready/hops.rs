//! What a hop says and shows to a backend, and what its sessions stand for when they are taken up again.

use crate::kit::shake::{Ends, Side, certified, plain, policy, serving, shake, site};
use crate::kit::{Cert, Key, Says, UNTIL_S, blob};
use everyhop_plan::{ClientDemand, Proof, StaleCrl, TlsPolicy, UpstreamProtocol, Verify};
use everyhop_record::facts::TlsFacts;
use everyhop_running::backend::Secured;
use everyhop_running::material::{Blob, client};
use everyhop_running::noted::{Noted, noting};
use everyhop_running::proven::{Memory, Proven};
use rustls::client::ClientSessionStore;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, HandshakeKind, RootCertStore,
    ServerConfig, SignatureScheme,
};
use std::sync::Arc;

const ALL: [&[&str]; 2] = [&["1.2"], &["1.3"]];

fn now_s() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).expect("a time")
}

/// A backend's root with the backend, and ours with what we show.
struct Parties {
    root: Cert,
    backend: Cert,
    ours: Cert,
    identity: Cert,
}

impl Parties {
    fn new() -> Parties {
        Parties::showing(Says::leaf("edge.test"))
    }

    fn showing(identity: Says) -> Parties {
        let root = Says::authority("Root").by(None);
        let backend = Says::leaf("b.test").by(Some(&root));
        let ours = Says::authority("Ours").by(None);
        let identity = identity.by(Some(&ours));
        Parties { root, backend, ours, identity }
    }

    fn blob(&self) -> Blob {
        blob(&[("identity/edge", &self.identity)], &[("ca/one", self.root.pem())], &[])
    }

    fn config(&self, present: Option<&str>, policy: &TlsPolicy, protocol: UpstreamProtocol) -> ClientConfig {
        client(&verify(), present, policy, protocol, &self.blob()).unwrap_or_else(|e| panic!("{}", e.0))
    }

    fn secured(&self, policy: &TlsPolicy, lists_end_s: i64) -> Secured {
        let config = self.config(Some("identity/edge"), policy, UpstreamProtocol::Http1);
        Secured::new(config, ServerName::try_from("b.test").expect("a name"), true, false, policy, lists_end_s)
    }

    /// A backend that asks for our certificate, if `clients` says so.
    fn backend(&self, clients: ClientDemand, versions: &[&str]) -> Arc<ServerConfig> {
        let material = blob(&[("site/0", &self.backend)], &[("ca/clients", self.ours.pem())], &[]);
        serving(&site(1, clients, versions), &material)
    }

    fn asking(&self, versions: &[&str]) -> Arc<ServerConfig> {
        let (ca, crl, stale_crl) = ("ca/clients".into(), None, StaleCrl::Refuse);
        self.backend(ClientDemand::Ask { ca, crl, stale_crl }, versions)
    }
}

fn verify() -> Verify {
    let by = Proof::Roots { ca: "ca/one".into(), crl: None, stale_crl: StaleCrl::Refuse };
    Verify { by, name: "b.test".into() }
}

fn both() -> TlsPolicy {
    policy(&["1.2", "1.3"])
}

/// Whether the backend asked for our certificate, and whether it saw one.
fn asked_and_shown(config: ClientConfig, backend: &Arc<ServerConfig>) -> (bool, bool) {
    let mut noted = Noted::default();
    let done = noting(&mut noted, || shake(&Arc::new(config), backend, "b.test"));
    let (_, backend) = done.map_err(|(_, e)| e).expect("a handshake");
    (noted.demanded, backend.peer_certificates().is_some())
}

#[test]
fn we_show_our_identity_to_a_backend_that_asks_and_note_that_it_did_also_where_we_have_none() {
    let it = Parties::new();
    for versions in ALL {
        for (present, shown) in [(Some("identity/edge"), true), (None, false)] {
            let config = it.config(present, &both(), UpstreamProtocol::Http1);
            assert_eq!(asked_and_shown(config.clone(), &it.asking(versions)), (true, shown));
            let silent = it.backend(ClientDemand::Nothing {}, versions);
            assert_eq!(asked_and_shown(config, &silent), (false, false));
        }
    }
}

/// Takes the signatures of clients that it names, and no others.
#[derive(Debug)]
struct Only(Arc<dyn ClientCertVerifier>, SignatureScheme);

impl ClientCertVerifier for Only {
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify_client_cert(leaf, between, now)
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![self.1]
    }
}

#[test]
fn an_identity_that_the_backend_cannot_verify_is_not_shown() {
    for (ed25519, scheme) in [(false, SignatureScheme::ECDSA_NISTP256_SHA256), (true, SignatureScheme::ED25519)] {
        let it = Parties::showing(Says { ed25519, ..Says::leaf("edge.test") });
        for (takes, shown) in [(scheme, true), (SignatureScheme::RSA_PSS_SHA256, false)] {
            let mut roots = RootCertStore::empty();
            roots.add(it.ours.der.clone()).expect("a root");
            let crypto = Arc::new(provider::default_provider());
            let judge = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto.clone()).build();
            let backend = ServerConfig::builder_with_provider(crypto)
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_client_cert_verifier(Arc::new(Only(judge.expect("a judge"), takes)))
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(
                    (*certified(&it.backend, &it.backend.key)).clone(),
                )));
            let config = it.config(Some("identity/edge"), &both(), UpstreamProtocol::Http1);
            assert_eq!(asked_and_shown(config, &Arc::new(backend)), (true, shown));
        }
    }
}

#[test]
fn a_backend_that_does_not_hold_the_key_of_its_certificate_is_not_believed() {
    let it = Parties::new();
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let thief = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from((*certified(&it.backend, &Key::new())).clone())));
        let config = Arc::new(it.config(None, &both(), UpstreamProtocol::Http1));
        let mut noted = Noted::default();
        let done = noting(&mut noted, || shake(&config, &Arc::new(thief), "b.test"));
        assert_eq!(done.expect_err("a refusal"), (Side::Client, CertificateError::BadSignature.into()));
        let disbelieved = noted.disbelieved.expect("noted");
        assert_eq!((disbelieved.leaf.as_slice(), disbelieved.weakness), (&it.backend.der[..], None));
    }
}

#[test]
fn a_hop_offers_the_one_protocol_that_it_speaks() {
    let it = Parties::new();
    for (protocol, word) in [(UpstreamProtocol::Http1, "http/1.1"), (UpstreamProtocol::Http2, "h2")] {
        let config = Arc::new(it.config(None, &both(), protocol));
        let (client, _) = shake(&config, &plain(&it.backend, &["1.3"]), "b.test").map_err(|(_, e)| e).expect("TLS");
        assert_eq!(client.alpn_protocol(), Some(word.as_bytes()));
    }
}

#[test]
fn a_backend_that_may_choose_is_offered_both_protocols_unless_it_is_for_one_alone() {
    let it = Parties::new();
    let config = it.config(None, &both(), UpstreamProtocol::Auto);
    let name = || ServerName::try_from("b.test").expect("a name");
    let hop = Secured::new(config, name(), false, false, &both(), i64::MAX);
    for (alone, speaks, chosen) in [
        (None, &["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (None, &["http/1.1", "h2"], Some(b"http/1.1")),
        (None, &["http/1.1"], Some(b"http/1.1")),
        (None, &[], None),
        (Some(&b"http/1.1"[..]), &["h2", "http/1.1"], Some(b"http/1.1")),
    ] {
        let mut backend = (*plain(&it.backend, &["1.3"])).clone();
        backend.alpn_protocols = speaks.iter().map(|p| p.as_bytes().to_vec()).collect();
        let (client, _) =
            shake(&hop.begin(alone, false).0, &Arc::new(backend), "b.test").map_err(|(_, e)| e).expect("TLS");
        assert_eq!(client.alpn_protocol(), chosen, "{alone:?} {speaks:?}");
    }
}

#[test]
fn a_hop_without_its_identity_or_its_roots_is_not_made() {
    let it = Parties::new();
    let none = Blob::default();
    for (present, blob, why) in [
        (Some("identity/other"), &it.blob(), "material \"identity/other\" was not sent"),
        (None, &none, "material \"ca/one\" was not sent"),
    ] {
        let made = client(&verify(), present, &both(), UpstreamProtocol::Http1, blob);
        assert_eq!(made.expect_err("a refusal").0, why);
    }
    let mut by_lists = verify();
    by_lists.by = Proof::Roots { ca: "ca/one".into(), crl: Some("crl/one".into()), stale_crl: StaleCrl::Refuse };
    let made = client(&by_lists, None, &both(), UpstreamProtocol::Http1, &it.blob());
    assert_eq!(made.expect_err("a refusal").0, "material \"crl/one\" was not sent");
}

/// A handshake of a hop, which stands for what it proved unless `lost`.
fn opened(hop: &Secured, backend: &Arc<ServerConfig>, lost: bool) -> (Ends, Proven, Arc<Memory>) {
    let (config, memory) = hop.begin(None, false);
    let mut noted = Noted::default();
    let ends = noting(&mut noted, || shake(&config, backend, "b.test")).map_err(|(_, e)| e).expect("a handshake");
    let proven = hop.proven(&TlsFacts::of(&ends.0), noted.demanded, &memory);
    if !lost {
        memory.stands_for(proven);
    }
    (ends, proven, memory)
}

fn resumed(it: &(Ends, Proven, Arc<Memory>)) -> bool {
    it.0.0.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn a_session_that_is_taken_up_again_stands_for_what_its_whole_handshake_proved() {
    let it = Parties::new();
    for versions in ALL {
        for (backend, asked) in [(it.asking(versions), true), (it.backend(ClientDemand::Nothing {}, versions), false)] {
            for (lists_end_s, ends_s) in [(i64::MAX, UNTIL_S), (now_s() + 600, now_s() + 600)] {
                let hop = it.secured(&both(), lists_end_s);
                let first = opened(&hop, &backend, false);
                assert_eq!((resumed(&first), first.2.offered()), (false, None));
                assert_eq!(first.1.asked, asked);
                assert!((ends_s - 5..=ends_s).contains(&first.1.ends_s), "the end of what ends first");
                let again = opened(&hop, &backend, false);
                assert_eq!((resumed(&again), again.1, again.2.offered()), (true, first.1, Some(first.1)));
                let third = opened(&hop, &backend, false);
                assert_eq!((resumed(&third), third.1), (true, first.1), "what it gives anew stands for the same");
            }
        }
    }
}

#[test]
fn nothing_is_kept_of_a_connection_that_stands_for_nothing_nor_of_a_backend_that_ceased_to() {
    let it = Parties::new();
    for versions in ALL {
        let backend = it.asking(versions);
        let hop = it.secured(&both(), i64::MAX);
        assert!(!resumed(&opened(&hop, &backend, true)));
        assert!(!resumed(&opened(&hop, &backend, false)), "the first was lost");
        let third = opened(&hop, &backend, false);
        assert!(resumed(&third));
        third.2.stands_for_nothing();
        assert!(!resumed(&opened(&hop, &backend, false)));
    }
}

#[test]
fn what_ended_is_not_offered_to_a_backend() {
    let it = Parties::new();
    for versions in ALL {
        let backend = it.asking(versions);
        let hop = it.secured(&both(), now_s() - 1);
        for _ in 0..2 {
            let opened = opened(&hop, &backend, false);
            assert_eq!((resumed(&opened), opened.2.offered()), (false, None));
        }
        let hop = it.secured(&both(), now_s() + 600);
        assert!(!resumed(&opened(&hop, &backend, false)) && resumed(&opened(&hop, &backend, false)));
    }
}

#[test]
fn sessions_of_one_hop_are_none_of_another() {
    let it = Parties::new();
    for versions in ALL {
        let backend = it.asking(versions);
        let (one, other) = (it.secured(&both(), i64::MAX), it.secured(&both(), i64::MAX));
        assert!(!resumed(&opened(&one, &backend, false)) && !resumed(&opened(&other, &backend, false)));
        assert!(resumed(&opened(&one, &backend, false)));
    }
}

#[test]
fn a_hop_keeps_eight_tickets_and_takes_the_newest_first() {
    let it = Parties::new();
    let backend = it.asking(&["1.3"]);
    let hop = it.secured(&both(), i64::MAX);
    let opened: Vec<_> = (0..10).map(|_| opened(&hop, &backend, true)).collect();
    for (i, (_, proven, memory)) in (0..).zip(&opened) {
        memory.stands_for(Proven { ends_s: proven.ends_s - i, ..*proven });
    }
    let newest = (0..10).map(|_| {
        let (_, memory) = hop.begin(None, false);
        memory.take_tls13_ticket(&hop.name).and_then(|_| memory.offered()).map(|proven| UNTIL_S - proven.ends_s)
    });
    assert_eq!(newest.flatten().collect::<Vec<_>>(), [9, 8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn a_tls12_session_that_is_removed_is_not_offered_again() {
    let it = Parties::new();
    let backend = it.asking(&["1.2"]);
    let hop = it.secured(&both(), i64::MAX);
    let (_, _, memory) = opened(&hop, &backend, false);
    assert!(memory.tls12_session(&hop.name).is_some(), "as often as it is asked for");
    assert!(memory.tls12_session(&hop.name).is_some());
    memory.remove_tls12_session(&hop.name);
    assert!(memory.tls12_session(&hop.name).is_none());
    assert!(!resumed(&opened(&hop, &backend, false)));
}

#[test]
fn a_hop_remembers_which_group_its_backend_takes_and_is_asked_twice_only_once() {
    let it = Parties::new();
    let mut narrow = site(1, ClientDemand::Nothing {}, &["1.3"]);
    narrow.policy.groups = vec!["secp256r1".into()];
    let backend = serving(&narrow, &blob(&[("site/0", &it.backend)], &[], &[]));
    let hop = it.secured(&both(), i64::MAX);
    let kinds = [(); 2].map(|()| opened(&hop, &backend, true).0.0.handshake_kind());
    assert_eq!(kinds, [Some(HandshakeKind::FullWithHelloRetryRequest), Some(HandshakeKind::Full)]);
}

#[test]
fn of_a_hop_is_told_what_it_offers_and_of_its_sessions_nothing_that_is_secret() {
    let it = Parties::new();
    let hop = it.secured(&both(), i64::MAX);
    let offers = "TLS 1.2, 1.3; TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; X25519, secp256r1";
    assert_eq!(hop.offers, offers);
    let (_, proven, memory) = opened(&hop, &it.asking(&["1.3"]), false);
    let told = format!("{memory:?}");
    let mine = format!("Mine {{ offered: None, proven: Some({proven:?}), .. }}");
    assert!(told.starts_with("Memory { hop: Sessions, ") && told.contains(&mine), "{told}");
}
