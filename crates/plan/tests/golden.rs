//! The golden plans that Python wrote are read here; and a stray, a dropped or a doubled key is refused at every place.

use serde_json::Value;

fn golden() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("golden plans") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "json") {
            let text = std::fs::read_to_string(&path).expect("readable").trim_end().to_owned();
            found.push((path.display().to_string(), text));
        }
    }
    assert!(found.len() >= 2, "golden plans are missing");
    found
}

/// The JSON pointer of every object.
fn objects(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            out.push(at.to_owned());
            for (key, inner) in map {
                objects(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                objects(inner, &format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn a_golden_plan_is_read_and_written_back_alike() {
    for (name, text) in golden() {
        let plan = everyhop_plan::read(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let back = serde_json::to_value(&plan).expect("writes");
        assert_eq!(back, serde_json::from_str::<Value>(&text).expect("JSON"), "{name}");
    }
}

#[test]
fn a_stray_or_dropped_key_is_refused_everywhere() {
    for (name, text) in golden() {
        let whole: Value = serde_json::from_str(&text).expect("JSON");
        let mut places = Vec::new();
        objects(&whole, "", &mut places);
        assert!(places.len() > 5);
        for at in places {
            let map = |v: &mut Value, f: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                f(v.pointer_mut(&at).and_then(Value::as_object_mut).expect("an object"));
            };
            let found = whole.pointer(&at).and_then(Value::as_object).expect("an object");
            let keys: Vec<String> = found.keys().cloned().collect();
            let mut stray = whole.clone();
            map(&mut stray, &|m| drop(m.insert("stray".into(), Value::Null)));
            assert!(everyhop_plan::read(&stray.to_string()).is_err(), "{name}: stray key at {at:?}");
            for key in keys {
                let mut less = whole.clone();
                map(&mut less, &|m| drop(m.remove(&key)));
                assert!(everyhop_plan::read(&less.to_string()).is_err(), "{name}: {key:?} dropped at {at:?}");
            }
        }
    }
}

#[test]
fn a_doubled_key_is_refused_everywhere() {
    for (name, text) in golden() {
        for (at, _) in text.match_indices("{\"") {
            let rest = &text[at + 1..];
            let key_end = rest[1..].find('"').expect("a key") + 2;
            let doubled = format!("{}{}:null,{}", &text[..=at], &rest[..key_end], rest);
            assert!(everyhop_plan::read(&doubled).is_err(), "{name}: doubled {} at {at}", &rest[..key_end]);
        }
    }
}

#[test]
fn another_form_is_refused() {
    let (_, text) = golden().swap_remove(0);
    assert!(everyhop_plan::read(&text.replacen("\"plan\":1", "\"plan\":2", 1)).is_err());
}

#[test]
fn a_text_that_is_no_plan_is_told_with_its_reason_and_another_form_with_both_numbers() {
    let why = |text: &str| everyhop_plan::read(text).expect_err("no plan").to_string();
    assert!(why("{}").starts_with("missing field"));
    let (_, text) = golden().remove(0);
    let other = text.replacen("\"plan\":1", "\"plan\":2", 1);
    assert_ne!(other, text);
    assert_eq!(why(&other), "plan form 2 is not 1");
}

#[test]
fn there_are_as_many_threads_as_are_named_or_as_there_are_cores_and_never_none() {
    use everyhop_plan::Threads;
    let read = |text: &str| serde_json::from_str::<Threads>(text).expect("threads");
    let (cores, three) = (read(r#"{"count":"cores"}"#), read(r#"{"count":"fixed","threads":3}"#));
    assert_eq!([cores.number(8), cores.number(1), cores.number(0), three.number(8)], [8, 1, 1, 3]);
}

#[test]
fn a_backend_is_called_as_the_file_calls_it() {
    use everyhop_plan::Place;
    let said = |text: &str| serde_json::from_str::<Place>(text).expect("a place").to_string();
    assert_eq!(said(r#"{"kind":"ip","ip":"10.0.0.1","port":1}"#), "10.0.0.1:1");
    assert_eq!(said(r#"{"kind":"ip","ip":"::1","port":2}"#), "[::1]:2");
    assert_eq!(said(r#"{"kind":"name","name":"b.test","port":3}"#), "b.test:3");
    assert_eq!(said(r#"{"kind":"unix","path":"/run/x"}"#), "unix:/run/x");
    assert_eq!(said(r#"{"kind":"service","service":"_x._tcp.b.test"}"#), "srv:_x._tcp.b.test");
}
