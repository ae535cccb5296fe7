//! Rules that requests are inspected by: when something passes uninspected, whose verdict is worth what, how much is inspected and held
//! at once, and what is counted of it.

use crate::kit::plan::*;
use everyhop_record::times::BUCKETS_US;
use everyhop_running::fair::Whose;
use everyhop_running::running::Running;
use everyhop_running::waf::{INSPECTED, Inspected, WafRun};
use serde_json::{Value, json};
use std::sync::Arc;

/// A plan with the policies `rules` and `others`, of which something is otherwise.
fn built_by(inspector: &'static str, change: impl Fn(&mut Value), before: Option<&Running>) -> Running {
    let policy = |name: &str| {
        json!({
            "name": name, "mode": "block", "paranoia": 1, "extra": [], "exclude": [], "body_bytes": 1024, "over_body": "refuse",
            "when_down": {"kind": "refuse"}, "deadline_ms": 1000, "at_once": 8,
        })
    };
    let mut plan = plan();
    plan["wafs"] = json!([policy("rules"), policy("others")]);
    change(&mut plan["wafs"]);
    let material = Material { inspector: Some(inspector), ..Material::new() };
    material.built(&plan, before).expect("a plan")
}

fn built(change: impl Fn(&mut Value), before: Option<&Running>) -> Running {
    built_by("inspector", change, before)
}

fn of<'a>(running: &'a Running, name: &str) -> &'a Arc<WafRun> {
    running.wafs.iter().find(|it| it.by.name == name).expect("a policy")
}

fn rules(change: impl Fn(&mut Value)) -> Arc<WafRun> {
    of(&built(|all| change(&mut all[0]), None), "rules").clone()
}

fn whose(n: u8) -> Whose {
    Whose::from(std::net::IpAddr::from([192, 0, 2, n]))
}

#[test]
fn a_request_passes_uninspected_only_on_somebodys_word_and_until_the_second_at_which_that_ends() {
    assert!(!rules(|_| ()).passes_uninspected(0));
    let acceptance = json!({"owner": "a@example.com", "why": "w", "since": "1970-01-01", "until": "1970-01-01", "closes_at_s": 86400});
    let passes = rules(|it| it["when_down"] = json!({"kind": "pass", "acceptance": acceptance}));
    let at = |s| passes.passes_uninspected(s);
    assert_eq!((at(0), at(86_399), at(86_400), at(86_401)), (true, true, false, false));
}

/// What one let pass must not pass by another's rules.
#[test]
fn a_verdict_is_worth_the_same_only_of_the_same_rules_of_the_same_inspector_asked_the_same() {
    let was = rules(|_| ());
    let judges_as = |now: &Running| {
        let now = of(now, "rules");
        assert_eq!(now.judges_as(&was), was.judges_as(now));
        now.judges_as(&was)
    };
    assert!(judges_as(&built(|_| (), None)));
    let other_times = built(|all| (all[0]["at_once"], all[0]["deadline_ms"]) = (json!(9), json!(9)), None);
    assert!(judges_as(&other_times));
    assert!(!judges_as(&built_by("another", |_| (), None)));
    assert!(!judges_as(&built(|all| all[0]["over_body"] = json!("pass-inspected"), None)));
    let turned = built(|all| all.as_array_mut().expect("policies").reverse(), None);
    assert_eq!(turned.wafs.iter().map(|it| it.by.name.as_str()).collect::<Vec<_>>(), ["others", "rules"]);
    assert!(!judges_as(&turned), "by that number the inspector has others");
}

#[test]
fn bodies_are_held_as_if_each_of_those_that_are_inspected_were_as_long_as_can_be_and_of_one_address_a_part_or_one() {
    for (at_once, body_bytes, most) in
        [(8, 1024, (8192, 2048)), (1, 1024, (1024, 1024)), (3, 5, (15, 5)), (6, 1, (6, 2)), (9, 0, (0, 0))]
    {
        let it = rules(|it| (it["at_once"], it["body_bytes"]) = (json!(at_once), json!(body_bytes)));
        assert_eq!(it.most_held(), most, "{at_once} {body_bytes}");
    }
    let most = u32::MAX;
    let it = rules(|it| (it["at_once"], it["body_bytes"]) = (json!(most), json!(most)));
    assert_eq!(it.most_held().0, u64::from(most) * u64::from(most));
}

