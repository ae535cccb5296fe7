//! The keys of an issuer from its server, asked for in the supervisor's process: as the plan says that the hop is, with the
//! material that goes with it. It judges nothing of what comes. Read next: the engine's `fetch.rs`.

use everyhop_engine::fetch::{Ask, fetch};
use everyhop_plan::Keys;
use everyhop_running::address::Found;
use everyhop_running::alone::alone;
use everyhop_running::material::{Blob, Listed};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// What is asked, beside the plan and its material.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Of {
    issuer: String,
    material: Vec<Listed>,
    names: HashMap<String, Vec<Found>>,
    within_ms: u64,
    most_bytes: usize,
}

/// The answer of the server that `issuer` has in `plan`, as JSON: either what came, or a reason with a slug. Blocks until then.
///
/// Refuses what the compiler has judged before: a plan that cannot be read, an issuer without a server, material that is not there.
pub fn fetch_keys(plan: &str, blob: &[u8], ask: &str) -> Result<String, String> {
    let plan = everyhop_plan::read(plan).map_err(|e| e.why)?;
    let blob: Blob = serde_json::from_slice(blob).map_err(|e| e.to_string())?;
    let of: Of = serde_json::from_str(ask).map_err(|e| e.to_string())?;
    let issuer = plan.issuers.iter().find(|it| it.name == of.issuer).ok_or("there is no such issuer")?;
    let Keys::Server { authority, path, backend } = &issuer.keys else {
        return Err("its keys are in a file".to_owned());
    };
    let backend = alone(backend, &plan.identities, &of.material, &blob, &of.names).map_err(|e| e.0)?;
    let ask = Ask {
        authority: authority.clone(),
        path: path.clone(),
        limits: plan.limits.clone(),
        within: Duration::from_millis(of.within_ms),
        most_bytes: of.most_bytes,
    };
    let told = match fetch(&backend, &ask) {
        Ok(it) => json!({
            "status": it.status,
            "cache_control": texts(&it.cache_control),
            "age": texts(&it.age),
            "body": String::from_utf8_lossy(&it.body),
            "is_text": std::str::from_utf8(&it.body).is_ok(),
            "bytes": it.body.len(),
            "hop": serde_json::from_str::<Value>(&it.hop).unwrap_or(Value::Null),
        }),
        Err(it) => json!({ "slug": it.why.slug(), "why": it.why.sentence(), "detail": it.detail }),
    };
    Ok(told.to_string())
}

fn texts(values: &[Vec<u8>]) -> Vec<String> {
    values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect()
}
