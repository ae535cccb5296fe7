//! What is wrong now, as far as the engine sees it, and what its supervisor told it: the same for `status`, `/metrics` and
//! `/readyz`. Made on read; nothing here is on the path of a byte. Read next: `report.rs`.

use crate::messages::{PROTOCOL, Told};
use crate::report::{closed, expired, now_s, parsed, saw};
use everyhop_engine::worker::shared::Shared;
use everyhop_plan::Place;
use everyhop_record::printable::printable;
use everyhop_record::refusal::Refusal;
use everyhop_record::trouble::{TROUBLES, Trouble};
use everyhop_running::address::{Address, ERRORS, SLOW};
use everyhop_running::backend::BackendRun;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::clock::steady_ms;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// A supervisor tells us every second; one that compiles a large file is silent for some.
const SILENT_MS: u64 = 60_000;

/// Takes what the supervisor says is wrong; gives what the engine sees itself.
pub(crate) fn take(shared: &Shared, told: Vec<Told>) -> Value {
    let mut kept = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
    kept.troubles = told.into_iter().map(|t| Trouble { kind: t.kind, about: t.about, why: t.why }).collect();
    kept.at_ms = steady_ms().max(1);
    drop(kept);
    let seen: Vec<Value> =
        seen(shared).iter().map(|t| json!({"kind": t.kind, "about": t.about, "why": t.why})).collect();
    let running = shared.running.load_full();
    let digest = running.as_ref().map(|r| &r.digest);
    let unreached = running.as_ref().map(|r| unreached(r)).unwrap_or_default();
    json!({
        "protocol": PROTOCOL, "answer": "troubles", "troubles": seen, "plan_digest": digest, "unreached": unreached,
    })
}

/// Names of backends of which an address could not be reached when it was tried last: they may have moved.
fn unreached(running: &Running) -> BTreeSet<&str> {
    let backends = running.backends();
    let failing = |b: &BackendRun| b.addresses.load().iter().any(|a| a.fares.failures.load(Ordering::Relaxed) > 0);
    let named = backends.filter_map(|b| match &b.place {
        Place::Name { name, .. } if failing(b) => Some(name.as_str()),
        Place::Service { .. } if failing(b) => Some(b.at.as_str()),
        _ => None,
    });
    named.collect()
}

/// All of it, the worst first.
pub(crate) fn all(shared: &Shared) -> Vec<Trouble> {
    let mut found = seen(shared);
    let told = shared.told.lock().unwrap_or_else(PoisonError::into_inner);
    match told.at_ms {
        0 => {}
        at if steady_ms().saturating_sub(at) > SILENT_MS => found.push(Trouble::new("supervisor-gone", "", "")),
        _ => found.extend(told.troubles.iter().cloned()),
    }
    drop(told);
    found.sort_by_key(|t| TROUBLES.iter().position(|(kind, _, _)| *kind == t.kind).unwrap_or(TROUBLES.len()));
    found
}

/// One a line, for who reads `/readyz`.
pub(crate) fn lines(troubles: &[Trouble]) -> String {
    let line = |t: &Trouble| format!("{} {}", printable(&t.kind), printable(&t.about)).trim_end().to_owned() + "\n";
    troubles.iter().map(line).collect()
}

/// What the engine sees by itself.
fn seen(shared: &Shared) -> Vec<Trouble> {
    let mut found = Vec::new();
    let Some(running) = shared.running.load_full() else { return found };
    logs(shared, &running, &mut found);
    routes(&running, &mut found);
    collector(shared, &running, &mut found);
    stores(&running, &mut found);
    crate::metrics_waf::trouble(shared, &running, &mut found);
    for it in running.listeners.iter().filter(|it| expired(it)) {
        found.push(Trouble::new("listener-closed", format!("listener {}", it.name), Refusal::PlainExpired.slug()));
    }
    found
}

/// Where the lines of what reached no route go is where every request may have one; at another place those of its routes.
fn logs(shared: &Shared, running: &Running, found: &mut Vec<Trouble>) {
    for it in shared.logs.all() {
        let main = running.lines.is_to(&it);
        if main && it.must_refuse() {
            found.push(Trouble::new("log-refuses", "", ""));
        } else if it.must_refuse() || it.is_broken() {
            let why = if it.must_refuse() { "the requests of its routes are refused" } else { "" };
            found.push(Trouble::new("log-broken", if main { "" } else { &it.place }, why));
        }
    }
}

