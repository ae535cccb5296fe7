//! The metrics in Prometheus' text format, made on read. Every label's value comes from the plan, never from a peer.
//! Read next: `status.rs`, which serves them.

use crate::metrics_asks::{self, asks};
use crate::metrics_exchanges::exchanges;
use crate::metrics_limits::{limits, stores};
use crate::metrics_mirrors::mirrors;
use crate::metrics_passwords::passwords;
use crate::metrics_signatures::signatures;
use crate::metrics_times::{durations, first_bytes};
use crate::metrics_waf;
use crate::metrics_zones::zones;
use crate::report::now_s;
use everyhop_engine::worker::shared::Shared;
use everyhop_plan::{EjectOn, Speaks};
use everyhop_record::counters::PerThread;
use everyhop_record::grpc::CODES;
use everyhop_record::printable::printable;
use everyhop_record::spans::Lost;
use everyhop_record::times::CLASSES;
use everyhop_record::trouble::{TROUBLES, Trouble};
use everyhop_running::address::{CONNECTS, ERRORS, SLOW, TIMEOUTS, rule};
use everyhop_running::running::Running;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// The Prometheus text format, version 0.0.4.
pub(crate) fn metrics(shared: &Shared, wrong: &[Trouble], ready: bool) -> String {
    let mut out = String::with_capacity(4096);
    let Some(running) = shared.running.load_full() else { return out };
    gauge(&mut out, "everyhop_connections", "open client connections", shared.clients.open());
    gauge(&mut out, "everyhop_plan_generation", "plans applied since the engine started", running.generation);
    let info = "# HELP everyhop_plan_info the plan that runs\n# TYPE everyhop_plan_info gauge";
    let _ = writeln!(
        out,
        "{info}\neveryhop_plan_info{{digest=\"{}\",material=\"{}\"}} 1",
        running.digest, running.material_digest
    );
    counter(&mut out, "everyhop_log_dropped_lines_total", "access log lines dropped");
    let _ = writeln!(out, "everyhop_log_dropped_lines_total {}", shared.logs.dropped.load(Ordering::Relaxed));
    counter(&mut out, "everyhop_panics_total", "connections ended by a panic");
    let _ = writeln!(out, "everyhop_panics_total {}", shared.panics.load(Ordering::Relaxed));
    per_route(&mut out, &running, "everyhop_requests_total", "requests", |t| t.requests());
    per_route(&mut out, &running, "everyhop_route_connections_total", "connections", |t| t.connections.get());
    per_route(&mut out, &running, "everyhop_received_bytes_total", "bytes from clients", |t| t.bytes_in.get());
    per_route(&mut out, &running, "everyhop_sent_bytes_total", "bytes to clients", |t| t.bytes_out.get());
    counter(&mut out, "everyhop_handshakes_total", "TLS handshakes of clients that went well");
    let _ = writeln!(out, "everyhop_handshakes_total {}", running.elsewhere.sum(|t| t.handshakes.get()));
    exchanges(&mut out, &running);
    counter(&mut out, "everyhop_probes_total", "connections that ended without a byte, as health checks of TCP do");
    let _ = writeln!(out, "everyhop_probes_total {}", running.elsewhere.sum(|t| t.probes.get()));
    listeners(&mut out, &running);
    turns(&mut out, &running);
    under_way(&mut out, &running);
    open(&mut out, &running);
    retries(&mut out, &running);
    mirrors(&mut out, &running);
    asks(&mut out, &running);
    passwords(&mut out, shared);
    signatures(&mut out);
    metrics_waf::wafs(&mut out, shared, &running);
    zones(&mut out, &running);
    limits(&mut out, &running);
    stores(&mut out, &running);
    classes(&mut out, &running);
    calls(&mut out, &running);
    durations(&mut out, &running);
    first_bytes(&mut out, &running);
    refusals(&mut out, &running);
    expiries(&mut out, &running);
    keys(&mut out, &running);
    backends(&mut out, &running);
    spans(&mut out, shared, &running);
    gauge(&mut out, "everyhop_ready", "1 if /readyz says so", u8::from(ready));
    troubles(&mut out, wrong);
    out
}

/// What is wrong now: each kind with its number, and each thing with its name.
fn troubles(out: &mut String, wrong: &[Trouble]) {
    let name = "everyhop_troubles";
    let _ = writeln!(out, "# HELP {name} how much is wrong now, by kind\n# TYPE {name} gauge");
    for (kind, _, _) in TROUBLES {
        let _ = writeln!(out, "{name}{{kind=\"{kind}\"}} {}", wrong.iter().filter(|t| t.kind == *kind).count());
    }
    let name = "everyhop_trouble_info";
    let _ = writeln!(out, "# HELP {name} 1 for each thing that is wrong now\n# TYPE {name} gauge");
    for it in wrong {
        let _ = writeln!(out, "{name}{{kind=\"{}\",about=\"{}\"}} 1", label(&it.kind), label(&it.about));
    }
}

