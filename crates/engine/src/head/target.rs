//! The target that goes to a backend where its route moves paths: what the client sent stays what is judged, logged and told.
//! Read next: `request.rs`.

use crate::exchange::asked::Asked;
use everyhop_canon::onward::without;
use everyhop_canon::rewrite::Rewrite;
use everyhop_plan::Target;
use everyhop_record::refusal::Refusal;

/// By which expression paths are rewritten, where they are, and whether every backend has to read the result in one way.
pub(crate) struct Rewriting<'a> {
    pub(crate) rewrite: Option<&'a Rewrite>,
    pub(crate) strict: bool,
}

/// Writes into the request what goes on instead of its target; its query stays as it came. `*` asks about the server
/// itself, whichever paths it has (RFC 9110 §9.3.7).
///
/// Refuses: a path whose rest cannot go on, which the matcher has refused before.
pub(crate) fn moves(asked: &mut Asked, to: &Target, by: Rewriting<'_>) -> Result<(), Refusal> {
    let mut onward = std::mem::take(&mut asked.onward);
    let sent = asked.sent();
    if sent != "*" {
        match to {
            Target::AsItCame {} => {}
            Target::Moved { strip, under } => {
                let rest = if strip.is_empty() { Some(sent) } else { without(sent, strip, under.is_empty()) };
                onward.push_str(under);
                onward.push_str(rest.ok_or(Refusal::BadTarget)?);
                onward.push_str(asked.query());
            }
            Target::Rewritten { .. } => {
                let made = by.rewrite.map(|it| it.apply(asked.path(), by.strict, &mut onward));
                if made.ok_or(Refusal::BadTarget)?.map_err(|_| Refusal::BadTarget)? {
                    onward.push_str(asked.query());
                }
            }
            Target::Fixed { path } => {
                onward.push_str(path);
                onward.push_str(asked.query());
            }
        }
    }
    if let Target::Moved { strip, .. } = to
        && !onward.is_empty()
    {
        asked.prefix.push_str(strip);
    }
    asked.onward = onward;
    Ok(())
}
