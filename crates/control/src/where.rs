//! `where`: the word of the data path's own judge on a question, of the plan that runs or of one that does not, and why the
//! other routes lost. It has no matcher and no order of checks of its own. Read next: `admit/mod.rs` of the engine.

use crate::messages::{Where, refused};
use crate::report::{closed, now_s, parsed};
use everyhop_canon as canon;
use everyhop_decide::{Ask, At, HelloRefusal, Matcher, Proof, Verdict, Who};
use everyhop_engine::admit::{Proved, Refused, Shows, admit, admit_plain, admit_served, admit_stream};
use everyhop_engine::exchange::asked::Asked;
use everyhop_engine::worker::shared::Shared;
use everyhop_plan::{Plan, Way};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;
use serde_json::{Value, json};

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
    is_stream: bool,
    site: Option<usize>,
    route: Option<usize>,
    refusal: Option<Refusal>,
    why: String,
}

impl Judged {
    /// There is no request in it, and so no status.
    fn is_unread(&self) -> bool {
        self.verdict == "splice" || self.is_stream
    }
}

fn judge(plan: &Plan, matcher: &Matcher, ask: &Where, running: Option<&Running>) -> Value {
    // As on the wire: what only the edge may say, or what concerns a connection alone, decides nothing.
    let mut headers = ask.headers.clone();
    headers.retain(|(name, _)| {
        let id = everyhop_http1::field_id(name.as_bytes());
        !id.is_identity() && !id.is_hop_by_hop()
    });
    let host = canon::host::host(ask.host.as_bytes()).map(|h| h.to_string());
    let mut canonical = String::new();
    let path = canon::path::form_into(&ask.path, &mut canonical).map(|_| canonical);
    let judged = match (&host, &path) {
        (Err(_), _) => refuse(Refusal::BadHost),
        (_, Err(_)) => refuse(Refusal::BadTarget),
        (Ok(host), Ok(path)) => {
            let it = Ask { host, path, sent: &ask.path, method: &ask.method, headers: &headers };
            decide(plan, matcher, ask, &it, running)
        }
    };
    let as_ask = Ask {
        host: host.as_deref().unwrap_or_default(),
        path: path.as_deref().unwrap_or_default(),
        sent: &ask.path,
        method: &ask.method,
        headers: &headers,
    };
    let lost: Vec<Value> = matcher
        .lost(plan, listener_of(plan, ask), &as_ask, judged.route)
        .iter()
        .map(|l| json!({"route": plan.routes.get(l.route).map(|r| &r.name), "why": l.why}))
        .collect();
    let run = judged.route.and_then(|r| running.and_then(|it| it.route(r)));
    let shut = run.and_then(closed);
    let refusal = judged.refusal.or(shut);
    let token = token(plan, &judged, ask, running.is_some());
    let password = password(plan, &judged, ask, running.is_some());
    let (who, from) = (asks(plan, &judged), address(plan, matcher, &judged, ask));
    json!({
        "protocol": 1, "answer": "where",
        "verdict": judged.verdict, "listener": listener_of(plan, ask),
        "site": judged.site.and_then(|s| plan.sites.get(s)).map(|s| &s.name),
        "route": judged.route.and_then(|r| plan.routes.get(r)).map(|r| &r.name),
        "status": refusal.map_or(if judged.is_unread() { 0 } else { given(plan, judged.route) }, Refusal::status),
        "slug": refusal.map(Refusal::slug),
        "why": shut.map_or(judged.why, |s| s.sentence().to_owned()),
        "token": token, "password": password, "ask": who, "address": from,
        "lost": lost,
        "zone": running.and_then(|it| it.zone.as_deref()), "stays_ppm": run.and_then(|r| r.stays_ppm(now_s())),
        "last": parsed(run.and_then(|r| r.stats.last())),
    })
}

