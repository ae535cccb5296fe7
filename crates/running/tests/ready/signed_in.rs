//! Whose names and passwords routes ask for: which of them are read anew, and who of those that were let in may still be in.

use crate::kit::plan::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_password::User;
use everyhop_running::basic::{BasicRun, UsersRun};
use everyhop_running::running::Running;
use serde_json::json;
use std::sync::Arc;

const HASH: &str = "$2b$04$n4774HHL8WsI0JTO8zrC/eujrwfDJSRA0mUdeduwFt7akPEbhwtk2";
const OTHER: &str = "$2y$05$lg8qSlOvxAc.m1rEr6u.reiy5X5vx/z90mSWSl4cM1NBVLH730972";

/// A file of users; no digest where it is not listed.
#[derive(Clone, Copy)]
struct File {
    name: &'static str,
    users: &'static [(&'static str, &'static str)],
    digest: Option<&'static str>,
}

const STAFF: File = File { name: "staff", users: &[("ann", HASH), ("bob", OTHER)], digest: Some("s") };
const GUESTS: File = File { name: "guests", users: &[("carl", HASH)], digest: Some("g") };

/// An edge whose routes each ask for the users of one of these files.
fn edge(files: &[File], routes: &[&str], before: Option<&Running>) -> Running {
    let mut plan = plan();
    let one = plan["routes"][0].clone();
    let route = |(i, file): (usize, &&str)| {
        let mut it = one.clone();
        let host = ["a.test", "b.test", "c.test"][i];
        (it["name"], it["hosts"]) = (json!(i.to_string()), json!([host]));
        it["way"]["basic"] = json!({"file": file, "names": null, "realm": null, "strip": true});
        it
    };
    plan["routes"] = routes.iter().enumerate().map(route).collect();
    let mut material = Material::new();
    for it in files {
        let id = format!("users/{}", it.name);
        let text: String = it.users.iter().map(|(name, hash)| format!("{name}:{hash}\n")).collect();
        let sent = serde_json::from_str(&json!(STANDARD.encode(text)).to_string()).expect("a text");
        material.listed.extend(it.digest.map(|digest| listed(&id, digest, None)));
        material.blob.users.insert(id, sent);
    }
    material.built(&plan, before).expect("a plan")
}

fn basic(running: &Running, route: usize) -> &BasicRun {
    running.routes[route].basic.as_deref().expect("it asks for a password")
}

fn users(running: &Running, route: usize) -> &Arc<UsersRun> {
    &basic(running, route).users
}

fn user(running: &Running, name: &str) -> Arc<User> {
    users(running, 0).users.get(name).expect("somebody").clone()
}

#[test]
fn whoever_was_let_in_may_still_be_in_as_long_as_the_file_has_that_name_with_that_hash() {
    let before = edge(&[STAFF], &["staff"], None);
    let (ann, bob) = (user(&before, "ann"), user(&before, "bob"));
    let stay = |files: &[(&'static str, &'static str)], digest| {
        let file = File { users: Vec::leak(files.to_vec()), digest: Some(digest), ..STAFF };
        let now = edge(&[file], &["staff"], Some(&before));
        [&ann, &bob].map(|it| basic(&now, 0).still_has(it))
    };
    assert_eq!(stay(STAFF.users, "s"), [true, true]);
    assert_eq!(stay(&[("carl", OTHER), ("bob", OTHER), ("ann", HASH)], "more"), [true, true]);
    assert_eq!(stay(&[("ann", HASH)], "bob is gone"), [true, false]);
    assert_eq!(stay(&[("ann", OTHER), ("bob", OTHER)], "ann has another"), [false, true]);
    assert_eq!(stay(&[("bob", HASH), ("ann", OTHER)], "turned round"), [false, false]);
    assert_eq!(stay(&[("Ann", HASH), ("carl", OTHER)], "other names"), [false, false]);
}

#[test]
fn users_are_those_of_the_plan_before_as_long_as_their_text_is_the_same_and_are_read_anew_if_not() {
    let before = edge(&[STAFF], &["staff"], None);
    let now = |it: File, before: &Running| {
        let now = edge(&[it], &["staff"], Some(before));
        (Arc::ptr_eq(users(&now, 0), users(before, 0)), users(&now, 0).users.len())
    };
    assert_eq!(now(STAFF, &before), (true, 2));
    let fewer = &STAFF.users[..1];
    assert_eq!(now(File { users: fewer, digest: Some("other"), ..STAFF }, &before), (false, 1));
    // Nobody said what they are made of.
    let unlisted = File { digest: None, ..STAFF };
    assert_eq!(now(File { users: fewer, ..unlisted }, &before), (false, 1));
    let before = edge(&[unlisted], &["staff"], None);
    assert_eq!(now(File { users: fewer, ..unlisted }, &before), (false, 1));
}

#[test]
fn routes_that_ask_for_the_same_users_have_them_once_and_each_route_has_its_own() {
    let running = edge(&[STAFF, GUESTS], &["staff", "guests", "guests"], None);
    let [staff, guests, too] = [0, 1, 2].map(|i| users(&running, i));
    assert!(Arc::ptr_eq(guests, too) && !Arc::ptr_eq(staff, guests));
    assert!(staff.users.get("ann").is_some() && staff.users.get("carl").is_none());
    assert!(guests.users.get("carl").is_some() && guests.users.get("ann").is_none());
}
