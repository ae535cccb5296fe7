//! A tunnel is judged again by what it was opened with. Read next: `clear.rs`.

use super::passwords::of_passwords;
use super::tokens::{good, judged, of_tokens, with_keys};
use super::*;
use crate::admit::still_shows;
use everyhop_password::User;

#[test]
fn a_tunnel_lasts_as_long_as_what_began_it_is_what_its_route_wants_now() {
    let user = |it: &Running| -> Arc<User> {
        it.routes[0].basic.as_deref().and_then(|basic| basic.users.users.get("ann")).expect("ann").clone()
    };
    let (same, other) = (of_passwords(HASH), of_passwords(OTHER_HASH));
    let ann = user(&same);
    assert!(still_shows(&same, 0, (None, Some(&ann)), NOW_S));
    assert!(!still_shows(&same, 0, (None, None), NOW_S), "it asks for a password since");
    assert!(!still_shows(&other, 0, (None, Some(&ann)), NOW_S), "its hash is another one");
    assert!(still_shows(&same, 1, (None, None), NOW_S), "which asks for nothing");

    let it = with_keys(&of_tokens(|_| ()), 7);
    let shown = judged(&it, 0, &good(), NOW_S).expect("a good one");
    let last = END_S + LEEWAY_S - 1;
    assert!(still_shows(&it, 0, (Some(&shown), None), last));
    assert!(!still_shows(&it, 0, (Some(&shown), None), last + 1), "it is over");
    assert!(!still_shows(&it, 0, (None, None), NOW_S), "it asks for a token since");
    assert!(!still_shows(&it, 1, (Some(&shown), None), NOW_S), "which believes somebody else");
    let stricter = with_keys(&of_tokens(|plan| plan["issuers"][0]["audience"] = json!(["other"])), 7);
    assert!(!still_shows(&stricter, 0, (Some(&shown), None), NOW_S), "tokens are to be for somebody else");
}