/// That nobody takes what the edge tells, and what is wrong with the hop there.
fn collector(shared: &Shared, running: &Running, found: &mut Vec<Trouble>) {
    let Some(traces) = &running.traces else { return };
    let about = format!("collector {}", traces.collector);
    if let Some(why) = shared.spans.trouble() {
        found.push(Trouble::new("traces-undelivered", about.clone(), why));
    }
    for it in &traces.backends {
        let at = || format!("{} of {about}", it.at);
        if it.addresses.load().iter().any(|a| a.fares.impostor.load(Ordering::Relaxed)) {
            found.push(Trouble::new("impostor", at(), ""));
        }
        match it.health.identity.load(Ordering::Relaxed) {
            2 => found.push(Trouble::new("identity-not-demanded", at(), "")),
            4 => found.push(Trouble::new("identity-refused", at(), "")),
            _ => {}
        }
    }
}

/// That limits are counted here alone, or nothing of them passes.
fn stores(running: &Running, found: &mut Vec<Trouble>) {
    for it in &running.stores {
        if let Some(why) = it.questions.trouble() {
            found.push(Trouble::new("store-silent", format!("store {}", it.plan.name), why));
        }
    }
}

fn routes(running: &Running, found: &mut Vec<Trouble>) {
    let mut told = HashSet::new();
    let mut shut = 0;
    for route in &running.routes {
        if let Some(why) = closed(route) {
            shut += 1;
            found.push(Trouble::new("route-closed", route_name(route), why.slug()));
        }
        if route.panics(now_s()) {
            found.push(Trouble::new("route-panics", route_name(route), ""));
        }
        for backend in &route.backends {
            // Routes share backends: what is wrong with one is told once, by the first of them.
            if told.insert(backend.hop_id) {
                of_backend(&format!("backend {} of route {}", backend.at, route.name), backend, found);
            }
        }
        for backend in route.mirror.iter().flat_map(|m| &m.to.backends) {
            if told.insert(backend.hop_id) {
                of_backend(&format!("mirror {} of route {}", backend.at, route.name), backend, found);
            }
        }
    }
    for it in &running.asks {
        for backend in &it.to.backends {
            if told.insert(backend.hop_id) {
                of_backend(&format!("authorizer {} at {}", it.by.name, backend.at), backend, found);
            }
        }
    }
    if shut > 0 && shut == running.routes.len() {
        found.push(Trouble::new("nothing-served", "", ""));
    }
}

fn route_name(route: &RouteRun) -> String {
    format!("route {}", route.name)
}

/// What it was ejected for, where answers came: there is no failure to tell of.
fn answers_badly(it: &Address) -> Option<&'static str> {
    match it.fares.ejected_for.load(Ordering::Relaxed) {
        ERRORS => Some("its answers are 5xx"),
        SLOW => Some("its answers begin late"),
        _ => None,
    }
}

fn of_backend(about: &str, it: &BackendRun, found: &mut Vec<Trouble>) {
    let about = || about.to_owned();
    let addresses = it.addresses.load();
    let last = || {
        let last = addresses.iter().filter_map(|a| a.fares.last()).max_by_key(|(micros, _)| *micros);
        let said = parsed(last.map(|(_, text)| text));
        said.get("end").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let impostor = addresses.iter().any(|a| a.fares.impostor.load(Ordering::Relaxed));
    if impostor {
        found.push(Trouble::new("impostor", about(), last()));
    }
    if it.health.is_down() {
        found.push(Trouble::new("backend-down", about(), saw(it).map(|seen| seen.words).unwrap_or_default()));
    } else if impostor {
        // It was told.
    } else if it.health.rests() {
        let why = addresses.iter().find_map(answers_badly).map_or_else(last, str::to_owned);
        found.push(Trouble::new("backend-ejected", about(), why));
    } else if addresses.iter().any(|a| a.fares.failures.load(Ordering::Relaxed) > 0) {
        found.push(Trouble::new("backend-failing", about(), last()));
    }
    match it.health.identity.load(Ordering::Relaxed) {
        2 => found.push(Trouble::new("identity-not-demanded", about(), "")),
        4 => found.push(Trouble::new("identity-refused", about(), "")),
        _ => {}
    }
}
