//! The pairs of `Cookie` fields (RFC 6265 §4.2.1), of a request in HTTP/1.1 or in the crumbs of HTTP/2.

/// The pair's value where it has that name; names of cookies are told apart by case.
pub fn named<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// A field without the pairs of that name; nothing where no other is left.
pub fn without(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let pairs = field.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let left: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && named(pair, name).is_none()).collect();
    (!left.is_empty()).then(|| left.join(&b"; "[..]))
}

/// True if some pair of these fields has the name, and each that has it has the value: what a backend takes, the first or
/// the last, is what was judged (R03).
pub fn all_equal<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &str, value: &str) -> bool {
    let mut seen = false;
    for found in fields.flat_map(|field| field.split(|b| *b == b';')).filter_map(|pair| named(pair, name)) {
        if found != value.as_bytes() {
            return false;
        }
        seen = true;
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_without_a_cookie_is_all_the_others() {
        for (field, left) in [
            (&b"a=1; t=x; b=2"[..], Some(&b"a=1; b=2"[..])),
            (b"t=x", None),
            (b"t=x; t=y;", None),
            (b"", None),
            (b"tt=x;T=y", Some(b"tt=x; T=y")),
        ] {
            assert_eq!(without(field, "t").as_deref(), left, "{field:?}");
        }
    }

    #[test]
    fn a_cookie_is_known_by_its_whole_name_and_every_value_of_it_is_judged() {
        for (fields, fits) in [
            (&["canary=1"][..], true),
            (&["a=2; canary=1;b=3"], true),
            (&["a=2", "canary=1", "b=3"], true),
            (&["canary=1; canary=1"], true),
            (&["canary=1; canary=2"], false),
            (&["canary=1", "canary=2"], false),
            (&["canary=2"], false),
            (&["canary=10"], false),
            (&["canary="], false),
            (&["canary"], false),
            (&["xcanary=1; canary1=1; CANARY=1"], false),
            (&["a=canary=1"], false),
            (&["canary=\"1\""], false),
            (&["canary =1"], false),
            (&[""], false),
            (&[], false),
        ] {
            let each = fields.iter().map(|it: &&str| it.as_bytes());
            assert_eq!(all_equal(each, "canary", "1"), fits, "{fields:?}");
        }
    }
}
