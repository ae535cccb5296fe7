//! What a service of rate limits answers: a message that is none is no answer, none can be read as both yes and no, whoever is refused is
//! refused for a time that ends, and what follows of fields that nobody knows changes nothing.

use everyhop_canon::protobuf::{bytes, fields};
use everyhop_canon::rate_limit_response::{LONGEST_US, Word, read};

pub fn rate_limit_response(data: &[u8]) {
    let word = read(data);
    let codes: Option<Vec<_>> = fields(data).map(Result::ok).collect();
    let Some(all) = codes else {
        assert!(word.is_err(), "{}", crate::shown(data));
        return;
    };
    let last = all.iter().rev().find(|(number, _)| *number == 1);
    match word {
        Err(_) => {}
        Ok(Word::Passes { left }) => {
            assert!(last.is_some() && (left.is_none() || all.iter().any(|(number, _)| *number == 2)));
        }
        Ok(Word::Over { after_us, limit }) => {
            assert!(last.is_some() && after_us.is_none_or(|it| it <= LONGEST_US));
            assert!(limit.is_none_or(|(_, seconds)| seconds > 0));
        }
    }
    let mut more = data.to_vec();
    bytes(&mut more, 4000, b"new");
    assert_eq!(read(&more), word);
}
