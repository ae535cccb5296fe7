//! A file of users: `name:hash` a line, as htpasswd writes it; what follows another colon is a remark, and lines that begin with `#`
//! are. All that is wrong with it is told at once, each with its place, and nothing of a hash. Read next: `shown.rs`.

use crate::hash::{Hash, NoHash};
use std::collections::HashMap;
use std::sync::Arc;

/// A longer file is not read.
pub const MOST_BYTES: usize = 1024 * 1024;
pub const MOST_USERS: usize = 10_000;
const LONGEST_NAME: usize = 255;

/// Somebody who may sign in.
pub struct User {
    pub name: Box<str>,
    pub hash: Hash,
    /// Where it stands in the file.
    pub line: usize,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Those of a file.
#[derive(Default)]
pub struct Users {
    by_name: HashMap<Box<str>, Arc<User>>,
    all: Vec<Arc<User>>,
}

/// What is wrong with a line; counted from 1, columns by characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub line: usize,
    pub column: usize,
    pub width: usize,
    /// Whose line it is; empty where that cannot be told.
    pub name: String,
    pub why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It has no colon, or no name before it.
    Form,
    /// The name has a control character, blanks around it, or more than 255 bytes.
    Name,
    /// It stands in the line of that number, too.
    Twice(usize),
    Hash(NoHash),
    /// More than [`MOST_USERS`]; what follows was not read.
    TooMany,
}

impl Users {
    pub fn read(text: &str) -> Result<Users, Vec<Wrong>> {
        let (mut users, mut wrong) = (Users::default(), Vec::new());
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (at, line) in text.split('\n').enumerate() {
            let line = line.trim_end_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = at + 1;
            let place = |from: usize, len: usize, name: &str, why| {
                let chars = |it: &str| it.chars().count();
                let column = chars(line.get(..from).unwrap_or_default()) + 1;
                let width = chars(line.get(from..from + len).unwrap_or_default()).max(1);
                Wrong { line: number, column, width, name: name.to_owned(), why }
            };
            let Some((name, rest)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
                // It may be a password that somebody pasted: nothing of it is marked.
                wrong.push(place(0, 0, "", Why::Form));
                continue;
            };
            if !is_name(name) {
                wrong.push(place(0, name.len(), "", Why::Name));
                continue;
            }
            if let Some(before) = seen.insert(name, number) {
                seen.insert(name, before);
                wrong.push(place(0, name.len(), name, Why::Twice(before)));
                continue;
            }
            if seen.len() > MOST_USERS {
                wrong.push(place(0, name.len(), name, Why::TooMany));
                break;
            }
            let hash = rest.split(':').next().unwrap_or_default();
            match Hash::read(hash) {
                Ok(hash) => users.put(User { name: name.into(), hash, line: number }),
                Err(why) => wrong.push(place(name.len() + 1, hash.len(), name, Why::Hash(why))),
            }
        }
        if wrong.is_empty() { Ok(users) } else { Err(wrong) }
    }

    fn put(&mut self, user: User) {
        let user = Arc::new(user);
        self.by_name.insert(user.name.clone(), user.clone());
        self.all.push(user);
    }

    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// Whose hash stands in for that of somebody who is none of them: `draw` is any number, always the same for a name. So a
    /// name that is not there takes as long as one that is, also where hashes cost more and less.
    pub fn stand_in(&self, draw: u64) -> Option<&Arc<User>> {
        let index = usize::try_from(draw % u64::try_from(self.all.len()).ok()?.max(1)).ok()?;
        self.all.get(index)
    }

    /// In the order of the file.
    pub fn each(&self) -> impl Iterator<Item = &Arc<User>> {
        self.all.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }
}

/// What can be shown by the Basic scheme (RFC 7617 §2), and told in a field. A mark of byte order before the first is none of it.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.trim() == name
        && !name.starts_with('\u{feff}')
        && !name.chars().any(char::is_control)
}
