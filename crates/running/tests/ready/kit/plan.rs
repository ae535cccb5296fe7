//! Plans of the tests with what the supervisor brings beside them, and what the crate makes of both.

use super::{Says, UNTIL, blob};
use everyhop_record::digest::sha256_hex;
use everyhop_record::log::Logs;
use everyhop_running::address::Found;
use everyhop_running::backend::BackendRun;
use everyhop_running::build::Brought;
use everyhop_running::material::{Blob, Listed};
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// What the supervisor brings beside a plan.
pub struct Material {
    pub blob: Blob,
    pub listed: Vec<Listed>,
    pub names: HashMap<String, Vec<Found>>,
    /// Where the edge is.
    pub zone: Option<&'static str>,
    /// Where lines go.
    pub logs: Logs,
    /// The inspector that was given the plan's policies.
    pub inspector: Option<&'static str>,
}

impl Material {
    pub fn new() -> Material {
        let root = Says::authority("Root").by(None);
        let site = Says::leaf("a.test").by(Some(&root));
        let lists = [("crl/one", root.list(&[9], UNTIL))];
        let blob = blob(&[("site/edge/0", &site), ("identity/me", &site)], &[("ca/one", root.pem())], &lists);
        let listed = ["site/edge/0", "identity/me", "ca/one", "crl/one"].map(|id| listed(id, "a", None)).to_vec();
        let names = HashMap::from([("b.test".into(), vec![found("10.0.0.1"), found("10.0.0.2")])]);
        Material { blob, listed, names, zone: None, logs: Logs::default(), inspector: None }
    }

    /// The hash of one of them is another.
    pub fn with(&self, id: &str, hash: &str) -> Vec<Listed> {
        let other = self.listed.iter().map(|l| if l.id == id { listed(id, hash, None) } else { l.clone() });
        other.collect()
    }

    pub fn built(&self, plan: &Value, before: Option<&Running>) -> Result<Running, String> {
        self.built_by(plan, before, self.listed.clone())
    }

    pub fn built_by(&self, plan: &Value, before: Option<&Running>, listed: Vec<Listed>) -> Result<Running, String> {
        let text = plan.to_string();
        let digest = sha256_hex(text.as_bytes());
        self.brought(text, digest, before, listed)
    }

    pub fn brought(
        &self,
        text: String,
        digest: String,
        before: Option<&Running>,
        material: Vec<Listed>,
    ) -> Result<Running, String> {
        let brought = Brought {
            zone: self.zone,
            inspector: self.inspector,
            text,
            digest,
            material,
            material_digest: "material".into(),
            blob: &self.blob,
            names: &self.names,
            threads: 2,
            logs: &self.logs,
        };
        Running::build(brought, before, |_| Arc::new(AtomicU32::new(7))).map_err(|e| e.0)
    }
}

pub fn listed(id: &str, hash: &str, not_after_s: Option<i64>) -> Listed {
    Listed { id: id.into(), chain_sha256: hash.into(), key_sha256: None, not_after_s }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn found(text: &str) -> Found {
    Found::Ip(ip(text))
}

pub fn at(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

/// The routes `one` and `two` of `fuzz/`, with a certificate, an identity, and a hop of each kind.
pub fn plan() -> Value {
    let mut plan: Value = serde_json::from_str(include_str!("../../../../../fuzz/plan.json")).expect("a plan");
    let source = json!({"chain": "c", "key": "file:k"});
    let named = |material: &str| {
        let mut it = source.clone();
        it["material"] = json!(material);
        it
    };
    plan["sites"][0]["certs"] = json!([named("site/edge/0")]);
    plan["identities"] = json!([named("identity/me")]);
    plan["identities"][0]["name"] = json!("me");
    // The two that have something behind them.
    plan["routes"].as_array_mut().expect("routes").truncate(2);
    *way(&mut plan, 0, "pattern") = json!("plaintext");
    *way(&mut plan, 0, "backends") = json!([hop(unix(), same_host()), hop(name(), mutual(verify(roots(None)), false))]);
    *way(&mut plan, 1, "backends") = json!([hop(literal(), reencrypt(verify(roots(None))))]);
    plan
}

pub fn way<'a>(plan: &'a mut Value, route: usize, key: &str) -> &'a mut Value {
    &mut plan["routes"][route]["way"][key]
}

pub fn hop(at: Value, hop: Value) -> Value {
    json!({"at": at, "hop": hop})
}

pub fn unix() -> Value {
    json!({"kind": "unix", "path": "/run/b"})
}

pub fn name() -> Value {
    json!({"kind": "name", "name": "b.test", "port": 1})
}

pub fn literal() -> Value {
    json!({"kind": "ip", "ip": "10.0.0.9", "port": 2})
}

pub fn same_host() -> Value {
    json!({"tls": "plaintext", "reach": {"kind": "same_host"}})
}

pub fn accepted(closes_at_s: i64) -> Value {
    let acceptance = json!({
        "owner": "test@example.com", "why": "to see it end", "context": "legacy",
        "since": "2026-01-01", "until": "2026-01-02", "closes_at_s": closes_at_s,
    });
    json!({"tls": "plaintext", "reach": {"kind": "accepted", "acceptance": acceptance}})
}

pub fn roots(crl: Option<&str>) -> Value {
    json!({"kind": "roots", "ca": "ca/one", "crl": crl, "stale_crl": "refuse"})
}

pub fn verify(by: Value) -> Value {
    json!({"by": by, "name": "b.test"})
}

pub fn policy() -> Value {
    json!({"versions": ["1.3"], "suites": ["TLS_AES_128_GCM_SHA256"], "groups": ["X25519"]})
}

pub fn reencrypt(verify: Value) -> Value {
    json!({"tls": "reencrypt", "verify": verify, "policy": policy()})
}

pub fn mutual(verify: Value, demand_asks: bool) -> Value {
    json!({"tls": "mutual", "verify": verify, "present": "me", "demand_asks": demand_asks, "policy": policy()})
}

pub fn backends(running: &Running) -> Vec<&Arc<BackendRun>> {
    running.routes.iter().flat_map(|r| &r.backends).collect()
}

pub fn places(backend: &BackendRun) -> Vec<Option<SocketAddr>> {
    backend.addresses.load().iter().map(|a| a.at).collect()
}
