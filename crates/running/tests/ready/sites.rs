//! What a site shows to clients, asks of them and keeps of them.

use crate::kit::shake::{Side, client_of, easy_client, plain, policy, serving, shake, site};
use crate::kit::{Cert, Key, Says, UNTIL, blob};
use everyhop_plan::{ClientDemand, StaleCrl};
use everyhop_running::known::remembering;
use everyhop_running::material::{Unusable, crypto, server};
use everyhop_running::noted::{Noted, noting};
use everyhop_running::resumption::Resumption;
use rustls::pki_types::UnixTime;
use rustls::{
    CertificateError, ClientConfig, Error, HandshakeKind, PeerIncompatible, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use std::sync::Arc;

const P256: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
const ED25519: SignatureScheme = SignatureScheme::ED25519;
const ALL: [&[&str]; 2] = [&["1.2"], &["1.3"]];

fn now_s() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).expect("a time")
}

fn nothing() -> ClientDemand {
    ClientDemand::Nothing {}
}

fn require(crl: Option<&str>, stale_crl: StaleCrl) -> ClientDemand {
    ClientDemand::Require { ca: "ca/clients".into(), crl: crl.map(str::to_owned), stale_crl }
}

fn ask() -> ClientDemand {
    ClientDemand::Ask { ca: "ca/clients".into(), crl: None, stale_crl: StaleCrl::Refuse }
}

fn names(
    crypto: Result<(Arc<rustls::crypto::CryptoProvider>, Vec<&'static SupportedProtocolVersion>), Unusable>,
) -> String {
    match crypto {
        Err(why) => why.0,
        Ok((crypto, versions)) => {
            let suites: Vec<_> = crypto.cipher_suites.iter().map(|s| format!("{:?}", s.suite())).collect();
            let groups: Vec<_> = crypto.kx_groups.iter().map(|g| format!("{:?}", g.name())).collect();
            let versions: Vec<_> = versions.iter().map(|v| format!("{v:?}")).collect();
            format!("{} {} {}", suites.join(","), groups.join(","), versions.join(","))
        }
    }
}

#[test]
fn what_is_spoken_is_what_the_policy_spells_out_in_its_order_and_what_it_does_not_know_is_refused() {
    let it = policy(&["1.3", "1.2"]);
    let suites = "TLS13_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    assert_eq!(names(crypto(&it)), format!("{suites} X25519,secp256r1 TLSv1_3,TLSv1_2"));
    let mut turned = it.clone();
    turned.suites.reverse();
    turned.groups.reverse();
    turned.versions.reverse();
    let suites = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS13_AES_128_GCM_SHA256";
    assert_eq!(names(crypto(&turned)), format!("{suites} secp256r1,X25519 TLSv1_2,TLSv1_3"));
    for (which, why) in [
        (0, "cipher suite \"RC4\" is not known"),
        (1, "key exchange group \"RC4\" is not known"),
        (2, "TLS version \"RC4\" is not known"),
    ] {
        let mut odd = it.clone();
        [&mut odd.suites, &mut odd.groups, &mut odd.versions][which].push("RC4".into());
        assert_eq!(names(crypto(&odd)), why);
    }
}

/// A site with two certificates, of P-256 and of Ed25519, which end then, in the order in which they are named.
struct Two {
    certs: [Cert; 2],
    config: Arc<ServerConfig>,
}

fn two(turned: bool, ends_s: [i64; 2]) -> Two {
    let root = Says::authority("Root").by(None);
    let mut certs = [Says::leaf("a.test"), Says { ed25519: true, ..Says::leaf("a.test") }].map(|it| it.by(Some(&root)));
    if turned {
        certs.reverse();
    }
    let blob = blob(&[("site/0", &certs[0]), ("site/1", &certs[1])], &[], &[]);
    let keep = Resumption::new(false).expect("randomness");
    let end_of = |id: &str| ends_s[usize::from(id == "site/1")];
    let config =
        server(&site(2, nothing(), &["1.2", "1.3"]), &blob, &keep, end_of).unwrap_or_else(|e| panic!("{}", e.0));
    Two { certs, config }
}

/// Which of the two a client with these signatures is shown.
fn shown(it: &Two, schemes: &[SignatureScheme]) -> Result<usize, Error> {
    let (client, _) = shake(&Arc::new(easy_client(schemes)), &it.config, "a.test").map_err(|(_, why)| why)?;
    let shown = client.peer_certificates().and_then(|c| c.first()).expect("a certificate");
    Ok(it.certs.iter().position(|c| c.der == *shown).expect("one of the two"))
}

#[test]
fn of_two_certificates_the_first_is_shown_whose_key_the_client_can_verify() {
    for turned in [false, true] {
        let it = two(turned, [i64::MAX; 2]);
        assert_eq!(shown(&it, &[P256, ED25519]), Ok(0), "the order of the site");
        assert_eq!(shown(&it, &[ED25519, P256]), Ok(0), "not that of the client");
        assert_eq!(shown(&it, &[P256]), Ok(usize::from(turned)));
        assert_eq!(shown(&it, &[ED25519]), Ok(usize::from(!turned)));
    }
}

#[test]
fn a_certificate_that_is_over_is_shown_only_where_there_is_no_other_to_show() {
    let both = [P256, ED25519];
    assert_eq!(shown(&two(false, [now_s() - 1, i64::MAX]), &both), Ok(1));
    assert_eq!(shown(&two(false, [now_s() - 1, now_s() - 1]), &both), Ok(0), "both are over");
    assert_eq!(shown(&two(false, [now_s() - 1, i64::MAX]), &[P256]), Ok(0), "the client can verify no other");
    // Its last second is that before its end; what is asked within one second says so.
    loop {
        let now = now_s();
        let it = shown(&two(false, [now, i64::MAX]), &both);
        assert_eq!(it, Ok(1));
        if now_s() == now {
            break;
        }
    }
}

#[test]
fn a_client_that_can_verify_no_certificate_of_a_site_is_told_that_and_not_that_it_may_not_come_in() {
    let none = Err(Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon));
    assert_eq!(shown(&two(false, [i64::MAX; 2]), &[SignatureScheme::ED448]), none);
    let root = Says::authority("Root").by(None);
    let only = plain(&Says::leaf("a.test").by(Some(&root)), &["1.3"]);
    let (_, why) = shake(&Arc::new(easy_client(&[ED25519])), &only, "a.test").expect_err("a refusal");
    assert_eq!(why, Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon));
}

