//! What the engine tells of itself in `status`: routes with their backends, counts, refusals and last observations. Made
//! on read; nothing here is on the path of a byte. Read next: `metrics_text.rs`, `where.rs`.

use everyhop_engine::worker::shared::Shared;
use everyhop_record::json::stamp;
use everyhop_record::refusal::Refusal;
use everyhop_record::spans::Lost;
use everyhop_record::times::{CLASSES, Times};
use everyhop_running::address::Address;
use everyhop_running::asks::AsksRun;
use everyhop_running::backend::BackendRun;
use everyhop_running::checked::{Checked, Seen};
use everyhop_running::mirror::MirrorRun;
use everyhop_running::running::{Listening, RouteRun};
use everyhop_running::traces::TracesRun;
use everyhop_transport::clock::unix_micros;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn now_s() -> i64 {
    i64::try_from(unix_micros() / 1_000_000).unwrap_or(i64::MAX)
}

pub(crate) fn parsed(line: Option<Vec<u8>>) -> Value {
    line.and_then(|l| serde_json::from_slice(&l).ok()).unwrap_or(Value::Null)
}

/// Answers of its backends by the class of their status, as `/metrics` counts them; only classes that were seen.
fn answered(route: &RouteRun) -> HashMap<String, u64> {
    let count = |class: usize| route.stats.sum(|t| t.first_bytes(class, Times::count));
    (1..CLASSES).map(|class| (format!("{class}xx"), count(class))).filter(|(_, n)| *n > 0).collect()
}

/// Why a route takes nothing now: every backend of it is closed.
pub(crate) fn closed(route: &RouteRun) -> Option<Refusal> {
    let now = now_s();
    let mut why = route.backends.iter().map(|b| b.closed(now));
    let first = why.next().flatten();
    if why.all(|w| w.is_some()) { first } else { None }
}

fn backend(it: &BackendRun, sent: &AtomicU64, zone: Option<&str>, route: &RouteRun) -> Value {
    let now = now_s();
    let state = match it.closed(now) {
        Some(Refusal::Unresolved) => "unresolved",
        Some(_) => "closed",
        None if it.health.is_down() => "down",
        None if it.health.rests() => "ejected",
        None => "up",
    };
    let identity = match it.health.identity.load(Ordering::Relaxed) {
        1 => "demanded",
        2 => "not_demanded",
        3 => "not_presented",
        4 => "refused",
        _ => "unknown",
    };
    let addresses = it.addresses.load();
    let last = addresses.iter().filter_map(|a| a.fares.last()).max_by_key(|(micros, _)| *micros);
    json!({
        "at": it.at, "tls": it.tls, "zone": zone, "state": state, "identity": identity,
        "failures": addresses.iter().map(|a| a.fares.failures.load(Ordering::Relaxed)).sum::<u32>(),
        "requests": sent.load(Ordering::Relaxed), "open": it.open.load(Ordering::Relaxed),
        "impostor": addresses.iter().any(|a| a.fares.impostor.load(Ordering::Relaxed)),
        "failed": it.health.failed().into_iter().collect::<HashMap<_, _>>(),
        "last_failure": parsed(last.map(|(_, text)| text)),
        "addresses": addresses.iter().map(|a| address(a, route)).collect::<Vec<_>>(),
        "check": it.check.as_ref().map(|_| check(it)),
    })
}

/// What checks found, of all its addresses together; `seen` is what the last one that failed saw.
fn check(it: &BackendRun) -> Value {
    let sum = |f: fn(&Checked) -> &AtomicU64| -> u64 {
        it.addresses.load().iter().map(|a| f(&a.fares.checked).load(Ordering::Relaxed)).sum()
    };
    let seen = saw(it);
    json!({
        "passed": sum(|c| &c.passed), "failed": sum(|c| &c.failed),
        "seen": seen.as_ref().map(|s| &*s.words), "seen_at": seen.as_ref().map(|s| time(s.micros)),
        "refused": it.refused().map(Refusal::slug),
    })
}

/// What the last check of it that failed saw.
pub(crate) fn saw(it: &BackendRun) -> Option<Seen> {
    let addresses = it.addresses.load();
    addresses.iter().filter_map(|a| a.fares.checked.seen()).max_by_key(|seen| seen.micros)
}

/// The rule by which it is ejected, with its figures: `row` failures, where the route lets `after` pass in a row and one that came
/// back none; it is asked again each `every_s`.
fn ejected(it: &Address, route: &RouteRun) -> Option<Value> {
    let (rule, row) = it.fares.ejected_by()?;
    let limits = &route.limits;
    let mut told = json!({"rule": rule, "row": row, "after": limits.eject_after, "every_s": limits.eject_s});
    if let ("slow", Some(most), Some(told)) = (rule, route.slow, told.as_object_mut()) {
        told.insert("slow_ms".to_owned(), json!(most.as_millis()));
    }
    Some(told)
}

fn address(it: &Address, route: &RouteRun) -> Value {
    json!({
        "at": it.at.map(|at| at.to_string()),
        "state": match &it.fares {
            fares if fares.checked.is_down() => "down",
            fares if fares.is_ejected() => "ejected",
            _ => "up",
        },
        "ejected": ejected(it, route),
        "failures": it.fares.failures.load(Ordering::Relaxed),
        "impostor": it.fares.impostor.load(Ordering::Relaxed),
        "last_failure": parsed(it.fares.last().map(|(_, text)| text)),
    })
}

