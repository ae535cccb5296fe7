//! Ticket keys that edges share: what was proved at one site is taken up at the same site of another engine that has the secret,
//! and nowhere else. Whatever is wrong with a ticket, what comes is a whole handshake and no error.

use crate::kit::plan::*;
use crate::kit::shake::{Anyone, certified, shake};
use crate::kit::{CLIENTS, Cert, Says, UNTIL, blob};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_running::known::remembering;
use everyhop_running::running::Running;
use everyhop_running::secret::SecretText;
use everyhop_ticket::{Keys, Tickets};
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, HandshakeKind, ServerConfig, SignatureScheme};
use serde_json::{Value, json};
use std::sync::Arc;

const ONE: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const HOUR_S: u32 = 3600;
const ALL: [&str; 2] = ["1.2", "1.3"];

fn now_s() -> u64 {
    UnixTime::now().as_secs()
}

/// Who is there: an edge with `Material` of its own, and a client with a certificate of the authority that it asks for.
struct Parties {
    material: Material,
    known: Cert,
}

impl Parties {
    fn new() -> Parties {
        let root = Says::authority("Root").by(None);
        let site = Says::leaf("a.test").by(Some(&root));
        let known = Says { purpose: Some(CLIENTS), ..Says::leaf("known.test") }.by(Some(&root));
        let mut material = Material::new();
        let lists = [("crl/one", root.list(&[9], UNTIL))];
        material.blob = blob(&[("site/edge/0", &site), ("identity/me", &site)], &[("ca/one", root.pem())], &lists);
        Parties { material, known }
    }

    /// Another engine, or the same one after `before`.
    fn edge(&mut self, plan: &Value, secrets: &[&[u8]], before: Option<&Running>) -> Running {
        self.tried(plan, secrets, before).expect("a plan")
    }

    fn tried(&mut self, plan: &Value, secrets: &[&[u8]], before: Option<&Running>) -> Result<Running, String> {
        let sealed = |it: &&[u8]| serde_json::from_str::<SecretText>(&json!(STANDARD.encode(it)).to_string());
        self.material.blob.tickets = secrets.iter().map(|it| sealed(it).expect("a secret")).collect();
        self.material.built(plan, before)
    }

    fn client(&self) -> Arc<ClientConfig> {
        let shown = rustls::sign::SingleCertAndKey::from((*certified(&self.known, &self.known.key)).clone());
        let schemes = vec![SignatureScheme::ECDSA_NISTP256_SHA256];
        let made = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(schemes)))
            .with_client_cert_resolver(Arc::new(shown));
        Arc::new(made)
    }
}

/// With `[tickets]` of so many secrets.
fn shared(mut plan: Value, secrets: usize) -> Value {
    let keys: Vec<String> = (0..secrets).map(|i| format!("file:tickets-{i}.key")).collect();
    plan["tickets"] = json!({"keys": keys, "rotate_s": HOUR_S});
    plan
}

fn speaking(version: &str) -> Value {
    let mut plan = plan();
    plan["sites"][0]["policy"]["versions"] = json!([version]);
    plan
}

fn asking(version: &str, mode: &str, crl: Option<&str>, stale: &str) -> Value {
    let mut plan = speaking(version);
    plan["sites"][0]["clients"] = match mode {
        "nothing" => json!({"mode": "nothing"}),
        _ => json!({"mode": mode, "ca": "ca/one", "crl": crl, "stale_crl": stale}),
    };
    plan
}