#[test]
fn as_many_are_inspected_at_once_as_are_let_of_one_address_a_part_and_one_that_is_over_makes_room() {
    let it = rules(|_| ());
    let mut held: Vec<_> = (0..2).filter_map(|_| it.begin(whose(1))).collect();
    assert!(it.begin(whose(1)).is_none(), "that address has its part");
    assert_eq!((held.len(), it.under_way()), (2, 2), "what did not begin is not under way");
    for n in 2..=4 {
        held.extend((0..2).filter_map(|_| it.begin(whose(n))));
    }
    assert_eq!((held.len(), it.under_way()), (8, 8));
    assert!(it.begin(whose(5)).is_none(), "there are so many");
    held.truncate(7);
    assert_eq!(it.under_way(), 7);
    held.extend(it.begin(whose(5)));
    assert_eq!((held.len(), it.under_way()), (8, 8));
    assert!(it.begin(whose(4)).is_none());
    held.clear();
    assert_eq!(it.under_way(), 0);
    assert!(it.begin(whose(1)).is_some());
}

#[test]
fn of_threads_that_take_turns_at_the_last_place_nobody_is_counted_who_is_over() {
    let it = rules(|rules| rules["at_once"] = json!(1));
    std::thread::scope(|threads| {
        for n in 0..4 {
            let it = it.clone();
            threads.spawn(move || (0..50_000).for_each(|_| drop(it.begin(whose(n)))));
        }
    });
    assert_eq!(it.under_way(), 0);
    assert!(it.begin(whose(1)).is_some());
}

#[test]
fn each_outcome_is_counted_by_its_word_and_by_how_long_the_inspector_took() {
    let it = rules(|_| ());
    for (i, (what, _)) in INSPECTED.iter().enumerate() {
        (0..=i).for_each(|_| it.came(*what, 0));
    }
    assert!(it.counted().eq(INSPECTED.iter().zip(1..).map(|((_, word), n)| (*word, n))));
    let it = rules(|_| ());
    let longer = BUCKETS_US.iter().map(|most| most + 1);
    for us in BUCKETS_US.into_iter().chain(longer) {
        it.came(Inspected::Allowed, us);
    }
    let mut each = [2; BUCKETS_US.len() + 1];
    (each[0], each[BUCKETS_US.len()]) = (1, 1);
    let all = BUCKETS_US.iter().sum::<u64>() * 2 + BUCKETS_US.len() as u64;
    assert_eq!(it.took(), (each, all), "one that took as long as a bucket goes is in it");
}

#[test]
fn a_reload_keeps_what_is_inspected_held_and_counted_of_the_policy_of_that_name_and_of_no_other() {
    let before = built(|_| (), None);
    let was = of(&before, "rules");
    was.came(Inspected::Denied, 7);
    let _inspected = was.begin(whose(1));
    let mut held = was.holds(whose(1));
    assert!(held.are(4, (8, 4)));
    let after = built(|all| all.as_array_mut().expect("policies").reverse(), Some(&before));
    let told = |name: &str| {
        let it = of(&after, name);
        let counted: Vec<_> = it.counted().filter(|(_, n)| *n > 0).collect();
        (counted, it.under_way(), it.took().1, it.holds(whose(1)).are(1, (8, 4)))
    };
    assert_eq!(told("rules"), (vec![("denied", 1)], 1, 7, false));
    assert_eq!(told("others"), (vec![], 0, 0, true));
}

#[test]
fn a_policy_is_shown_by_its_name_and_nothing_more() {
    assert_eq!(format!("{:?}", rules(|_| ())), "WafRun(\"rules\")");
}
