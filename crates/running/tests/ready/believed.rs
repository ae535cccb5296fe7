//! Whose words about the client a listener believes: by where they come from, and by whom they proved to be.

use crate::kit::plan::*;
use everyhop_running::running::Listening;
use serde_json::json;
use std::sync::Arc;

/// A listener that names these networks and these names.
fn listener(networks: &[&str], names: &[&str]) -> Arc<Listening> {
    let mut plan = plan();
    let it = &mut plan["listeners"][0];
    (it["trusted_proxies"], it["trusted_clients"]) = (json!(networks), json!(names));
    Material::new().built(&plan, None).expect("a plan").listeners[0].clone()
}

fn proved(names: &[&str]) -> Vec<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_listener_that_names_nobody_believes_nobody() {
    let it = listener(&[], &[]);
    for names in [&[][..], &["proxy.test"]] {
        assert!(!it.trusts(ip("10.0.0.1"), &proved(names)) && !it.trusts(ip("127.0.0.1"), &proved(names)));
    }
}

#[test]
fn where_networks_are_named_who_comes_from_one_of_them_is_believed_whoever_it_is() {
    let it = listener(&["10.0.0.0/8", "2001:db8::/32"], &[]);
    for (from, is_believed) in [
        ("9.255.255.255", false),
        ("10.0.0.0", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
    ] {
        for names in [&[][..], &["proxy.test"]] {
            assert_eq!(it.trusts(ip(from), &proved(names)), is_believed, "{from} {names:?}");
        }
    }
}

#[test]
fn where_clients_are_named_who_proved_to_be_one_of_them_is_believed_wherever_it_comes_from() {
    let it = listener(&[], &["proxy.test", "spiffe://a.test/proxy"]);
    for (names, is_believed) in [
        (&[][..], false),
        (&["other.test"], false),
        (&["Proxy.test"], false),
        (&["proxy.test.evil.test"], false),
        (&["proxy.test"], true),
        (&["other.test", "spiffe://a.test/proxy"], true),
    ] {
        for from in ["10.0.0.1", "203.0.113.9", "2001:db8::1"] {
            assert_eq!(it.trusts(ip(from), &proved(names)), is_believed, "{from} {names:?}");
        }
    }
}

#[test]
fn where_both_are_named_only_who_comes_from_there_and_proved_to_be_one_of_them_is_believed() {
    let it = listener(&["10.0.0.0/8"], &["proxy.test"]);
    for (from, names, is_believed) in [
        ("10.0.0.1", &["proxy.test"][..], true),
        ("10.0.0.1", &["other.test"], false),
        ("10.0.0.1", &[], false),
        ("11.0.0.1", &["proxy.test"], false),
        ("11.0.0.1", &[], false),
    ] {
        assert_eq!(it.trusts(ip(from), &proved(names)), is_believed, "{from} {names:?}");
    }
}
