//! Another path, made of the one that was asked for by a regular expression with named groups. It is matched in linear time,
//! whatever a client sends, against the whole path in its canonical form, and what comes out is judged as what came in was
//! (R01, R02): it stays within the root, names no server, and has no control. Read next: `onward.rs`.

use crate::onward::is_onward;
use crate::path::{self, BadPath, form_into};
use crate::readings::stays;
use regex::bytes::{Regex, RegexBuilder};
use std::fmt;

/// What one expression may take when it is compiled, so that thousands of routes have room.
const MOST_BYTES: usize = 256 * 1024;
/// What one may be long.
const MOST_LEN: usize = 1024;

/// A regular expression and what becomes of a path that it fits, made ready.
#[derive(Debug, Clone)]
pub struct Rewrite {
    regex: Regex,
    to: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    /// A group of the expression, by its number.
    Group(usize),
}

/// Why there is no such rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRewrite {
    /// The expression is none.
    Regex(String),
    /// What is to come of it is no path, or not always one.
    To(String),
    /// It names what is no group of the expression: the name, and those that there are.
    Group(String, Vec<String>),
}

impl NoRewrite {
    /// Which of the two is wrong.
    pub fn is_of_regex(&self) -> bool {
        matches!(self, NoRewrite::Regex(_))
    }
}

impl fmt::Display for NoRewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoRewrite::Regex(why) | NoRewrite::To(why) => f.write_str(why),
            NoRewrite::Group(name, there) if there.is_empty() => {
                write!(f, "{{{name}}} is no group of the expression, which names none")
            }
            NoRewrite::Group(name, there) => {
                write!(f, "{{{name}}} is no group of the expression, which has {}", there.join(", "))
            }
        }
    }
}

impl Rewrite {
    /// Refuses: an expression that does not compile or is too large, a group that is not there, and what could not be the
    /// path of a request whatever the groups were.
    pub fn of(regex: &str, to: &str) -> Result<Rewrite, NoRewrite> {
        if regex.len() > MOST_LEN {
            return Err(NoRewrite::Regex(format!("it is longer than {MOST_LEN} bytes")));
        }
        if !regex.is_ascii() {
            let why = "it has a character beyond ASCII, which paths are matched without: write it percent-encoded";
            return Err(NoRewrite::Regex(why.to_owned()));
        }
        // First as it was written, so that nothing in it can close the group around it.
        compiled(regex)?;
        let regex = compiled(&format!(r"\A(?:{regex})\z"))?;
        let to = pieces(to, &regex)?;
        let it = Rewrite { regex, to };
        it.is_a_path()?;
        Ok(it)
    }

    /// Appends to `out` what becomes of `path`, which is canonical; false, and nothing, where the expression does not fit it.
    /// `strict`: every backend has to read the result in one way.
    ///
    /// Refuses: a result that is no path, leaves the root, or can be read as the name of a server.
    pub fn apply(&self, path: &str, strict: bool, out: &mut String) -> Result<bool, BadPath> {
        let Some(groups) = self.regex.captures(path.as_bytes()) else { return Ok(false) };
        let start = out.len();
        for piece in &self.to {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(at) => {
                    let of = groups.get(*at).and_then(|found| path.get(found.range()));
                    out.push_str(of.unwrap_or_default());
                }
            }
        }
        judge(out.get(start..).unwrap_or_default(), strict).map(|()| true)
    }

    /// What stands in it by itself makes a path in its one form, and one within the root where no group has anything.
    fn is_a_path(&self) -> Result<(), NoRewrite> {
        let with = |group: &str| -> String {
            let each = self.to.iter().map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Group(_) => group,
            });
            each.collect()
        };
        let (some, none) = (with("x"), with(""));
        if !matches!(self.to.first(), Some(Piece::Text(text)) if text.starts_with('/')) {
            return Err(NoRewrite::To("it does not begin with a slash of its own, so it may be no path".to_owned()));
        }
        if !stays(some.as_bytes()) || !stays(none.as_bytes()) {
            return Err(NoRewrite::To("it can leave the root by its dot segments".to_owned()));
        }
        if path::path(some.as_bytes()).as_deref() != Ok(&some) {
            let why = "it is not in the one form that every backend reads alike";
            return Err(NoRewrite::To(why.to_owned()));
        }
        Ok(())
    }
}

fn judge(made: &str, strict: bool) -> Result<(), BadPath> {
    let mut form = String::new();
    let odd = form_into(made, &mut form)?;
    if odd.is_some() && strict {
        return Err(BadPath::Form);
    }
    if is_onward(made) { Ok(()) } else { Err(BadPath::LeavesRoot) }
}

/// What no one can read twice: bytes alone, as canonical paths have no others than ASCII.
fn compiled(regex: &str) -> Result<Regex, NoRewrite> {
    let built = RegexBuilder::new(regex).unicode(false).size_limit(MOST_BYTES).dfa_size_limit(MOST_BYTES).build();
    built.map_err(|e| {
        NoRewrite::Regex(match e {
            regex::Error::CompiledTooBig(_) => format!("it takes more than {MOST_BYTES} bytes when it is compiled"),
            // Its first lines draw where; the last says why.
            other => other.to_string().rsplit("error: ").next().unwrap_or_default().trim().to_owned(),
        })
    })
}

/// `{name}` stands for a group, `{{` and `}}` for braces.
fn pieces(to: &str, regex: &Regex) -> Result<Vec<Piece>, NoRewrite> {
    let alone = || NoRewrite::To("a brace stands alone in it".to_owned());
    let (mut out, mut text, mut rest) = (Vec::new(), String::new(), to);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(before);
        rest = if let Some(after) = from.strip_prefix("{{") {
            text.push('{');
            after
        } else if let Some(after) = from.strip_prefix("}}") {
            text.push('}');
            after
        } else {
            let (name, after) = from.strip_prefix('{').and_then(|it| it.split_once('}')).ok_or_else(alone)?;
            let names: Vec<&str> = regex.capture_names().flatten().collect();
            let number = regex.capture_names().position(|it| it == Some(name));
            let number = number.ok_or_else(|| {
                NoRewrite::Group(name.to_owned(), names.iter().map(|it| format!("{{{it}}}")).collect())
            })?;
            if !text.is_empty() {
                out.push(Piece::Text(std::mem::take(&mut text).into()));
            }
            out.push(Piece::Group(number));
            after
        };
    }
    text.push_str(rest);
    if !text.is_empty() {
        out.push(Piece::Text(text.into()));
    }
    Ok(out)
}