/// What becomes of the address that its route asks about, whatever else it is refused for; nothing where it may be any.
fn address(plan: &Plan, matcher: &Matcher, judged: &Judged, ask: &Where) -> Option<&'static str> {
    let route = judged.route?;
    let nets = match &plan.routes.get(route)?.way {
        Way::AtBackend { allow_networks, .. }
        | Way::AtEdge { allow_networks, .. }
        | Way::Here { allow_networks, .. } => allow_networks,
    };
    nets.as_ref()?;
    Some(match (ask.address, matcher.admit_passed(route, at(ask))) {
        (None, _) => "asked",
        (Some(_), Err(_)) => "refused",
        (Some(_), Ok(())) => "passes",
    })
}

/// What becomes of the token that its route asks for; nothing where it asks for none.
fn token(plan: &Plan, judged: &Judged, ask: &Where, runs: bool) -> Option<&'static str> {
    let asks = judged.route.and_then(|r| plan.routes.get(r)).map(|r| &r.way);
    let Some(Way::AtEdge { jwt: Some(_), .. }) = asks else { return None };
    Some(match (&ask.token, judged.refusal) {
        (None, _) => "asked",
        (Some(_), _) if !runs => "unjudged",
        (Some(_), Some(why)) if why.is_of_token() => "refused",
        (Some(_), _) => "passes",
    })
}

/// What becomes of the name and password that its route asks for; nothing where it asks for none.
fn password(plan: &Plan, judged: &Judged, ask: &Where, runs: bool) -> Option<&'static str> {
    let asks = judged.route.and_then(|r| plan.routes.get(r)).map(|r| &r.way);
    let Some(Way::AtEdge { basic: Some(_), .. }) = asks else { return None };
    let shows = ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    Some(match (shows, judged.refusal) {
        (false, _) => "asked",
        (true, _) if !runs => "unjudged",
        (true, Some(why)) if why.is_of_password() => "refused",
        (true, _) => "passes",
    })
}

/// Who would be asked about such a request before it goes on, and is not asked now.
fn asks<'a>(plan: &'a Plan, judged: &Judged) -> Option<&'a str> {
    match judged.route.and_then(|r| plan.routes.get(r)).map(|r| &r.way) {
        Some(Way::AtEdge { ask, .. }) => ask.as_deref(),
        _ => None,
    }
}

/// The listener that is asked of: by default the first that speaks TLS.
fn listener_of<'a>(plan: &'a Plan, ask: &'a Where) -> &'a str {
    ask.listener.as_deref().or_else(|| plan.first_of_tls().map(|l| l.name.as_str())).unwrap_or_default()
}

/// The status of a route's own answer; where a backend answers 200 stands for whatever it says.
fn given(plan: &Plan, route: Option<usize>) -> u16 {
    match route.and_then(|r| plan.routes.get(r)).map(|r| &r.way) {
        Some(Way::Here { gives, .. }) => gives.status,
        _ => 200,
    }
}

fn refuse(why: Refusal) -> Judged {
    Judged {
        verdict: "refuse",
        is_stream: false,
        site: None,
        route: None,
        refusal: Some(why),
        why: why.sentence().to_owned(),
    }
}

