//! Whole plans, made ready: who passes by which route. Read next: `tokens.rs`.

mod clear;
mod kept;
mod passwords;
mod tokens;

use super::{Proved, Refused, Shows, admit, admit_to_route};
use crate::exchange::asked::Asked;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_decide::{Ask, At, NoHeaders, Who};
use everyhop_record::digest::sha256_hex;
use everyhop_record::log::Logs;
use everyhop_record::refusal::Refusal;
use everyhop_running::build::Brought;
use everyhop_running::material::{Blob, Listed};
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// 2027-01-01.
const NOW_S: i64 = 1_798_761_600;
/// What tokens of the tests end at, unless they say otherwise.
const END_S: i64 = NOW_S + 3600;
const LEEWAY_S: i64 = 30;
/// Of "correct horse", by the reference implementation's own command.
const HASH: &str = "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$IWJR6forQfRjS4Y1mffdqnUx3GwYyJwSZsDZt9LHzUM";
/// Of another password, by argon2-cffi.
const OTHER_HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=4$+5Nse8EIhMOLsF3y5vxJqA$itW2LMk8mao8+q3C5Y4AlmmsB36v4CX2TM6pXilrDkA";

type Sent = Vec<(String, String)>;

fn fields(all: &[(&str, &str)]) -> Sent {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The routes of a.test, b.test and c.test.
fn plan() -> Value {
    serde_json::from_str(include_str!("../../../../../fuzz/plan.json")).expect("a plan")
}

fn way(plan: &mut Value, route: usize) -> &mut Value {
    &mut plan["routes"][route]["way"]
}

/// Makes it ready, with the keys of issuers and the users that stand in it: `(of what, its text)`.
fn running(plan: &Value, issuers: &[(&str, String)], users: Option<&str>) -> Running {
    let texts: HashMap<String, &String> = issuers.iter().map(|(id, text)| (format!("issuer/{id}"), text)).collect();
    let users = users.map_or(json!({}), |text| json!({"users/people": STANDARD.encode(text)}));
    let blob = json!({"certs": {}, "cas": {}, "issuers": texts, "users": users}).to_string();
    let blob: Blob = serde_json::from_str(&blob).expect("material");
    let listed = |id: &String, text: &str| Listed {
        id: id.clone(),
        chain_sha256: sha256_hex(text.as_bytes()),
        key_sha256: None,
        not_after_s: None,
    };
    let text = plan.to_string();
    let brought = Brought {
        zone: None,
        inspector: None,
        digest: sha256_hex(text.as_bytes()),
        text,
        material: texts.iter().map(|(id, text)| listed(id, text)).collect(),
        material_digest: String::new(),
        blob: &blob,
        names: &HashMap::new(),
        threads: 1,
        logs: &Logs::default(),
    };
    Running::build(brought, None, |_| Arc::new(AtomicU32::new(0))).unwrap_or_else(|e| panic!("{}", e.0))
}

fn of(host: &str) -> Asked {
    Asked::of(&Ask { host, path: "/", sent: "/", method: "GET", headers: &NoHeaders })
}

fn proved(listener: &'static str, shows: Shows<'static>) -> Proved<'static> {
    let who = Who::proved(&[], At::Anywhere);
    Proved { listener, site: Some(0), who, client_not_after_s: i64::MAX, shows }
}

fn at_edge(running: &Running, host: &str, headers: &Sent) -> Result<usize, Refused> {
    admit(running, &proved("public", Shows::InRequest), &of(host), headers, NOW_S)
}

fn by(route: usize, why: Refusal) -> Result<usize, Refused> {
    Err(Refused { route: Some(route), why })
}

#[test]
fn a_request_passes_by_the_route_that_is_its_own() {
    let it = running(&plan(), &[], None);
    for (route, host) in ["a.test", "b.test", "c.test"].into_iter().enumerate() {
        assert_eq!(at_edge(&it, host, &Vec::new()), Ok(route));
        assert_eq!(admit_to_route(&it, &proved("public", Shows::InRequest), &of(host), &NoHeaders, NOW_S), Ok(route));
    }
    assert!(at_edge(&it, "d.test", &Vec::new()).is_err());
}
