//! What comes in the clear, and streams that nobody reads.

use super::tokens::{bearer, good, of_tokens, with_keys};
use super::*;
use crate::admit::{admit_plain, admit_served, admit_stream};

/// With a listener that serves what comes in the clear until then, and one that sends it to https.
fn of_plain(closes_at_s: i64, change: impl Fn(&mut Value)) -> Value {
    let mut plan = of_tokens(change);
    let acceptance = json!({
        "owner": "test@example.com", "why": "to see it end", "context": "legacy",
        "since": "2026-01-01", "until": "2026-01-02", "closes_at_s": closes_at_s,
    });
    let serves = json!({"kind": "serve", "reach": {"kind": "accepted", "acceptance": acceptance}});
    let all = plan["listeners"].as_array_mut().expect("listeners");
    for (name, bind, speaks) in [
        ("inner", "127.0.0.1:8081", serves),
        ("web", "127.0.0.1:8080", json!({"kind": "redirect", "https_port": 8443})),
    ] {
        let mut it = all[0].clone();
        for (key, value) in [("name", json!(name)), ("bind", json!([bind])), ("speaks", speaks)] {
            it[key] = value;
        }
        all.push(it);
    }
    plan
}

#[test]
fn what_comes_in_the_clear_passes_where_that_is_served_by_its_own_route_until_the_acceptance_ends() {
    let it = with_keys(&of_plain(NOW_S, |_| ()), 7);
    let at = |listener, host: &str, headers: &Sent, now_s| {
        admit_served(&it, &proved(listener, Shows::InRequest), &of(host), headers, now_s)
    };
    let before = NOW_S - 1;
    assert_eq!(at("inner", "a.test", &bearer(&good()), before), Ok(0));
    assert_eq!(at("inner", "c.test", &Vec::new(), before), Ok(2));
    assert_eq!(at("inner", "b.test", &Vec::new(), before), by(1, Refusal::TokenMissing));
    let never = |why: Refusal| Err(Refused { route: None, why });
    assert_eq!(at("inner", "d.test", &Vec::new(), before), never(Refusal::PlainUnknown));
    assert_eq!(at("inner", "c.test", &Vec::new(), NOW_S), never(Refusal::PlainExpired));
    for other in ["public", "web", "gone"] {
        assert_eq!(at(other, "c.test", &Vec::new(), before), never(Refusal::Misdirected), "{other}");
    }
}

#[test]
fn what_says_to_have_come_by_https_is_not_sent_there_again() {
    let it = with_keys(&of_plain(i64::MAX, |_| ()), 7);
    let answered = |host: &str, secure: bool| {
        let mut asked = of(host);
        asked.secure = secure;
        admit_plain(&it.matcher, "web", &asked)
    };
    assert_eq!(answered("a.test", false), Refusal::PlainRedirected);
    assert_eq!(answered("a.test", true), Refusal::PlainHttps);
    assert_eq!(answered("d.test", true), Refusal::PlainUnknown);
}

#[test]
fn a_stream_is_its_own_routes_while_what_its_handshake_proved_stands() {
    let mut plan = plan();
    let mut site = plan["sites"][0].clone();
    plan["sites"][0]["hosts"] = json!(["a.test"]);
    for (key, value) in [
        ("name", json!("stream")),
        ("hosts", json!(["b.test", "d.test"])),
        ("protocol", json!("tcp")),
        ("alpn", json!([])),
    ] {
        site[key] = value;
    }
    plan["sites"].as_array_mut().expect("sites").push(site);
    way(&mut plan, 1)["upstream_protocol"] = json!("tcp");
    let mut other = plan["routes"][1].clone();
    other["name"] = json!("other");
    other["hosts"] = json!(["d.test"]);
    plan["routes"][2] = other;
    let it = running(&plan, &[], None);
    let of = |sni: &str, client_not_after_s: i64| {
        let proved = Proved { site: Some(1), client_not_after_s, ..proved("public", Shows::InRequest) };
        admit_stream(&it, &proved, Some(sni), NOW_S)
    };
    assert_eq!(of("b.test", NOW_S), Ok(1));
    assert_eq!(of("d.test", NOW_S), Ok(2));
    assert_eq!(of("b.test", NOW_S - 1), Err(Refused { route: None, why: Refusal::ClientExpired }));
}
