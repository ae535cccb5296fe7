//! What the engine tells of itself: the status, the metrics' text, and the matcher's word on a question. Made on read;
//! nothing here is on the path of a byte.

use crate::messages::{Where, refused};
use crate::metrics::{BUCKETS_US, PerThread};
use crate::refusal::Refusal;
use crate::running::{BackendRun, RouteRun, Running};
use crate::thread::Shared;
use everyhop_canon as canon;
use everyhop_decide::{Answer, Ask, HelloRefusal, Matcher, Verdict};
use everyhop_plan::{Plan, Way};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::atomic::Ordering;

fn now_s() -> i64 {
    i64::try_from(crate::observe::unix_micros() / 1_000_000).unwrap_or(i64::MAX)
}

fn parsed(line: Option<Vec<u8>>) -> Value {
    line.and_then(|l| serde_json::from_slice(&l).ok()).unwrap_or(Value::Null)
}

/// Why a route takes nothing now: every backend of it is closed.
fn closed(route: &RouteRun) -> Option<Refusal> {
    let now = now_s();
    let mut why = route.backends.iter().map(|b| b.closed(now));
    let first = why.next().flatten();
    if why.all(|w| w.is_some()) { first } else { None }
}

fn backend(it: &BackendRun) -> Value {
    let now = now_s();
    let state = match it.closed(now) {
        Some(Refusal::Unresolved) => "unresolved",
        Some(_) => "closed",
        None if it.health.is_ejected() => "ejected",
        None => "up",
    };
    let identity = match it.health.identity.load(Ordering::Relaxed) {
        1 => "demanded",
        2 => "not_demanded",
        3 => "not_presented",
        _ => "unknown",
    };
    json!({
        "at": it.at, "tls": it.tls, "state": state, "identity": identity,
        "failures": it.health.failures.load(Ordering::Relaxed),
        "requests": it.health.requests.load(Ordering::Relaxed),
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
                "requests": r.stats.sum(|t| t.requests.get()),
                "connections": r.stats.sum(|t| t.connections.get()),
                "refused": r.stats.refused(),
                "closed": closed(r).map(Refusal::slug),
                "last": parsed(r.stats.last()),
                "backends": r.backends.iter().map(|b| backend(b)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "protocol": 1, "answer": "status",
        "generation": running.generation,
        "plan_digest": running.digest, "material_digest": running.material_digest,
        "connections": shared.open.load(Ordering::Relaxed),
        "sandbox": crate::sandbox::closed(),
        "routes": routes,
        "refused": running.elsewhere.refused(),
        "handshakes": {"ok": running.elsewhere.sum(|t| t.requests.get()), "failed": running.elsewhere.refused()},
        "log_dropped": shared.log.dropped.load(Ordering::Relaxed),
        "panics": shared.panics.load(Ordering::Relaxed),
        "last_elsewhere": parsed(running.elsewhere.last()),
    })
}

pub(crate) fn where_now(shared: &Shared, ask: &Where) -> Value {
    let Some(running) = shared.running.load_full() else {
        return refused("engine/no-plan", "no plan runs yet");
    };
    judge(&running.plan, &running.matcher, ask, Some(&running))
}

/// Asks the matcher of a plan that need not run: `plan` and `ask` are JSON, and so is the answer.
pub fn where_in(plan: &str, ask: &str) -> Result<String, String> {
    let plan = everyhop_plan::read(plan).map_err(|e| e.why)?;
    let matcher = Matcher::build(&plan).map_err(|e| e.0)?;
    let ask: Where = serde_json::from_str(ask).map_err(|e| e.to_string())?;
    Ok(judge(&plan, &matcher, &ask, None).to_string())
}

struct Judged {
    verdict: &'static str,
    site: Option<usize>,
    route: Option<usize>,
    refusal: Option<Refusal>,
    why: String,
}

fn judge(plan: &Plan, matcher: &Matcher, ask: &Where, running: Option<&Running>) -> Value {
    // As on the wire: what only the edge may say, or what concerns a connection alone, decides nothing.
    let mut headers = ask.headers.clone();
    headers.retain(|(name, _)| {
        let id = everyhop_http1::field_id(name.as_bytes());
        !id.is_identity() && !id.is_hop_by_hop()
    });
    let host = canon::host::host(ask.host.as_bytes()).map(|h| h.to_string());
    let path = canon::path::path(ask.path.as_bytes()).map(|p| p.to_string());
    let judged = match (&host, &path) {
        (Err(_), _) => refuse(Refusal::BadHost),
        (_, Err(_)) => refuse(Refusal::BadTarget),
        (Ok(host), Ok(path)) => {
            let it = Ask { host, path, method: &ask.method, headers: &headers };
            decide(plan, matcher, ask, &it)
        }
    };
    let as_ask = Ask {
        host: host.as_deref().unwrap_or_default(),
        path: path.as_deref().unwrap_or_default(),
        method: &ask.method,
        headers: &headers,
    };
    let lost: Vec<Value> = matcher
        .lost(plan, &as_ask, judged.route)
        .iter()
        .map(|l| json!({"route": plan.routes.get(l.route).map(|r| &r.name), "why": l.why}))
        .collect();
    let run = judged.route.and_then(|r| running.and_then(|it| it.routes.get(r)));
    let shut = run.and_then(closed);
    let refusal = judged.refusal.or(shut);
    json!({
        "protocol": 1, "answer": "where",
        "verdict": judged.verdict,
        "site": judged.site.and_then(|s| plan.sites.get(s)).map(|s| &s.name),
        "route": judged.route.and_then(|r| plan.routes.get(r)).map(|r| &r.name),
        "status": refusal.map_or(if judged.verdict == "splice" { 0 } else { 200 }, Refusal::status),
        "slug": refusal.map(Refusal::slug),
        "why": shut.map_or(judged.why, |s| s.sentence().to_owned()),
        "lost": lost,
        "last": parsed(run.and_then(|r| r.stats.last())),
    })
}

fn refuse(why: Refusal) -> Judged {
    Judged { verdict: "refuse", site: None, route: None, refusal: Some(why), why: why.sentence().to_owned() }
}

fn decide(plan: &Plan, matcher: &Matcher, ask: &Where, it: &Ask<'_>) -> Judged {
    let listener = ask.listener.as_deref().or_else(|| plan.listeners.first().map(|l| l.name.as_str()));
    match matcher.hello(listener.unwrap_or_default(), ask.sni.as_deref()) {
        Verdict::Refuse(HelloRefusal::NoSni) => refuse(Refusal::NoSni),
        Verdict::Refuse(HelloRefusal::UnknownSni) => refuse(Refusal::UnknownSni),
        Verdict::Splice(route) => Judged {
            verdict: "splice",
            site: None,
            route: Some(route),
            refusal: None,
            why: "the hello's server name belongs to a passthrough route".into(),
        },
        Verdict::Terminate(site) => match matcher.ask(site, it) {
            Answer::NotFound => Judged { site: Some(site), ..refuse(Refusal::NotFound) },
            Answer::Misdirected => Judged { site: Some(site), ..refuse(Refusal::Misdirected) },
            Answer::Ambiguous => Judged { site: Some(site), ..refuse(Refusal::BadTarget) },
            Answer::Route(route) if !allowed(plan, route, ask) => {
                Judged { site: Some(site), route: Some(route), ..refuse(Refusal::ClientNotAllowed) }
            }
            Answer::Route(route) => Judged {
                verdict: "terminate",
                site: Some(site),
                route: Some(route),
                refusal: None,
                why: "host, path, method and headers match this route best".into(),
            },
        },
    }
}

/// Unless the question says who the client proved to be, an allow-list is taken as passed.
fn allowed(plan: &Plan, route: usize, ask: &Where) -> bool {
    match (plan.routes.get(route).map(|r| &r.way), &ask.client) {
        (Some(Way::AtEdge { allow_clients: Some(allow), .. }), Some(names)) => names.iter().any(|n| allow.contains(n)),
        _ => true,
    }
}

/// The Prometheus text format, version 0.0.4.
pub(crate) fn metrics(shared: &Shared) -> String {
    let mut out = String::with_capacity(4096);
    let Some(running) = shared.running.load_full() else { return out };
    gauge(&mut out, "everyhop_connections", "open client connections", shared.open.load(Ordering::Relaxed));
    gauge(&mut out, "everyhop_plan_generation", "plans applied since the engine started", running.generation);
    let info = "# HELP everyhop_plan_info the plan that runs\n# TYPE everyhop_plan_info gauge";
    let _ = writeln!(
        out,
        "{info}\neveryhop_plan_info{{digest=\"{}\",material=\"{}\"}} 1",
        running.digest, running.material_digest
    );
    counter(&mut out, "everyhop_log_dropped_lines_total", "access log lines dropped");
    let _ = writeln!(out, "everyhop_log_dropped_lines_total {}", shared.log.dropped.load(Ordering::Relaxed));
    counter(&mut out, "everyhop_panics_total", "connections ended by a panic");
    let _ = writeln!(out, "everyhop_panics_total {}", shared.panics.load(Ordering::Relaxed));
    per_route(&mut out, &running, "everyhop_requests_total", "requests", |t| t.requests.get());
    per_route(&mut out, &running, "everyhop_route_connections_total", "connections", |t| t.connections.get());
    per_route(&mut out, &running, "everyhop_received_bytes_total", "bytes from clients", |t| t.bytes_in.get());
    per_route(&mut out, &running, "everyhop_sent_bytes_total", "bytes to clients", |t| t.bytes_out.get());
    classes(&mut out, &running);
    durations(&mut out, &running);
    refusals(&mut out, &running);
    expiries(&mut out, &running);
    backends(&mut out, &running);
    out
}

fn counter(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
}

fn gauge(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// A label's value. Names come from the plan, never from a peer, so their number is bounded (A03).
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn per_route(out: &mut String, running: &Running, name: &str, help: &str, f: impl Fn(&PerThread) -> u64) {
    counter(out, name, help);
    for r in &running.routes {
        let _ = writeln!(out, "{name}{{route=\"{}\",pattern=\"{}\"}} {}", label(&r.name), r.pattern, r.stats.sum(&f));
    }
}

fn classes(out: &mut String, running: &Running) {
    counter(out, "everyhop_responses_total", "responses by status class");
    for r in &running.routes {
        for class in 0..5usize {
            let n = r.stats.sum(|t| t.classes.get(class).map_or(0, |c| c.get()));
            let name = label(&r.name);
            let _ = writeln!(out, "everyhop_responses_total{{route=\"{name}\",class=\"{}xx\"}} {n}", class + 1);
        }
    }
}

fn durations(out: &mut String, running: &Running) {
    let name = "everyhop_request_duration_seconds";
    let _ = writeln!(out, "# HELP {name} from the head to the end of the answer\n# TYPE {name} histogram");
    for r in &running.routes {
        let route = label(&r.name);
        let mut sum = 0;
        for (i, bound) in BUCKETS_US.iter().enumerate() {
            sum += r.stats.sum(|t| t.durations.get(i).map_or(0, |c| c.get()));
            let (s, us) = (bound / 1_000_000, bound % 1_000_000);
            let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{s}.{us:06}\"}} {sum}");
        }
        let all = r.stats.sum(|t| t.requests.get());
        let us = r.stats.sum(|t| t.duration_us.get());
        let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {all}");
        let _ = writeln!(out, "{name}_sum{{route=\"{route}\"}} {}.{:06}", us / 1_000_000, us % 1_000_000);
        let _ = writeln!(out, "{name}_count{{route=\"{route}\"}} {all}");
    }
}

fn refusals(out: &mut String, running: &Running) {
    counter(out, "everyhop_refused_total", "connections and requests refused, by slug");
    for (slug, n) in running.elsewhere.refused() {
        let _ = writeln!(out, "everyhop_refused_total{{route=\"\",slug=\"{slug}\"}} {n}");
    }
    for r in &running.routes {
        for (slug, n) in r.stats.refused() {
            let _ = writeln!(out, "everyhop_refused_total{{route=\"{}\",slug=\"{slug}\"}} {n}", label(&r.name));
        }
    }
}

fn expiries(out: &mut String, running: &Running) {
    let name = "everyhop_expires_timestamp_seconds";
    let _ = writeln!(out, "# HELP {name} when an acceptance or certificate ends\n# TYPE {name} gauge");
    for r in &running.routes {
        if let Some(until) = r.backends.iter().map(|b| b.closes_at_s).filter(|s| *s != i64::MAX).min() {
            let _ = writeln!(out, "{name}{{kind=\"acceptance\",name=\"{}\"}} {until}", label(&r.name));
        }
    }
    for m in &running.material {
        if let Some(until) = m.not_after_s {
            let _ = writeln!(out, "{name}{{kind=\"certificate\",name=\"{}\"}} {until}", label(&m.id));
        }
    }
}

fn backends(out: &mut String, running: &Running) {
    let name = "everyhop_backend_up";
    let _ = writeln!(out, "# HELP {name} 1 if the backend is offered connections\n# TYPE {name} gauge");
    for r in &running.routes {
        for b in &r.backends {
            let up = u8::from(b.closed(now_s()).is_none() && !b.health.is_ejected());
            let _ = writeln!(
                out,
                "{name}{{route=\"{}\",backend=\"{}\",tls=\"{}\"}} {up}",
                label(&r.name),
                label(&b.at),
                b.tls
            );
        }
    }
    let name = "everyhop_identity_not_demanded";
    let _ = writeln!(out, "# HELP {name} 1 if a mutual backend does not ask for our certificate\n# TYPE {name} gauge");
    for r in &running.routes {
        for b in r.backends.iter().filter(|b| b.tls == "mutual") {
            let alarm = u8::from(b.health.identity.load(Ordering::Relaxed) == 2);
            let _ = writeln!(out, "{name}{{route=\"{}\",backend=\"{}\"}} {alarm}", label(&r.name), label(&b.at));
        }
    }
}