/// Whom a test lets come to a site: a root of the site, one of clients with a client of its, and a stranger.
struct Parties {
    root: Cert,
    site: Cert,
    clients: Cert,
    known: Cert,
    stranger: Cert,
}

impl Parties {
    fn new() -> Parties {
        let root = Says::authority("Root").by(None);
        let site = Says::leaf("a.test").by(Some(&root));
        let clients = Says::authority("Clients").by(None);
        let known = Says { serial: 5, ..Says::leaf("client.test") }.by(Some(&clients));
        let stranger = Says::leaf("client.test").by(Some(&Says::authority("Strangers").by(None)));
        Parties { root, site, clients, known, stranger }
    }

    fn serving(&self, clients: ClientDemand, lists: &[(&str, String)], versions: &[&str]) -> Arc<ServerConfig> {
        let blob = blob(&[("site/0", &self.site)], &[("ca/clients", self.clients.pem())], lists);
        serving(&site(1, clients, versions), &blob)
    }

    fn client(&self, who: Option<&Cert>) -> Arc<ClientConfig> {
        Arc::new(client_of(&self.root, who.map(|it| (it, &it.key))))
    }

    /// What came of it, as the server sees it: who is there, or why not.
    fn comes(&self, who: Option<&Cert>, server: &Arc<ServerConfig>) -> Result<bool, Error> {
        let done = shake(&self.client(who), server, "a.test");
        done.map(|(_, server)| server.peer_certificates().is_some()).map_err(|(side, why)| {
            assert_eq!(side, Side::Server);
            why
        })
    }
}

