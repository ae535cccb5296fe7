//! Routes that ask for a name and a password, made ready. A plan without any has none of this.
//! Read next: `everyhop-password`, which reads and verifies, then `passwords.rs`, where that is done.

use crate::material::{Blob, Unusable};
use everyhop_password::{User, Users};
use everyhop_plan::Basic;
use std::sync::Arc;

/// A file of users. Another text makes another one; whose hash stayed the same stays known.
pub struct UsersRun {
    pub users: Users,
    /// The digest of its text.
    made_of: String,
}

impl UsersRun {
    #[cfg(test)]
    pub(crate) fn of(users: Users) -> UsersRun {
        UsersRun { users, made_of: String::new() }
    }
}

/// What a route wants of names and passwords.
pub struct BasicRun {
    pub users: Arc<UsersRun>,
    /// `None`: the host that was asked for.
    pub realm: Option<Arc<str>>,
}

impl BasicRun {
    /// With the users of the plan before where their text is the same.
    pub(crate) fn of(
        it: &Basic,
        blob: &Blob,
        digest: &str,
        before: Option<&BasicRun>,
        made: &[Arc<UsersRun>],
    ) -> Result<BasicRun, Unusable> {
        let known = made.iter().chain(before.map(|b| &b.users));
        let same = known.into_iter().find(|old| !digest.is_empty() && old.made_of == digest).cloned();
        let users = match same {
            Some(same) => same,
            None => Arc::new(UsersRun { users: read(it, blob)?, made_of: digest.to_owned() }),
        };
        if let Some(names) = &it.names {
            let mut there: Vec<&str> = users.users.each().map(|user| &*user.name).collect();
            there.sort_unstable();
            if there != *names {
                return Err(Unusable(format!("the users of {:?} are not those of the plan", it.file)));
            }
        }
        Ok(BasicRun { users, realm: it.realm.as_deref().map(Into::into) })
    }

    /// Somebody who was let in may still be in: the file has that name with that hash.
    pub fn still_has(&self, user: &User) -> bool {
        self.users.users.get(&user.name).is_some_and(|now| now.hash == user.hash)
    }
}

fn read(it: &Basic, blob: &Blob) -> Result<Users, Unusable> {
    let id = users_id(&it.file);
    let sent = blob.users.get(&id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?;
    let text = std::str::from_utf8(sent.bytes()).map_err(|_| Unusable(format!("{id:?} is no text")))?;
    let users = Users::read(text).map_err(|wrong| {
        let line = wrong.first().map_or(0, |it| it.line);
        Unusable(format!("{id:?}: line {line} is no name with a hash that is taken"))
    })?;
    // Everybody would be refused for ever: whoever meant that would have no such route.
    if users.is_empty() {
        return Err(Unusable(format!("{id:?} has no user")));
    }
    Ok(users)
}

/// By which a file is among the material.
pub(crate) fn users_id(file: &str) -> String {
    format!("users/{file}")
}