fn decide(plan: &Plan, matcher: &Matcher, ask: &Where, it: &Ask<'_>, running: Option<&Running>) -> Judged {
    let listener = listener_of(plan, ask);
    if matcher.serves_plain(listener) {
        return served(plan, matcher, ask, it, running);
    }
    if matcher.is_plain(listener) {
        let why = admit_plain(matcher, listener, &Asked::of(it));
        return Judged { verdict: if why == Refusal::PlainRedirected { "redirect" } else { "refuse" }, ..refuse(why) };
    }
    let site = match matcher.hello(listener, ask.sni.as_deref()) {
        Verdict::Refuse(HelloRefusal::NoSni) => return refuse(Refusal::NoSni),
        Verdict::Refuse(HelloRefusal::UnknownSni) => return refuse(Refusal::UnknownSni),
        Verdict::Splice(route) => {
            if let Err(why) = matcher.admit_passed(route, at(ask)) {
                let by = Refused::from(everyhop_decide::Refused { route: Some(route), why });
                return Judged { is_stream: true, route: Some(route), ..refuse(by.why) };
            }
            return Judged {
                verdict: "splice",
                is_stream: false,
                site: None,
                route: Some(route),
                refusal: None,
                why: "the hello's server name belongs to a passthrough route".into(),
            };
        }
        Verdict::Terminate(site) => site,
    };
    // Unless the question says who the client proved to be, an allow-list is taken as passed.
    let names: Option<Vec<String>> =
        ask.client.as_ref().map(|names| names.iter().filter_map(|n| canon::client::proved(n)).collect());
    let who = Who { proof: names.as_deref().map_or(Proof::Any, Proof::Names), at: at(ask) };
    if matcher.is_streaming(site) {
        return streamed(matcher, (listener, site), who, ask.sni.as_deref(), running);
    }
    let admitted = match running {
        Some(running) => {
            let asked = Asked::of(it);
            let shows = shows(ask);
            let proved = Proved { listener, site: Some(site), who, client_not_after_s: i64::MAX, shows };
            admit(running, &proved, &asked, it.headers, now_s())
        }
        // A plan that does not run has no dates.
        None => matcher.admit(listener, site, who, it, None).map_err(Refused::from),
    };
    match admitted {
        Ok(route) => Judged {
            verdict: "terminate",
            is_stream: false,
            site: Some(site),
            route: Some(route),
            refusal: None,
            why: "host, path, method and headers match this route best".into(),
        },
        Err(Refused { route, why }) => {
            let told = route.filter(|_| why == Refusal::BadTarget).map(|r| matcher.told(plan, listener, it, r));
            Judged { site: Some(site), route, why: told.unwrap_or_else(|| why.sentence().to_owned()), ..refuse(why) }
        }
    }
}

/// Unless the question says where it comes from, a list of networks is taken as passed.
fn at(ask: &Where) -> At {
    ask.address.map_or(At::Anywhere, At::Address)
}

/// Unless the question shows a token, a route's demand for one is taken as met.
fn shows(ask: &Where) -> Shows<'_> {
    ask.token.as_deref().map_or(Shows::Anything, Shows::Token)
}

/// Of a request in the clear, at a listener that serves.
fn served(plan: &Plan, matcher: &Matcher, ask: &Where, it: &Ask<'_>, running: Option<&Running>) -> Judged {
    let listener = listener_of(plan, ask);
    let site = matcher.named_site(listener, it.host);
    let admitted = match (running, site) {
        (Some(running), _) => {
            let (who, shows) = (Who::proved(&[], at(ask)), shows(ask));
            let proved = Proved { listener, site, who, client_not_after_s: i64::MAX, shows };
            admit_served(running, &proved, &Asked::of(it), it.headers, now_s())
        }
        (None, Some(site)) => matcher.admit(listener, site, Who::proved(&[], at(ask)), it, None).map_err(Refused::from),
        (None, None) => Err(Refusal::PlainUnknown.into()),
    };
    match admitted {
        Ok(route) => Judged {
            verdict: "serve",
            is_stream: false,
            site,
            route: Some(route),
            refusal: None,
            why: "it comes in the clear, and host, path, method and headers match this route best".into(),
        },
        Err(Refused { route, why }) => {
            let told = route.filter(|_| why == Refusal::BadTarget).map(|r| matcher.told(plan, listener, it, r));
            Judged { site, route, why: told.unwrap_or_else(|| why.sentence().to_owned()), ..refuse(why) }
        }
    }
}

/// Of a connection to a site whose bytes go on unread.
fn streamed(
    matcher: &Matcher,
    (listener, site): (&str, usize),
    who: Who<'_>,
    sni: Option<&str>,
    running: Option<&Running>,
) -> Judged {
    let admitted = match running {
        Some(running) => {
            let shows = Shows::Anything;
            let proved = Proved { listener, site: Some(site), who, client_not_after_s: i64::MAX, shows };
            admit_stream(running, &proved, sni, now_s())
        }
        None => matcher.admit_stream(listener, site, who, sni).map_err(Refused::from),
    };
    match admitted {
        Ok(route) => Judged {
            verdict: "terminate",
            is_stream: true,
            site: Some(site),
            route: Some(route),
            refusal: None,
            why: "the hello's server name is that of this route, which carries what is inside TLS unread".into(),
        },
        Err(Refused { route, why }) => Judged { is_stream: true, site: Some(site), route, ..refuse(why) },
    }
}