#[test]
fn whoever_comes_to_a_site_is_asked_for_as_much_as_it_demands() {
    let it = Parties::new();
    for versions in ALL {
        for (demand, unnamed, known) in [
            (nothing(), Ok(false), false),
            (ask(), Ok(false), true),
            (require(None, StaleCrl::Refuse), Err(Error::NoCertificatesPresented), true),
        ] {
            let server = it.serving(demand, &[], versions);
            assert_eq!(it.comes(None, &server), unnamed);
            assert_eq!(it.comes(Some(&it.known), &server), Ok(known));
            let stranger = it.comes(Some(&it.stranger), &server);
            let expected = if known { Err(CertificateError::UnknownIssuer.into()) } else { Ok(false) };
            assert_eq!(stranger, expected, "who shows something is judged by it");
        }
    }
}

#[test]
fn a_client_whom_a_list_revokes_or_of_whom_none_speaks_does_not_pass() {
    let it = Parties::new();
    let overdue = "20260102000000Z";
    let of = |revoked: &[u8], until| it.clients.list(revoked, until);
    for (list, stale, passes) in [
        (of(&[6], UNTIL), StaleCrl::Refuse, true),
        (of(&[5], UNTIL), StaleCrl::Refuse, false),
        (of(&[6], overdue), StaleCrl::Refuse, false),
        (of(&[6], overdue), StaleCrl::Allow, true),
        (of(&[5], overdue), StaleCrl::Allow, false),
        (it.root.list(&[6], UNTIL), StaleCrl::Refuse, false),
    ] {
        let lists = [("crl/clients", list)];
        let requires = it.serving(require(Some("crl/clients"), stale), &lists, &["1.3"]);
        let ask = ClientDemand::Ask { ca: "ca/clients".into(), crl: Some("crl/clients".into()), stale_crl: stale };
        let asks = it.serving(ask, &lists, &["1.3"]);
        for server in [requires, asks] {
            assert_eq!(it.comes(Some(&it.known), &server).is_ok(), passes);
        }
    }
}

#[test]
fn a_client_that_does_not_hold_the_key_of_its_certificate_is_not_believed_and_that_is_noted() {
    let it = Parties::new();
    for versions in ALL {
        let server = it.serving(require(None, StaleCrl::Refuse), &[], versions);
        let thief = Arc::new(client_of(&it.root, Some((&it.known, &Key::new()))));
        let mut noted = Noted::default();
        let done = noting(&mut noted, || shake(&thief, &server, "a.test"));
        let refused = done.expect_err("a refusal");
        assert_eq!(refused, (Side::Server, CertificateError::BadSignature.into()));
        assert_eq!(noted.disbelieved.expect("noted").leaf, it.known.der.to_vec());
    }
}

#[test]
fn of_what_was_not_sent_or_cannot_be_used_is_said_which_it_is() {
    let it = Parties::new();
    let keep = Resumption::new(false).expect("randomness");
    let refused = |demand: ClientDemand, pairs: &[(&str, &Cert)], roots: &[(&str, String)]| {
        let made = server(&site(1, demand, &["1.3"]), &blob(pairs, roots, &[]), &keep, |_| i64::MAX);
        made.expect_err("a refusal").0
    };
    let site = [("site/0", &it.site)];
    let roots = [("ca/clients", it.clients.pem())];
    let none = [("ca/clients", String::new())];
    assert_eq!(refused(nothing(), &[], &[]), "material \"site/0\" was not sent");
    assert_eq!(refused(ask(), &site, &[]), "material \"ca/clients\" was not sent");
    assert_eq!(refused(ask(), &site, &none), "\"ca/clients\" holds no usable root");
    let crl = require(Some("crl/clients"), StaleCrl::Refuse);
    assert_eq!(refused(crl, &site, &roots), "material \"crl/clients\" was not sent");
    let other = Cert { key: Key::new(), ..Parties::new().site };
    assert_eq!(refused(nothing(), &[("site/0", &other)], &[]), "\"site/0\": key and certificate do not match");
}

