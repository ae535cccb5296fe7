//! The claims of a token that is believed: what a route wants of them, and what of them can stand in a field.

use serde_json::{Map, Value};
use std::borrow::Cow;

#[derive(Debug)]
pub struct Claims {
    pub(crate) all: Map<String, Value>,
    /// Until when it is valid, in Unix time, leeway left out.
    pub exp_s: i64,
}

/// A value that a claim is to have, or to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Text(String),
    Whole(i64),
    Truth(bool),
}

/// Claims whose text is a list of words (RFC 8693 §4.2); the second is one provider's.
const SCOPES: [&str; 2] = ["scope", "scp"];

impl Claims {
    /// What stands under these names, each in the object before.
    fn at(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.all.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// Whom it is about.
    pub fn subject(&self) -> Option<&str> {
        self.all.get("sub").and_then(Value::as_str)
    }

    /// The claim is what is wanted, or a list with it. Of a scope each word that is wanted must be there.
    pub fn has(&self, path: &[String], wanted: &Wanted) -> bool {
        let Some(value) = self.at(path) else { return false };
        if let (Wanted::Text(text), [name]) = (wanted, path)
            && SCOPES.contains(&name.as_str())
        {
            return text.split(' ').filter(|word| !word.is_empty()).all(|word| holds_word(value, word));
        }
        let is = |value: &Value| match wanted {
            Wanted::Text(text) => value.as_str() == Some(text),
            Wanted::Whole(number) => value.as_i64() == Some(*number),
            Wanted::Truth(truth) => value.as_bool() == Some(*truth),
        };
        match value {
            Value::Array(all) => all.iter().any(is),
            one => is(one),
        }
    }

    /// The claim as a field's value; nothing where it is not there.
    ///
    /// Refuses: what a field cannot say as it is, such as a line's end, white space at an end, or a comma in one of several.
    pub fn text(&self, path: &[String]) -> Result<Option<Cow<'_, str>>, NoText> {
        match self.at(path) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(all)) => {
                let parts = all.iter().map(|it| word(it).filter(|it| !it.contains(',')).ok_or(NoText));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                Ok((!parts.is_empty()).then(|| parts.join(", ").into()))
            }
            Some(one) => word(one).map(Some).ok_or(NoText),
        }
    }
}

/// A claim that no field can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoText;

fn holds_word(value: &Value, word: &str) -> bool {
    match value {
        Value::String(all) => all.split(' ').any(|it| it == word),
        Value::Array(all) => all.iter().any(|it| it.as_str() == Some(word)),
        _ => false,
    }
}

/// One value as it can stand in a field (RFC 9110 §5.5).
fn word(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(it) => {
            let fits = !it.is_empty() && it.trim() == it && !it.chars().any(char::is_control);
            fits.then_some(Cow::Borrowed(it))
        }
        Value::Number(it) => Some(it.to_string().into()),
        Value::Bool(it) => Some(it.to_string().into()),
        _ => None,
    }
}
