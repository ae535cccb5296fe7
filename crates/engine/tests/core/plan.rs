//! Plans of the tests: one of `fuzz/`, with what a test changes of it.

use serde_json::{Value, json};

/// Places for backends; a plan uses the first ones.
pub const PLACES: usize = 4;

#[derive(Clone)]
pub struct Plan(Value);

impl Plan {
    /// The route `one` for `a.test` leads to backend 0 in HTTP/1.1.
    pub fn new() -> Plan {
        let mut plan: Value = serde_json::from_str(include_str!("../../../../fuzz/plan.json")).expect("a plan");
        plan["routes"].as_array_mut().expect("routes").truncate(1);
        Plan(plan).backends(&[0])
    }

    pub fn limit(mut self, name: &str, value: u32) -> Plan {
        assert!(self.0["limits"][name].is_u64(), "{name}");
        self.0["limits"][name] = json!(value);
        self
    }

    pub fn backends(mut self, which: &[usize]) -> Plan {
        let hop = json!({ "tls": "plaintext", "reach": { "kind": "same_host" } });
        let all: Vec<Value> =
            which.iter().map(|i| json!({ "at": { "kind": "unix", "path": i }, "hop": hop })).collect();
        self.way()["backends"] = json!(all);
        self
    }

    pub fn eject_on(mut self, what: &[&str]) -> Plan {
        self.way()["eject_on"] = json!(what);
        self
    }

    pub fn websocket(mut self) -> Plan {
        self.way()["upgrades"] = json!(["websocket"]);
        self
    }

    /// The hop speaks HTTP/2.
    pub fn h2(mut self) -> Plan {
        self.way()["upstream_protocol"] = json!("h2");
        self
    }

    pub fn path(mut self, prefix: &str) -> Plan {
        self.way()["path"] = json!({ "kind": "prefix", "path": prefix });
        self
    }

    /// The site asks more of handshakes.
    pub fn stricter_site(mut self) -> Plan {
        self.0["sites"][0]["policy"]["versions"] = json!(["1.3"]);
        self
    }

    /// The site has another name beside its own ones.
    pub fn wider_site(mut self) -> Plan {
        self.0["sites"][0]["hosts"] = json!(["a.test", "b.test", "c.test"]);
        self
    }

    /// The hop is one that somebody signed for, and closes then.
    pub fn accepted(mut self, closes_at_s: i64, drain_s: u32) -> Plan {
        self.0["engine"]["drain_s"] = json!(drain_s);
        let acceptance = json!({
            "owner": "test@example.com", "why": "to see it end", "context": "legacy",
            "since": "2026-01-01", "until": "2026-01-02", "closes_at_s": closes_at_s,
        });
        for backend in self.way()["backends"].as_array_mut().expect("backends") {
            backend["hop"]["reach"] = json!({ "kind": "accepted", "acceptance": acceptance });
        }
        self
    }

    pub fn text(&self, places: &[String]) -> String {
        let mut plan = self.0.clone();
        for backend in plan["routes"][0]["way"]["backends"].as_array_mut().expect("backends") {
            let i = usize::try_from(backend["at"]["path"].as_u64().expect("a place")).expect("a place");
            backend["at"]["path"] = json!(places[i]);
        }
        plan.to_string()
    }

    fn way(&mut self) -> &mut Value {
        &mut self.0["routes"][0]["way"]
    }
}
