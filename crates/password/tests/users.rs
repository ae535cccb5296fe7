//! Files of users as others write them: hashes of htpasswd, of Python's bcrypt and of the reference argon2, and all that is refused.

use everyhop_password::{Hash, Kind, MOST_USERS, NoHash, Users, Why, Wrong, hashed};

/// By htpasswd of Apache 2.4: `-nbB`, `-nbB -C 4` of 100 `a`.
const OF_HTPASSWD: &str = "$2y$05$lg8qSlOvxAc.m1rEr6u.reiy5X5vx/z90mSWSl4cM1NBVLH730972";
const OF_HTPASSWD_LONG: &str = "$2y$04$7Vf8kOJiOVTdadmaDtjhS.UnQM8V9C/RQD8BkTHJpAhm35WCrLa4O";
/// By bcrypt 5.0 of Python.
const OF_PYTHON: &str = "$2b$04$n4774HHL8WsI0JTO8zrC/eujrwfDJSRA0mUdeduwFt7akPEbhwtk2";
/// By the reference implementation's own command, and by argon2-cffi 25.1 with four lanes.
const OF_REFERENCE: &str = "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$IWJR6forQfRjS4Y1mffdqnUx3GwYyJwSZsDZt9LHzUM";
const OF_CFFI: &str = "$argon2id$v=19$m=64,t=1,p=4$+5Nse8EIhMOLsF3y5vxJqA$itW2LMk8mao8+q3C5Y4AlmmsB36v4CX2TM6pXilrDkA";

fn read(text: &str) -> Users {
    Users::read(text).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn wrong(text: &str) -> Vec<Wrong> {
    Users::read(text).err().unwrap_or_else(|| panic!("{text:?} was read"))
}

fn no(hash: &str) -> NoHash {
    Hash::read(hash).err().unwrap_or_else(|| panic!("{hash:?} is one"))
}

fn is_of(hash: &str, password: &str) -> bool {
    Hash::read(hash).unwrap_or_else(|no| panic!("{hash:?}: {no:?}")).is_of(password.as_bytes())
}

#[test]
fn what_others_made_is_verified_and_nothing_else_passes() {
    for hash in [OF_HTPASSWD, &OF_HTPASSWD.replace("$2y$", "$2b$"), &OF_HTPASSWD.replace("$2y$", "$2a$"), OF_PYTHON] {
        assert!(is_of(hash, "correct horse"), "{hash}");
        for other in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!is_of(hash, other), "{hash} {other:?}");
        }
    }
    for (hash, password) in [(OF_REFERENCE, "correct horse"), (OF_CFFI, "p\u{e4}ssword")] {
        assert!(is_of(hash, password), "{hash}");
        for other in ["", "correct hors", "p\u{e4}ssword\0", "password"] {
            assert!(!is_of(hash, other), "{hash} {other:?}");
        }
    }
}

#[test]
fn of_a_long_password_bcrypt_knows_the_first_72_bytes_as_wherever_it_is_used() {
    assert!(is_of(OF_HTPASSWD_LONG, &"a".repeat(100)) && is_of(OF_HTPASSWD_LONG, &"a".repeat(72)));
    assert!(!is_of(OF_HTPASSWD_LONG, &"a".repeat(71)));
}

#[test]
fn what_is_made_here_is_verified_here_and_is_not_cheap() {
    let made = hashed(b"correct horse").expect("a hash");
    assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
    assert!(is_of(&made, "correct horse") && !is_of(&made, "correct hors"));
    assert!(!Hash::read(&made).expect("a hash").is_cheap());
    assert_ne!(made, hashed(b"correct horse").expect("a hash"), "each has its own salt");
}

#[test]
fn what_is_copied_and_guessed_quickly_is_known() {
    let of = |kib: u32, passes: u32| OF_REFERENCE.replace("m=64,t=2", &format!("m={kib},t={passes}"));
    for (hash, cheap) in [
        (OF_HTPASSWD.to_owned(), true),
        (OF_HTPASSWD.replace("$05$", "$09$"), true),
        (OF_HTPASSWD.replace("$05$", "$10$"), false),
        (of(64, 2), true),
        (of(7 * 1024, 5), false),
        (of(19 * 1024, 1), true),
        (of(19 * 1024, 2), false),
    ] {
        assert_eq!(Hash::read(&hash).expect("a hash").is_cheap(), cheap, "{hash}");
    }
}