fn comes(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Option<HandshakeKind> {
    let done = remembering(&mut None, || shake(client, server, "a.test")).map_err(|(_, e)| e);
    match done.expect("a handshake").1.handshake_kind() {
        Some(HandshakeKind::FullWithHelloRetryRequest) => FULL,
        kind => kind,
    }
}

/// How a client comes to the second that has been at the first alone.
fn comes_on(client: &Arc<ClientConfig>, first: &Running, second: &Running) -> Option<HandshakeKind> {
    assert_eq!(comes(client, &first.sites[0].config), Some(HandshakeKind::Full));
    comes(client, &second.sites[0].config)
}

const RESUMED: Option<HandshakeKind> = Some(HandshakeKind::Resumed);
const FULL: Option<HandshakeKind> = Some(HandshakeKind::Full);

#[test]
fn a_session_of_one_engine_is_taken_up_at_another_that_has_the_secret_and_at_no_other() {
    let mut it = Parties::new();
    for version in ALL {
        let plan = shared(speaking(version), 1);
        let here = it.edge(&plan, &[&ONE], None);
        let mut longer = plan.clone();
        longer["tickets"]["rotate_s"] = json!(2 * HOUR_S);
        for (what, there, kind) in [
            ("the same secret", it.edge(&plan, &[&ONE], None), RESUMED),
            ("the same behind another", it.edge(&shared(speaking(version), 2), &[&OTHER, &ONE], None), RESUMED),
            ("another secret", it.edge(&plan, &[&OTHER], None), FULL),
            ("other rotations", it.edge(&longer, &[&ONE], None), FULL),
            ("keys of its own", it.edge(&speaking(version), &[], None), FULL),
        ] {
            assert_eq!(comes_on(&it.client(), &here, &there), kind, "TLS {version}, {what}");
        }
        let (one, other) = (it.edge(&speaking(version), &[], None), it.edge(&speaking(version), &[], None));
        assert_eq!(comes_on(&it.client(), &one, &other), FULL, "keys of their own");
    }
}

#[test]
fn no_site_takes_up_what_was_proved_at_one_that_asks_for_something_else() {
    let mut it = Parties::new();
    for version in ALL {
        let mut renamed = speaking(version);
        renamed["sites"][0]["name"] = json!("other");
        let mut stricter = speaking(version);
        stricter["sites"][0]["policy"]["groups"] = json!(["X25519"]);
        let mut tcp = speaking(version);
        tcp["sites"][0]["protocol"] = json!("tcp");
        let plans = [
            speaking(version),
            asking(version, "ask", None, "refuse"),
            asking(version, "require", None, "refuse"),
            asking(version, "require", Some("crl/one"), "refuse"),
            asking(version, "require", Some("crl/one"), "allow"),
            renamed,
            stricter,
            tcp,
        ];
        let mut edges: Vec<Running> = Vec::new();
        for plan in plans {
            edges.push(it.edge(&shared(plan, 1), &[&ONE], None));
        }
        // The same demand by other roots, and by another list.
        for id in ["ca/one", "crl/one"] {
            let plan = shared(asking(version, "require", Some("crl/one"), "refuse"), 1);
            let listed = it.material.with(id, "b");
            edges.push(it.material.built_by(&plan, None, listed).expect("a plan"));
        }
        for (i, first) in edges.iter().enumerate() {
            for (j, second) in edges.iter().enumerate() {
                let kind = comes_on(&it.client(), first, second);
                assert_eq!(kind, if i == j { RESUMED } else { FULL }, "TLS {version}: {i} {j}");
            }
        }
    }
}

#[test]
fn a_session_that_stands_for_a_client_ends_within_the_hour_at_every_edge() {
    let mut it = Parties::new();
    for version in ALL {
        let plan = shared(asking(version, "require", None, "refuse"), 1);
        let (here, there) = (it.edge(&plan, &[&ONE], None), it.edge(&plan, &[&ONE], None));
        let client = it.client();
        let at = |edge: &Running| {
            let mut ends_s = None;
            let done = remembering(&mut ends_s, || shake(&client, &edge.sites[0].config, "a.test"));
            let (_, server) = done.map_err(|(_, e)| e).expect("a handshake");
            let shown = server.peer_certificates().and_then(|c| c.first().cloned());
            assert_eq!(shown.as_ref(), Some(&it.known.der), "whom it was proved to be");
            (server.handshake_kind(), ends_s)
        };
        let (first, ends_s) = at(&here);
        assert_eq!((first, at(&there)), (FULL, (RESUMED, ends_s)), "it ends there when it does here");
        let client = it.client();
        let mut over = Some(i64::try_from(now_s()).expect("a time") - 1);
        // Of a handshake that ended before it began.
        let asks_nobody = shared(speaking(version), 1);
        let here = it.edge(&asks_nobody, &[&ONE], None);
        remembering(&mut over, || shake(&client, &here.sites[0].config, "a.test")).map_err(|(_, e)| e).expect("one");
        assert_eq!(comes(&client, &here.sites[0].config), RESUMED, "what stands for nobody does not end so");
    }
}

#[test]
fn a_reload_that_turns_to_another_secret_opens_the_old_one_until_it_is_gone() {
    let mut it = Parties::new();
    for version in ALL {
        let (one, two) = (shared(speaking(version), 1), shared(speaking(version), 2));
        let before = it.edge(&one, &[&ONE], None);
        let client = it.client();
        assert_eq!(comes(&client, &before.sites[0].config), FULL);
        let both = it.edge(&two, &[&OTHER, &ONE], Some(&before));
        assert_eq!(comes(&client, &both.sites[0].config), RESUMED);
        let after = it.edge(&one, &[&OTHER], Some(&both));
        assert_eq!(comes(&client, &after.sites[0].config), RESUMED, "it was sealed anew, by the new one");
        let (old, fresh) = (it.client(), it.edge(&one, &[&OTHER], None));
        assert_eq!(comes_on(&old, &before, &fresh), FULL, "one that came before alone");
    }
}

#[test]
fn ticket_keys_stay_over_a_reload_that_changes_nothing_of_them_and_sessions_do_whatever_changes() {
    let mut it = Parties::new();
    let (own, one) = (plan(), shared(plan(), 1));
    let mut wider = one.clone();
    wider["sites"][0]["hosts"] = json!(["a.test", "z.test"]);
    let kept = |a: &Running, b: &Running| {
        let (a, b) = (&a.sites[0], &b.sites[0]);
        assert!(Arc::ptr_eq(&a.config.session_storage, &b.config.session_storage));
        assert_eq!((&a.resume_key, &a.promise), (&b.resume_key, &b.promise), "no open connection notices");
        Arc::ptr_eq(&a.config.ticketer, &b.config.ticketer)
    };
    let before = it.edge(&one, &[&ONE], None);
    let same = it.edge(&one, &[&ONE], Some(&before));
    assert!(kept(&before, &same) && Arc::ptr_eq(&before.sites[0].config, &same.sites[0].config));
    assert!(kept(&before, &it.edge(&wider, &[&ONE], Some(&before))));
    assert!(!kept(&before, &it.edge(&one, &[&OTHER], Some(&before))));
    let alone = it.edge(&own, &[], Some(&before));
    assert!(!kept(&before, &alone), "its own again");
    assert!(kept(&alone, &it.edge(&own, &[], Some(&alone))));
    assert!(!kept(&alone, &it.edge(&one, &[&ONE], Some(&alone))));
}

type Seals = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// Seals what another opens, in its own way.
struct Sealing {
    by: Arc<dyn ProducesTickets>,
    seals: Seals,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealing")
    }
}

