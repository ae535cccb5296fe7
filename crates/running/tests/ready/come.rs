//! What comes by itself and has not come yet: a hop that needs it is there, and goes nowhere; what a person was to bring is missed.

use crate::kit::plan::*;
use serde_json::json;

/// Whether the one hop waits for what it shows, where identities have these keys and certificates; it shows that of `me`.
fn waits(identities: &[(&str, &str)]) -> Result<bool, String> {
    let mut plan = plan();
    let named = |(name, key): &(&str, &str)| json!({"name": name, "chain": "c", "key": key, "material": format!("identity/{name}")});
    plan["identities"] = identities.iter().map(named).collect();
    *way(&mut plan, 0, "backends") = json!([hop(literal(), mutual(verify(roots(None)), false))]);
    let mut material = Material::new();
    if identities.iter().any(|(name, _)| *name == "absent") {
        material.blob.certs.remove("identity/me");
    }
    material.built(&plan, None).map(|running| running.routes[0].backends[0].is_uncertified)
}

#[test]
fn a_hop_waits_for_a_certificate_that_comes_by_itself_and_for_no_other() {
    for key in ["acme", "ca:authority", "spiffe:/run/agent.sock"] {
        assert_eq!(waits(&[("me", key), ("absent", key)]), Ok(true), "{key}");
        assert_eq!(waits(&[("me", key)]), Ok(false), "{key}: it has come");
        assert_eq!(waits(&[("other", key), ("me", "file:k")]), Ok(false), "{key}: of another identity");
        assert_eq!(waits(&[("me", "file:k"), ("other", key)]), Ok(false), "{key}: of another identity");
    }
    for key in ["file:k", "acmes", "env:K"] {
        let missed = waits(&[("me", key), ("absent", key)]);
        assert_eq!(missed, Err("material \"identity/me\" was not sent".into()), "{key}");
    }
}

#[test]
fn a_hop_waits_for_roots_and_lists_that_come_by_themselves() {
    let of = |by| {
        let mut plan = plan();
        *way(&mut plan, 0, "backends") = json!([hop(literal(), reencrypt(verify(by)))]);
        Material::new().built(&plan, None).map(|running| running.routes[0].backends[0].is_uncertified)
    };
    let by = |ca: &str, crl: Option<&str>| json!({"kind": "roots", "ca": ca, "crl": crl, "stale_crl": "refuse"});
    assert_eq!(of(by("ca/one", Some("crl/one"))), Ok(false));
    for (ca, crl) in [
        ("ca/identity:agent", None),
        ("ca/one", Some("crl/identity:agent")),
        ("ca/one", Some("crl/https://lists.test/a.crl")),
        ("ca/one", Some("crl/http://lists.test/a.crl")),
    ] {
        assert_eq!(of(by(ca, crl)), Ok(true), "{ca} {crl:?}");
    }
    assert_eq!(of(by("ca/two", None)), Err("material \"ca/two\" was not sent".into()));
    assert_eq!(of(by("ca/one", Some("crl/two"))), Err("material \"crl/two\" was not sent".into()));
}