/// The zone of a route's backend, by its index.
pub(crate) fn zone_of(route: &RouteRun, index: usize) -> Option<&str> {
    route.spread.as_ref()?.shares.get(index)?.zone.as_deref()
}

/// Where copies go, and what became of those that were chosen so far.
fn mirror(it: &MirrorRun) -> Value {
    json!({
        "under_way": it.under_way(),
        "counted": it.counted().collect::<HashMap<_, _>>(),
        "backends": it.to.backends.iter().zip(&it.to.sent).map(|(b, sent)| backend(b, sent, None, &it.to)).collect::<Vec<_>>(),
    })
}

/// Who is asked about requests, and what came of that.
fn asks(it: &AsksRun) -> Value {
    json!({
        "name": it.by.name, "under_way": it.under_way(),
        "counted": it.counted().collect::<HashMap<_, _>>(),
        "backends": it.to.backends.iter().zip(&it.to.sent).map(|(b, sent)| backend(b, sent, None, &it.to)).collect::<Vec<_>>(),
    })
}

/// Its acceptance is over: it serves nothing of what comes in the clear.
pub(crate) fn expired(it: &Listening) -> bool {
    now_s() >= it.speaks.closes_at_s()
}

/// When each was refused last.
fn times(refused: HashMap<&'static str, (u64, u64)>) -> HashMap<&'static str, String> {
    refused.into_iter().map(|(slug, (_, last))| (slug, time(last))).collect()
}

fn time(micros: u64) -> String {
    let mut text = Vec::with_capacity(32);
    stamp(&mut text, micros);
    String::from_utf8_lossy(&text).into_owned()
}

/// What became of what the edge tells a collector.
fn traces(shared: &Shared, it: &TracesRun) -> Value {
    let all = &shared.spans;
    let lost: HashMap<&str, u64> = Lost::ALL.into_iter().map(|why| (why.word(), all.lost(why))).collect();
    json!({
        "collector": it.collector, "at": it.backends.iter().map(|b| &b.at).collect::<Vec<_>>(),
        "sent": all.sent.load(Ordering::Relaxed), "failed": all.failed.load(Ordering::Relaxed),
        "dropped": lost, "waiting": all.count(), "trouble": all.trouble(),
    })
}

pub(crate) fn status(shared: &Shared) -> Value {
    let Some(running) = shared.running.load_full() else {
        return json!({"protocol": 1, "answer": "status", "generation": 0, "plan_digest": null, "routes": []});
    };
    let routes: Vec<Value> = running
        .routes
        .iter()
        .map(|r| {
            json!({
                "name": &*r.name, "pattern": r.pattern,
                "requests": r.stats.sum(|t| t.requests()),
                "connections": r.stats.sum(|t| t.connections.get()),
                "answered": answered(r),
                "refused": r.stats.refused(),
                "refused_last": times(r.stats.refused_last()),
                "panics": r.panics(now_s()),
                "closed": closed(r).map(Refusal::slug),
                "last": parsed(r.stats.last()),
                "mirror": r.mirror.as_deref().map(mirror),
                "stays_ppm": r.stays_ppm(now_s()),
                "backends": r.backends.iter().zip(&r.sent).enumerate().map(|(i, (b, sent))| {
                    backend(b, sent, zone_of(r, i), r)
                }).collect::<Vec<_>>(),
            })
        })
        .collect();
    let listener = |it: &Arc<Listening>| {
        json!({
            "name": it.name, "connections": it.count.load(Ordering::Relaxed),
            "redirected": it.redirected.load(Ordering::Relaxed),
            "closed": expired(it).then(|| Refusal::PlainExpired.slug()),
        })
    };
    let mut failed = running.elsewhere.refused();
    failed.retain(|slug, _| Refusal::is_of_handshake(slug));
    json!({
        "protocol": 1, "answer": "status",
        "generation": running.generation,
        "zone": running.zone,
        "plan_digest": running.digest, "material_digest": running.material_digest,
        "connections": shared.clients.open(),
        "sandbox": crate::sandbox::closed(),
        "listeners": running.listeners.iter().map(listener).collect::<Vec<_>>(),
        "routes": routes,
        "limits": crate::metrics_limits::told(&running),
        "authorizers": running.asks.iter().map(|it| asks(it)).collect::<Vec<_>>(),
        "stores": crate::metrics_limits::stores_told(&running),
        "wafs": crate::metrics_waf::told(shared, &running),
        "refused": running.elsewhere.refused(),
        "refused_last": times(running.elsewhere.refused_last()),
        "handshakes": {"ok": running.elsewhere.sum(|t| t.handshakes.get()), "failed": failed},
        "probes": running.elsewhere.sum(|t| t.probes.get()),
        "log_dropped": shared.logs.dropped.load(Ordering::Relaxed),
        "traces": running.traces.as_ref().map(|t| traces(shared, t)),
        "panics": shared.panics.load(Ordering::Relaxed),
        "last_elsewhere": parsed(running.elsewhere.last()),
    })
}
