//! How much stays in the edge's own zone, by who of its backends takes anything now.

use crate::kit::plan::*;
use everyhop_running::running::RouteRun;
use serde_json::{Value, json};
use std::sync::Arc;

/// A backend in the edge's zone and one elsewhere, then a backup in the edge's zone and one elsewhere. Of each its weight, and
/// whether it is up.
fn route(each: [(u16, bool); 4]) -> Arc<RouteRun> {
    let mut plan = plan();
    let place = |last: u8| json!({"kind": "ip", "ip": format!("10.0.1.{last}"), "port": 1});
    let backends: Vec<_> = (1..=4).map(|last| hop(place(last), same_host())).collect();
    *way(&mut plan, 0, "backends") = json!(backends);
    let zones = [("a", false), ("b", false), ("a", true), ("b", true)];
    let share = |((weight, _), (zone, backup)): (&(u16, bool), (&str, bool))| json!({"weight": weight, "backup": backup, "zone": zone});
    let shares: Vec<Value> = each.iter().zip(zones).map(share).collect();
    *way(&mut plan, 0, "spread") =
        json!({"by": {"kind": "turns"}, "shares": shares, "sticky": null, "health": null, "slow_start_s": 0});
    let running = Material { zone: Some("a"), ..Material::new() }.built(&plan, None).expect("a plan");
    let route = running.routes[0].clone();
    for (backend, (_, is_up)) in route.backends.iter().zip(each) {
        if !is_up {
            backend.addresses.load()[0].fares.eject(u64::MAX, 0, 1);
            backend.sum_up();
        }
    }
    route
}

const UP: (u16, bool) = (2, true);
const DOWN: (u16, bool) = (2, false);

#[test]
fn what_stays_in_the_zone_is_by_backends_that_are_up_and_by_backups_only_where_none_of_them_is() {
    let all = Some(1_000_000);
    for (each, stays) in [
        ([UP, UP, UP, UP], all),
        ([DOWN, UP, UP, UP], Some(0)),
        ([DOWN, UP, DOWN, DOWN], Some(0)),
        ([UP, UP, DOWN, UP], all),
        ([UP, DOWN, DOWN, UP], all),
        ([DOWN, DOWN, DOWN, UP], Some(0)),
        ([DOWN, DOWN, UP, UP], all),
    ] {
        assert_eq!(route(each).stays_ppm(0), stays, "{each:?}");
    }
}

#[test]
fn a_backend_that_takes_nothing_new_keeps_nothing_in_its_zone_and_no_backup_waiting() {
    let none = (0, true);
    assert_eq!(route([none, DOWN, DOWN, UP]).stays_ppm(0), Some(0), "its backups take all");
    let empty = route([none, UP, UP, UP]);
    assert!(empty.zones(0, false).is_none() && empty.stays_ppm(0).is_none(), "nothing could stay there");
    assert!(empty.zones(0, true).is_some());
}