impl ProducesTickets for Sealing {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.by.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        (self.seals)(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.by.decrypt(cipher)
    }
}

/// How a client comes again whose ticket was sealed so.
fn with_ticket(
    it: &Parties,
    edge: &Running,
    seals: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> Option<HandshakeKind> {
    let mut config = (*edge.sites[0].config).clone();
    let by = Arc::clone(&config.ticketer);
    config.ticketer = Arc::new(Sealing { by, seals: Box::new(seals) });
    // What is in memory would be found without a ticket.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    let (client, config) = (it.client(), Arc::new(config));
    assert_eq!(comes(&client, &config), FULL);
    comes(&client, &config)
}

#[test]
fn a_ticket_that_was_changed_cut_or_made_up_is_answered_by_a_whole_handshake() {
    let mut it = Parties::new();
    for version in ALL {
        let edge = it.edge(&shared(speaking(version), 1), &[&ONE], None);
        let by = Arc::clone(&edge.sites[0].config.ticketer);
        let len = by.encrypt(b"").expect("a ticket").len();
        let sealed = |change: fn(&mut Vec<u8>, usize), at: usize| {
            let by = Arc::clone(&by);
            move |plain: &[u8]| {
                let mut ticket = by.encrypt(plain)?;
                change(&mut ticket, at);
                Some(ticket)
            }
        };
        assert_eq!(with_ticket(&it, &edge, sealed(|_, _| (), 0)), RESUMED, "as it is");
        for at in 0..len {
            assert_eq!(with_ticket(&it, &edge, sealed(|t, at| t[at] ^= 1, at)), FULL, "TLS {version}: changed at {at}");
        }
        for at in [1, 15, 16, 17, 28, 29, 44, len] {
            assert_eq!(with_ticket(&it, &edge, sealed(|t, at| t.truncate(at), at)), FULL, "TLS {version}: {at} bytes");
        }
        assert_eq!(with_ticket(&it, &edge, sealed(|t, _| t.push(0), 0)), FULL, "TLS {version}: a byte more");
        assert_eq!(with_ticket(&it, &edge, |_| Some(vec![0; 300])), FULL, "TLS {version}: made up");
    }
}

/// What a site is bound to, as every version writes it: another form is another site, and who comes back shakes hands anew.
fn of_site(plan: &Value, clients: Value) -> Tickets {
    let keys = Arc::new(Keys::new([&ONE[..]], HOUR_S).expect("keys"));
    let site = &plan["sites"][0];
    keys.of(json!([site["name"], site["protocol"], clients, site["policy"]]).to_string().as_bytes())
}

#[test]
fn a_ticket_of_a_rotation_that_is_over_is_answered_by_a_whole_handshake() {
    let mut it = Parties::new();
    for version in ALL {
        let plan = shared(speaking(version), 1);
        let edge = it.edge(&plan, &[&ONE], None);
        for (ago_s, kind) in [(0, RESUMED), (1800, RESUMED), (3601, FULL), (3 * 3600, FULL)] {
            let by = of_site(&plan, json!("nothing"));
            let kind_found = with_ticket(&it, &edge, move |plain| by.seal(plain, now_s() - ago_s));
            assert_eq!(kind_found, kind, "TLS {version}: sealed {ago_s} s ago");
        }
    }
}

#[test]
fn whoever_has_the_secret_comes_as_any_client_and_nobody_else_does() {
    let mut it = Parties::new();
    let plan = shared(asking("1.3", "require", None, "refuse"), 1);
    let edge = it.edge(&plan, &[&ONE], None);
    // An edge of their own, which believes their own authority; to whom it is bound they write as they like.
    let mut theirs = Parties::new();
    for (secret, kind) in [(&ONE, RESUMED), (&OTHER, FULL)] {
        let forged = theirs.edge(&plan, &[secret], None);
        let client = theirs.client();
        assert_eq!(comes(&client, &forged.sites[0].config), FULL);
        let done = remembering(&mut None, || shake(&client, &edge.sites[0].config, "a.test"));
        match done {
            Ok((_, server)) => {
                assert_eq!(server.handshake_kind(), kind);
                assert_eq!(server.peer_certificates().map(|c| &c[0]), Some(&theirs.known.der));
            }
            Err(_) => assert_eq!(kind, FULL, "its certificate is believed by nobody here"),
        }
    }
}

#[test]
fn secrets_that_were_not_sent_or_are_none_are_refused() {
    let mut it = Parties::new();
    let (one, two) = (shared(plan(), 1), shared(plan(), 2));
    let mut never = one.clone();
    never["tickets"]["rotate_s"] = json!(0);
    for (plan, secrets, why) in [
        (&one, &[][..], "not all secrets of ticket keys were sent"),
        (&two, &[&ONE[..]], "not all secrets of ticket keys were sent"),
        (&shared(plan(), 0), &[], "ticket keys are made of no secret"),
        (&one, &[&ONE[1..]], "a secret of ticket keys is too short"),
        (&never, &[&ONE[..]], "ticket keys never rotate"),
    ] {
        assert_eq!(it.tried(plan, secrets, None).err().as_deref(), Some(why));
    }
    assert!(it.tried(&plan(), &[&ONE], None).is_ok(), "what is not asked for is not used");
}