#[test]
fn hashes_of_other_kinds_are_named_and_none_is_taken() {
    for (hash, kind) in [
        ("$apr1$N0Rtrqza$535Gm7EyeYPAVawtcJWPh0", Kind::Md5),
        ("$1$N0Rtrqza$535Gm7EyeYPAVawtcJWPh0", Kind::Md5),
        ("{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=", Kind::Sha1),
        ("{SSHA}6dcfXufJLW3J6S/9rRe4vUlBj5gAAAA", Kind::Sha1),
        ("$5$1hOKrMx6O6hLeKLP$ow3CkP1goAA6wTJi.WCwKrAcgonUc4J.FFepyrgyEy1", Kind::ShaCrypt),
        ("$6$buVdbhAYOGS6yFJl$u2zEAtua9WKmZ6zbFmurEHu7ObqdQbQWORTd45j7", Kind::ShaCrypt),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC", Kind::Scrypt),
        ("$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D", Kind::Scrypt),
        ("eBdFn5YQE6hJA", Kind::Plain),
        ("b", Kind::Plain),
        ("", Kind::Plain),
        ("!", Kind::Plain),
        ("x", Kind::Plain),
        (&OF_REFERENCE.replace("argon2id", "argon2i"), Kind::OtherArgon2),
        (&OF_REFERENCE.replace("argon2id", "argon2d"), Kind::OtherArgon2),
        (&OF_REFERENCE.replace("v=19", "v=16"), Kind::OtherArgon2),
        (&OF_REFERENCE.replace("v=19$", ""), Kind::OtherArgon2),
        (&OF_HTPASSWD.replace("$2y$", "$2x$"), Kind::OldBcrypt),
        (&OF_HTPASSWD.replace("$2y$", "$2$"), Kind::OldBcrypt),
    ] {
        assert_eq!(no(hash), NoHash::Other(kind), "{hash}");
    }
}

#[test]
fn what_costs_more_than_an_edge_has_to_give_is_refused() {
    let of = |params: &str| OF_REFERENCE.replace("m=64,t=2,p=1", params);
    for params in
        ["m=65537,t=1,p=1", "m=65536,t=5,p=1", "m=64,t=4294967295,p=1", "m=4294967295,t=1,p=1", "m=65536,t=1,p=17"]
    {
        assert_eq!(no(&of(params)), NoHash::Costly, "{params}");
    }
    for params in ["m=65536,t=4,p=1", "m=65536,t=3,p=4", "m=65536,t=1,p=16"] {
        assert!(Hash::read(&of(params)).is_ok(), "{params}");
    }
    for (cost, taken) in [("04", true), ("14", true), ("15", false), ("31", false)] {
        let hash = OF_HTPASSWD.replace("$05$", &format!("${cost}$"));
        assert_eq!(Hash::read(&hash).err(), (!taken).then_some(NoHash::Costly), "{cost}");
    }
}

#[test]
fn what_is_not_whole_or_can_be_written_in_two_ways_is_refused() {
    for hash in [
        OF_REFERENCE.replace("m=64,t=2", "t=2,m=64"),
        OF_REFERENCE.replace("m=64", "m=064"),
        OF_REFERENCE.replace("m=64", "m=+64"),
        OF_REFERENCE.replace("p=1", "p=1,keyid=AAAA"),
        OF_REFERENCE.replace("p=1", "p=0"),
        OF_REFERENCE.replace("m=64", "m=7"),
        OF_REFERENCE.replace("v=19", "v=20"),
        OF_REFERENCE.replace("c2FsdHNhbHQ", "c2FsdA"),
        OF_REFERENCE.replace("c2FsdHNhbHQ", "c2FsdHNhbHR"),
        OF_REFERENCE.replace("c2FsdHNhbHQ", "c2FsdHNhbHQ="),
        format!("{OF_REFERENCE}$"),
        OF_HTPASSWD.replace("$05$", "$03$"),
        OF_HTPASSWD.replace("$05$", "$32$"),
        OF_HTPASSWD.replace("$05$", "$+5$"),
        OF_HTPASSWD.replace("lg8q", "lg8!"),
        format!("{OF_HTPASSWD}x"),
    ] {
        assert_eq!(no(&hash), NoHash::Broken, "{hash}");
    }
    for (hash, begins) in [(OF_REFERENCE, "$argon2id$"), (OF_HTPASSWD, "$2y$"), (OF_PYTHON, "$2b$")] {
        for end in begins.len()..hash.len() {
            // What is cut within its last part may be a whole one of another length.
            let cut = Hash::read(&hash[..end]);
            assert!(cut.is_err() || (begins == "$argon2id$" && end + 22 > hash.len()), "{}", &hash[..end]);
        }
    }
}

