//! Where the lines of each route go.

use crate::kit::plan::*;
use everyhop_running::running::Running;
use serde_json::{Value, json};

/// What the file says of its log, and what the first route says of its own.
fn built(material: &Material, access: Value, route: Value) -> Running {
    let mut plan = plan();
    plan["log"]["access"] = access;
    plan["routes"][0]["log"] = route;
    material.built(&plan, None).expect("a plan")
}

fn file(path: &str) -> Value {
    json!({"to": "file", "path": path})
}

fn own(access: Value) -> Value {
    json!({"kind": "own", "access": access, "form": {"format": "combined"}})
}

#[test]
fn lines_go_where_the_file_says_unless_their_route_has_a_place_of_its_own() {
    let material = Material::new();
    for (said, place, is_own) in [
        (Value::Null, Some("/log/all"), false),
        (json!({"kind": "quiet"}), Some("/log/all"), false),
        (own(file("/log/one")), Some("/log/one"), true),
        (own(file("/log/all")), Some("/log/all"), false),
        (own(json!({"to": "stdout"})), Some("stdout"), true),
        (own(json!({"to": "off"})), None, true),
    ] {
        let running = built(&material, file("/log/all"), said.clone());
        let one = &running.routes[0].lines;
        let to: Vec<_> =
            material.logs.all().into_iter().filter(|it| one.is_to(it)).map(|it| it.place.clone()).collect();
        assert_eq!((to.first().map(|it| &**it), to.len(), one.is_own), (place, to.len().min(1), is_own), "{said}");
        let all = material.logs.writer("/log/all");
        for lines in [&running.lines, &running.routes[1].lines] {
            assert!(lines.is_to(&all) && !lines.is_own, "{said}: of no other route");
        }
    }
}

#[test]
fn a_log_that_is_off_is_written_nowhere_and_a_route_may_still_have_its_own() {
    let material = Material::new();
    let running = built(&material, json!({"to": "off"}), own(file("/log/one")));
    let all = material.logs.all();
    assert_eq!(all.iter().map(|it| &*it.place).collect::<Vec<_>>(), ["/log/one"]);
    assert!(running.routes[0].lines.is_to(&all[0]) && running.routes[0].lines.is_own);
    assert!(!running.lines.is_to(&all[0]) && !running.routes[1].lines.is_to(&all[0]));
}

#[test]
fn a_route_in_a_form_of_its_own_reads_the_fields_that_form_needs_and_the_others_none() {
    let running = built(&Material::new(), file("/log/all"), own(file("/log/all")));
    assert!(running.routes[0].lines.headers.iter().any(|it| &**it == "user-agent"));
    assert!(running.routes[1].lines.headers.is_empty() && running.lines.headers.is_empty());
}
