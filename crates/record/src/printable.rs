//! Text of others, made harmless for whoever reads it on a screen or in a log: whatever is not plainly printable is written
//! as its number, on one line. `python/everyhop/screen.py` is the same for what the supervisor and the commands say.
//! Read next: `json.rs`, which does it for lines, where any byte may come.

use std::borrow::Cow;

/// `text` with everything that moves a cursor, turns letters round or begins a line written as `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // The library would escape these, too: they are plain here.
            '"' | '\'' | '\\' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_comes_out_that_a_screen_obeys() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let shown = printable(&all);
        let obeyed = |c: char| {
            c.is_control()
                || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        };
        assert_eq!(shown.chars().find(|c| obeyed(*c)), None);
        assert_eq!(printable("\u{1b}[2J\n\u{202e}"), r"\u{1b}[2J\n\u{202e}");
    }

    #[test]
    fn letters_of_any_language_stay() {
        for text in ["", "plain \"text\" 'it' \\ ~", "Zürich", "東京", "Ελλάδα"] {
            assert_eq!(printable(text), text);
        }
    }
}