pub(crate) fn counter(out: &mut String, name: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
}

fn gauge(out: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

/// A label's value. Names come from the plan, so their number is bounded (threat A03).
pub(crate) fn label(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn per_route(out: &mut String, running: &Running, name: &str, help: &str, f: impl Fn(&PerThread) -> u64) {
    counter(out, name, help);
    for r in &running.routes {
        let _ = writeln!(out, "{name}{{route=\"{}\",pattern=\"{}\"}} {}", label(&r.name), r.pattern, r.stats.sum(&f));
    }
}

fn classes(out: &mut String, running: &Running) {
    counter(
        out,
        "everyhop_responses_total",
        "responses by status class, a failed call of gRPC by HTTP's that stands for it; without a route: the edge's own",
    );
    let of_routes = running.routes.iter().map(|r| (&*r.name, &r.stats));
    for (name, stats) in std::iter::once(("", &running.elsewhere)).chain(of_routes) {
        for class in 1..CLASSES {
            let n = stats.sum(|t| t.answers(class));
            let name = label(name);
            let _ = writeln!(out, "everyhop_responses_total{{route=\"{name}\",class=\"{class}xx\"}} {n}");
        }
    }
}

fn listeners(out: &mut String, running: &Running) {
    let name = "everyhop_listener_connections";
    let _ = writeln!(out, "# HELP {name} open client connections by listener\n# TYPE {name} gauge");
    for it in &running.listeners {
        let _ = writeln!(out, "{name}{{listener=\"{}\"}} {}", label(&it.name), it.count.load(Ordering::Relaxed));
    }
    let name = "everyhop_redirected_total";
    counter(out, name, "requests in the clear that were sent to https");
    for it in running.listeners.iter().filter(|it| matches!(it.speaks, Speaks::Redirect { .. })) {
        let _ = writeln!(out, "{name}{{listener=\"{}\"}} {}", label(&it.name), it.redirected.load(Ordering::Relaxed));
    }
}

/// What is under way, and what waits where that has a bound.
fn turns(out: &mut String, running: &Running) {
    let bounded = || running.routes.iter().filter_map(|r| Some((label(&r.name), r.turns.as_ref()?)));
    let name = "everyhop_route_requests_under_way";
    let _ = writeln!(
        out,
        "# HELP {name} requests and tunnels under way; with most, those whose turn it is\n# TYPE {name} gauge"
    );
    for r in &running.routes {
        let carried = || r.stats.sum(|t| t.under_way.get());
        let n = r.turns.as_ref().map_or_else(carried, |it| it.counts().0.into());
        let _ = writeln!(out, "{name}{{route=\"{}\"}} {n}", label(&r.name));
    }
    let name = "everyhop_route_requests_waiting";
    let _ = writeln!(out, "# HELP {name} requests that wait for their turn, of routes with most\n# TYPE {name} gauge");
    for (route, turns) in bounded() {
        let _ = writeln!(out, "{name}{{route=\"{route}\"}} {}", turns.counts().1);
    }
}

/// Of routes that spread their requests, which count them for it.
fn under_way(out: &mut String, running: &Running) {
    let name = "everyhop_backend_requests_under_way";
    let help =
        "requests under way at the backend, or connections, of routes with balance, weights, health and their like";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for r in &running.routes {
        for (b, share) in r.backends.iter().zip(r.spread.iter().flat_map(|s| &s.shares)) {
            let n = share.under_way.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{route=\"{}\",backend=\"{}\"}} {n}", label(&r.name), label(&b.at));
        }
    }
}

/// Of routes that let only so many be open.
fn open(out: &mut String, running: &Running) {
    let bounded = || running.routes.iter().filter_map(|r| Some((r, r.connections?)));
    let each =
        || bounded().flat_map(|(r, most)| r.backends.iter().map(move |b| (label(&r.name), label(&b.at), b, most)));
    let name = "everyhop_backend_connections";
    let help = "connections that are open to the backend, of routes with most.connections";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (route, at, b, _) in each() {
        let open = b.open.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}{{route=\"{route}\",backend=\"{at}\"}} {open}");
    }
    let name = "everyhop_backend_connections_limit";
    let help = "how many there may be (most.connections, and one for each thread)";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (route, at, _, most) in each() {
        let _ = writeln!(out, "{name}{{route=\"{route}\",backend=\"{at}\"}} {most}");
    }
}

/// Of routes that have them.
fn retries(out: &mut String, running: &Running) {
    let with = || running.routes.iter().filter_map(|r| Some((label(&r.name), r.retries.as_ref()?.counted())));
    let name = "everyhop_retries_total";
    counter(out, name, "requests that went to another backend after an answer that was none, of routes with retries");
    for (route, (again, _)) in with() {
        let _ = writeln!(out, "{name}{{route=\"{route}\"}} {again}");
    }
    let name = "everyhop_retries_over_budget_total";
    counter(out, name, "requests that would have gone to another backend, and did not for retries.budget_percent");
    for (route, (_, over)) in with() {
        let _ = writeln!(out, "{name}{{route=\"{route}\"}} {over}");
    }
}

/// Only what was called: most routes are of no such protocol.
fn calls(out: &mut String, running: &Running) {
    let name = "everyhop_grpc_calls_total";
    counter(out, name, "calls of gRPC by the status that they ended with");
    for r in &running.routes {
        for code in 0..CODES {
            let n = r.stats.sum(|t| t.calls.get(code).map_or(0, |c| c.get()));
            if n > 0 {
                let _ = writeln!(out, "{name}{{route=\"{}\",status=\"{code}\"}} {n}", label(&r.name));
            }
        }
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

/// Where requests become spans.
fn spans(out: &mut String, shared: &Shared, running: &Running) {
    let (all, has) = (&shared.spans, running.traces.is_some());
    let each = [
        ("everyhop_traces_sent_total", "spans that a collector took", all.sent.load(Ordering::Relaxed)),
        ("everyhop_traces_failed_total", "tries to send spans that failed", all.failed.load(Ordering::Relaxed)),
    ];
    for (name, help, n) in each {
        counter(out, name, help);
        if has {
            let _ = writeln!(out, "{name} {n}");
        }
    }
    let name = "everyhop_traces_dropped_total";
    counter(out, name, "spans that came to no collector, by why");
    for why in Lost::ALL.into_iter().filter(|_| has) {
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {}", why.word(), all.lost(why));
    }
    let name = "everyhop_traces_waiting";
    let _ = writeln!(out, "# HELP {name} spans that wait to be sent, or are under way\n# TYPE {name} gauge");
    if has {
        let _ = writeln!(out, "{name} {}", all.count());
    }
}

fn expiries(out: &mut String, running: &Running) {
    let name = "everyhop_expires_timestamp_seconds";
    let _ = writeln!(out, "# HELP {name} when an acceptance or certificate ends\n# TYPE {name} gauge");
    for r in &running.routes {
        let mirrors = r.mirror.iter().flat_map(|m| &m.to.backends);
        if let Some(until) = r.backends.iter().chain(mirrors).map(|b| b.closes_at_s).filter(|s| *s != i64::MAX).min() {
            let _ = writeln!(out, "{name}{{kind=\"acceptance\",name=\"{}\"}} {until}", label(&r.name));
        }
    }
    if let Some(traces) = &running.traces
        && let Some(until) = traces.backends.iter().map(|b| b.closes_at_s).filter(|s| *s != i64::MAX).min()
    {
        let name_of = label(&traces.collector);
        let _ = writeln!(out, "{name}{{kind=\"collector-acceptance\",name=\"{name_of}\"}} {until}");
    }
    metrics_asks::expiries(out, name, running);
    metrics_waf::expiries(out, name, running);
    for it in running.listeners.iter().filter(|it| it.speaks.closes_at_s() != i64::MAX) {
        let until = it.speaks.closes_at_s();
        let _ = writeln!(out, "{name}{{kind=\"listener-acceptance\",name=\"{}\"}} {until}", label(&it.name));
    }
    for m in &running.material {
        if let Some(until) = m.not_after_s {
            let _ = writeln!(out, "{name}{{kind=\"certificate\",name=\"{}\"}} {until}", label(&m.id));
        }
    }
}

/// Of issuers whose keys are fetched. How old they are is what a clock says beside it.
fn keys(out: &mut String, running: &Running) {
    let fetched = || running.issuers.iter().filter_map(|it| Some((it, it.server.as_ref()?)));
    let name = "everyhop_issuer_keys_fetched_timestamp_seconds";
    let _ = writeln!(out, "# HELP {name} when an issuer's keys were last fetched, 0 if never\n# TYPE {name} gauge");
    for (it, server) in fetched() {
        let _ = writeln!(out, "{name}{{issuer=\"{}\"}} {}", label(&it.name), server.fetched_s().unwrap_or(0));
    }
    let name = "everyhop_issuer_keys";
    let _ = writeln!(out, "# HELP {name} keys of an issuer that tokens are verified by\n# TYPE {name} gauge");
    for it in &running.issuers {
        let _ = writeln!(out, "{name}{{issuer=\"{}\"}} {}", label(&it.name), it.keys.len());
    }
}

fn backends(out: &mut String, running: &Running) {
    let name = "everyhop_backend_up";
    let _ = writeln!(
        out,
        "# HELP {name} 1 if the backend is open, not ejected and not down by its check\n# TYPE {name} gauge"
    );
    for r in &running.routes {
        for b in &r.backends {
            let up = u8::from(b.closed(now_s()).is_none() && !b.health.rests());
            let _ = writeln!(
                out,
                "{name}{{route=\"{}\",backend=\"{}\",tls=\"{}\"}} {up}",
                label(&r.name),
                label(&b.at),
                b.tls
            );
        }
    }
    checks(out, running);
    let name = "everyhop_identity_not_demanded";
    let _ = writeln!(out, "# HELP {name} 1 if a mutual backend does not ask for our certificate\n# TYPE {name} gauge");
    for r in &running.routes {
        for b in r.backends.iter().filter(|b| b.tls == "mutual") {
            let alarm = u8::from(b.health.identity.load(Ordering::Relaxed) == 2);
            let _ = writeln!(out, "{name}{{route=\"{}\",backend=\"{}\"}} {alarm}", label(&r.name), label(&b.at));
        }
    }
    let name = "everyhop_hop_failures_total";
    counter(out, name, "tries at a backend or mirror that failed, by slug");
    for r in &running.routes {
        for b in r.backends.iter().chain(r.mirror.iter().flat_map(|m| &m.to.backends)) {
            for (slug, n) in b.health.failed() {
                let (route, at) = (label(&r.name), label(&b.at));
                let _ = writeln!(out, "{name}{{route=\"{route}\",backend=\"{at}\",slug=\"{slug}\"}} {n}");
            }
        }
    }
    ejections(out, running);
    let name = "everyhop_backend_impostor";
    let _ =
        writeln!(out, "# HELP {name} 1 if the last certificate shown was not the expected one\n# TYPE {name} gauge");
    for r in &running.routes {
        for b in r.backends.iter().filter(|b| b.secured.is_some()) {
            let shows = u8::from(b.addresses.load().iter().any(|a| a.fares.impostor.load(Ordering::Relaxed)));
            let _ = writeln!(out, "{name}{{route=\"{}\",backend=\"{}\"}} {shows}", label(&r.name), label(&b.at));
        }
    }
}

/// By the rules that the route has, so that each is there before the first time.
fn ejections(out: &mut String, running: &Running) {
    let name = "everyhop_ejections_total";
    counter(out, name, "how often an address of the backend was ejected, by the rule that said so");
    for r in &running.routes {
        for b in &r.backends {
            let of = |by| (by, b.health.ejections(by));
            let has = |by, on| r.eject_on.contains(&on).then(|| of(by));
            let slow = r.slow.map(|_| of(SLOW));
            let each = [Some(of(CONNECTS)), has(TIMEOUTS, EjectOn::Timeouts), has(ERRORS, EjectOn::Errors), slow];
            for (by, n) in each.into_iter().flatten() {
                let (route, at, rule) = (label(&r.name), label(&b.at), rule(by));
                let _ = writeln!(out, "{name}{{route=\"{route}\",backend=\"{at}\",rule=\"{rule}\"}} {n}");
            }
        }
    }
}

/// Of routes whose backends are checked.
fn checks(out: &mut String, running: &Running) {
    let checked = || running.routes.iter().filter(|r| r.spread.as_ref().is_some_and(|s| s.health.is_some()));
    let name = "everyhop_route_panics";
    let help = "1 if fewer than half of the route's backends are up and all are used, of routes with health";
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for r in checked() {
        let _ = writeln!(out, "{name}{{route=\"{}\"}} {}", label(&r.name), u8::from(r.panics(now_s())));
    }
    let name = "everyhop_backend_checks_total";
    counter(out, name, "health checks by what came of them, of routes with health");
    for r in checked() {
        for b in &r.backends {
            let addresses = b.addresses.load();
            let each = || addresses.iter().map(|a| &a.fares.checked);
            let passed: u64 = each().map(|c| c.passed.load(Ordering::Relaxed)).sum();
            let failed: u64 = each().map(|c| c.failed.load(Ordering::Relaxed)).sum();
            for (result, n) in [("passed", passed), ("failed", failed)] {
                let (route, at) = (label(&r.name), label(&b.at));
                let _ = writeln!(out, "{name}{{route=\"{route}\",backend=\"{at}\",result=\"{result}\"}} {n}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_of_letters_whatever_a_configuration_or_a_name_holds() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let shown = label(&all);
        assert_eq!(shown.chars().find(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}')), None);
        assert_eq!(label("a\"b\\c\n"), r#"a\"b\\c\\n"#);
    }
}
