//! Which passwords are believed, and what comes of verifying one. Read next: `kept.rs`.

use super::*;
use crate::admit::basic::{Signed, password};
use everyhop_running::passwords::{Mark, Passwords, Verdict};
use std::net::{IpAddr, Ipv4Addr};

/// The route of a.test asks for a password.
pub(super) fn of_passwords(hash: &str) -> Running {
    let mut plan = plan();
    way(&mut plan, 0)["basic"] = json!({"file": "people", "names": ["ann"], "realm": null, "strip": false});
    running(&plan, &[], Some(&format!("ann:{hash}\n")))
}

fn basic(text: &str) -> Sent {
    fields(&[("authorization", &format!("Basic {}", STANDARD.encode(text)))])
}

#[test]
fn a_question_with_a_password_is_answered_by_it_and_one_without_as_if_it_were_shown() {
    let it = of_passwords(HASH);
    assert_eq!(at_edge(&it, "a.test", &basic("ann:correct horse")), Ok(0));
    assert_eq!(at_edge(&it, "a.test", &basic("ann:correct hors")), by(0, Refusal::PasswordWrong));
    assert_eq!(at_edge(&it, "a.test", &basic("bob:correct horse")), by(0, Refusal::PasswordWrong));
    assert_eq!(at_edge(&it, "a.test", &basic("ann")), by(0, Refusal::PasswordMalformed));
    assert_eq!(at_edge(&it, "a.test", &Vec::new()), Ok(0));
    assert_eq!(at_edge(&it, "b.test", &basic("ann:correct hors")), Ok(1), "which asks for none");
}

#[test]
fn what_came_of_verifying_holds_for_the_password_that_was_verified_and_for_no_other() {
    let (it, passwords) = (of_passwords(HASH), Passwords::default());
    let users = it.routes[0].basic.as_deref().expect("users");
    let whom = |shown: &str, tried: Option<(Mark, Verdict)>| {
        let mut asked = of("a.test");
        asked.tried = tried.map(Box::new);
        let at = (IpAddr::from(Ipv4Addr::LOCALHOST), NOW_S);
        match password((users, &passwords), &asked, &basic(shown), at) {
            Ok(Signed::In(user)) => Ok(user.name.to_string()),
            Ok(Signed::Asks(it)) => Err(Ok(it.mark)),
            Err(why) => Err(Err(why)),
        }
    };
    let asks = |shown: &str| whom(shown, None).expect_err("it is not known").expect("it is to be verified");
    let (mark, other) = (asks("ann:correct horse"), asks("ann:guessed"));
    assert_ne!(mark, other);
    assert_eq!(whom("ann:correct horse", Some((mark, Verdict::Right))), Ok("ann".to_owned()));
    assert_eq!(whom("ann:correct horse", Some((mark, Verdict::Wrong))), Err(Err(Refusal::PasswordWrong)));
    assert_eq!(whom("ann:correct horse", Some((mark, Verdict::Busy))), Err(Err(Refusal::PasswordBusy)));
    assert_eq!(whom("ann:guessed", Some((mark, Verdict::Right))), Err(Ok(other)));
}