#[test]
fn a_site_speaks_what_it_offers_takes_nothing_early_and_gives_one_ticket() {
    let it = Parties::new();
    let server = it.serving(nothing(), &[], &["1.3"]);
    assert_eq!((server.max_early_data_size, server.send_tls13_tickets), (0, 1));
    for (offered, agreed) in [(&["http/1.1", "h2"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let mut client = client_of(&it.root, None);
        client.alpn_protocols = offered.iter().map(|p| p.as_bytes().to_vec()).collect();
        let (client, _) = shake(&Arc::new(client), &server, "a.test").map_err(|(_, e)| e).expect("a handshake");
        assert_eq!(client.alpn_protocol(), Some(agreed.as_bytes()));
    }
}

/// How a client that came before comes again: its first handshake gave out sessions that end then.
fn comes_again(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, ends_s: i64) -> Option<HandshakeKind> {
    let mut first = Some(ends_s);
    remembering(&mut first, || shake(client, server, "a.test")).map_err(|(_, e)| e).expect("a handshake");
    let again = remembering(&mut None, || shake(client, server, "a.test")).map_err(|(_, e)| e);
    again.expect("a handshake").1.handshake_kind()
}

#[test]
fn sessions_of_a_site_that_knows_its_clients_end_when_what_they_proved_does_and_others_last() {
    let it = Parties::new();
    for versions in ALL {
        for tickets in [true, false] {
            for (knows, ends_s, kind) in [
                (true, now_s() + 600, HandshakeKind::Resumed),
                (true, now_s() - 1, HandshakeKind::Full),
                (false, now_s() - 1, HandshakeKind::Resumed),
            ] {
                let keep = Resumption::new(knows).expect("randomness");
                let blob = blob(&[("site/0", &it.site)], &[], &[]);
                let made = server(&site(1, nothing(), versions), &blob, &keep, |_| i64::MAX);
                let mut config = made.map(|c| (*c).clone()).unwrap_or_else(|e| panic!("{}", e.0));
                if !tickets {
                    config.ticketer = Arc::new(NoTickets);
                }
                let client = it.client(None);
                assert_eq!(comes_again(&client, &Arc::new(config), ends_s), Some(kind), "{versions:?} {tickets}");
            }
        }
    }
}

/// Then sessions are kept in memory.
#[derive(Debug)]
struct NoTickets;

impl rustls::server::ProducesTickets for NoTickets {
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
fn a_client_who_comes_again_is_taken_for_whom_it_proved_to_be_and_after_another_list_it_proves_it_anew() {
    let it = Parties::new();
    for versions in ALL {
        let blob = blob(&[("site/0", &it.site)], &[("ca/clients", it.clients.pem())], &[]);
        let keep = Resumption::new(true).expect("randomness");
        let made = |keep: &Resumption| {
            server(&site(1, require(None, StaleCrl::Refuse), versions), &blob, keep, |_| i64::MAX)
                .unwrap_or_else(|e| panic!("{}", e.0))
        };
        let client = it.client(Some(&it.known));
        let comes = |server: &Arc<ServerConfig>| {
            let mut ends_s = None;
            let done = remembering(&mut ends_s, || shake(&client, server, "a.test")).map_err(|(_, e)| e);
            let (_, server) = done.expect("a handshake");
            assert_eq!(server.peer_certificates().map(|c| &c[0]), Some(&it.known.der));
            (server.handshake_kind(), ends_s.expect("an end") - now_s())
        };
        let (first, left_s) = comes(&made(&keep));
        assert_eq!(first, Some(HandshakeKind::Full));
        assert!((3595..=3600).contains(&left_s), "an hour, and not {left_s} s");
        assert_eq!(comes(&made(&keep)).0, Some(HandshakeKind::Resumed), "over a reload that changes nothing of it");
        let others = Resumption::new(true).expect("randomness");
        assert_eq!(comes(&made(&others)).0, Some(HandshakeKind::Full));
    }
}
