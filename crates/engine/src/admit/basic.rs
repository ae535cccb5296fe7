//! The name and password that a route asks for: shown once, in one form, and known, or to be verified first. That takes long and
//! is done elsewhere; a request waits for it, and is judged again with what came of it. Read next: `passwords.rs` of
//! `everyhop-running`.

use crate::exchange::asked::Asked;
use everyhop_decide::Headers;
use everyhop_password::{NotShown, Shown, User, shown};
use everyhop_record::refusal::Refusal;
use everyhop_running::basic::BasicRun;
use everyhop_running::passwords::{Compared, Passwords, Try, Verdict};
use std::net::IpAddr;
use std::sync::Arc;

/// Whom a request is of.
pub(crate) enum Signed {
    In(Arc<User>),
    /// It has to be verified first.
    Asks(Box<Try>),
}

/// Whom a request says to be of, as far as that is known.
#[inline(never)]
pub(crate) fn password(
    (basic, passwords): (&BasicRun, &Passwords),
    asked: &Asked,
    headers: &dyn Headers,
    at: (IpAddr, i64),
) -> Result<Signed, Refusal> {
    let shown = found(headers)?;
    let tried = asked.tried.as_deref();
    match passwords.compare(basic, &shown, at, tried.map(|(mark, _)| *mark)) {
        Compared::Known(user) => Ok(Signed::In(user)),
        Compared::Nobody => Err(Refusal::PasswordWrong),
        Compared::Asks(it) => match tried.filter(|(mark, _)| *mark == it.mark) {
            None => Ok(Signed::Asks(it)),
            Some((_, Verdict::Right)) => Ok(Signed::In(it.into_user())),
            Some((_, Verdict::Wrong)) => Err(Refusal::PasswordWrong),
            Some((_, Verdict::Busy)) => Err(Refusal::PasswordBusy),
        },
    }
}

/// The same at once, of a question that nobody's requests wait for; nothing where it shows none.
#[cold]
pub(super) fn tried(basic: &BasicRun, headers: &dyn Headers) -> Result<(), Refusal> {
    match found(headers) {
        Err(Refusal::PasswordMissing) => Ok(()),
        Err(why) => Err(why),
        Ok(shown) => {
            let user = basic.users.users.get(shown.name());
            let is_right = user.is_some_and(|user| user.hash.is_of(shown.password()));
            if is_right { Ok(()) } else { Err(Refusal::PasswordWrong) }
        }
    }
}

/// What the one Authorization of a request shows.
fn found(headers: &dyn Headers) -> Result<Shown, Refusal> {
    let mut found: Option<Result<Shown, NotShown>> = None;
    let mut several = false;
    headers.each_value("authorization", &mut |value| {
        // Of two fields a backend may believe the other one.
        several |= found.is_some();
        found = Some(shown(value));
    });
    match found {
        _ if several => Err(Refusal::PasswordSeveral),
        None | Some(Err(NotShown::Otherwise)) => Err(Refusal::PasswordMissing),
        Some(Err(NotShown::Malformed)) => Err(Refusal::PasswordMalformed),
        Some(Ok(it)) => Ok(it),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[&str]) -> Result<(String, String), Refusal> {
        let fields: Vec<(String, String)> =
            all.iter().map(|value| ("Authorization".to_owned(), (*value).to_owned())).collect();
        let it = found(&fields)?;
        Ok((it.name().to_owned(), String::from_utf8(it.password().to_vec()).expect("text")))
    }

    #[test]
    fn a_request_shows_one_name_and_password_or_none() {
        assert_eq!(of(&["Basic YTpi"]), Ok(("a".to_owned(), "b".to_owned())));
        for (fields, why) in [
            (&[][..], Refusal::PasswordMissing),
            (&["Bearer a.b.c"], Refusal::PasswordMissing),
            (&["Basic"], Refusal::PasswordMissing),
            (&["Basic a"], Refusal::PasswordMalformed),
            (&["Basic YTpi", "Basic YTpi"], Refusal::PasswordSeveral),
            (&["Bearer x", "Basic YTpi"], Refusal::PasswordSeveral),
            (&["Basic a", "Basic YTpi"], Refusal::PasswordSeveral),
        ] {
            assert_eq!(of(fields), Err(why), "{fields:?}");
        }
    }
}