#[test]
fn lines_are_names_and_hashes_with_remarks_blank_lines_and_either_end() {
    let text = format!(
        "# ours\n\nalice:{OF_HTPASSWD}\r\nb\u{f6}b smith:{OF_REFERENCE}:since 2024 \n  \ncarol@example.com:{OF_PYTHON}"
    );
    let users = read(&text);
    let names: Vec<&str> = users.each().map(|it| &*it.name).collect();
    assert_eq!(names, ["alice", "b\u{f6}b smith", "carol@example.com"]);
    assert!(users.get("alice").is_some_and(|it| it.hash.text() == OF_HTPASSWD));
    assert!(users.get("b\u{f6}b smith").is_some_and(|it| it.hash.text() == OF_REFERENCE));
    for none in ["Alice", "alice ", "", "#", "dave"] {
        assert!(users.get(none).is_none(), "{none:?}");
    }
    assert!(read("").is_empty() && read("# nobody\n\n").is_empty());
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place_and_nothing_of_a_hash() {
    let text = format!(
        "alice:{OF_HTPASSWD}\nhunter2\n:{OF_HTPASSWD}\nb\u{f6}b:plain secret\nalice:{OF_PYTHON}\n \tcarol:{OF_PYTHON}\ndave:$2y$20{}\n",
        &OF_HTPASSWD[6..]
    );
    let found = wrong(&text);
    let short: Vec<_> = found.iter().map(|it| (it.line, it.column, it.width, it.name.as_str(), it.why)).collect();
    assert_eq!(
        short,
        [
            (2, 1, 1, "", Why::Form),
            (3, 1, 1, "", Why::Form),
            (4, 5, 12, "b\u{f6}b", Why::Hash(NoHash::Other(Kind::Plain))),
            (5, 1, 5, "alice", Why::Twice(1)),
            (6, 1, 7, "", Why::Name),
            (7, 6, 60, "dave", Why::Hash(NoHash::Costly)),
        ]
    );
    let told = format!("{found:?}");
    assert!(!told.contains("secret") && !told.contains("hunter2") && !told.contains("lg8q"), "{told}");
    for name in ["\u{feff}alice", "al\tice\u{1}", " alice", &"a".repeat(256)] {
        assert_eq!(wrong(&format!("{name}:{OF_PYTHON}"))[0].why, Why::Name, "{name:?}");
    }
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    let many = |n: usize| (0..n).map(|i| format!("u{i}:{OF_REFERENCE}\n")).collect::<String>();
    assert_eq!(read(&many(MOST_USERS)).len(), MOST_USERS);
    let found = wrong(&many(MOST_USERS + 5));
    assert_eq!(found.iter().map(|it| (it.line, it.why)).collect::<Vec<_>>(), [(MOST_USERS + 1, Why::TooMany)]);
}

#[test]
fn who_is_none_of_them_is_compared_with_one_of_them_always_the_same() {
    let users = read(&format!("a:{OF_HTPASSWD}\nb:{OF_REFERENCE}\n"));
    let of = |draw| users.stand_in(draw).map(|it| it.name.to_string());
    assert_eq!([of(0), of(1), of(2), of(u64::MAX)], ["a", "b", "a", "b"].map(|it| Some(it.to_owned())));
    assert!(Users::default().stand_in(7).is_none());
}

/// However a file is cut, what is read of it is what its whole lines say, and every cut is read or refused.
#[test]
fn a_file_that_is_cut_at_any_byte_lets_nobody_in_who_is_not_in_the_whole() {
    let text = format!("# ours\nalice:{OF_HTPASSWD}\nbob:{OF_REFERENCE}:remark\n");
    let whole = read(&text);
    for end in 0..=text.len() {
        let Ok(users) = Users::read(&text[..end]) else { continue };
        for it in users.each() {
            let known = whole.get(&it.name).expect("a name of the whole");
            // The last part of argon2id's has no length of its own: what is cut there verifies nothing.
            assert!(known.hash == it.hash || !it.hash.is_of(b"correct horse"), "{end}");
        }
    }
}
