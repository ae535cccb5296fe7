//! Who may look at whom. Between crates cargo holds it, and this test that cargo's arrows are the ones that the house
//! has; between the folders of the engine this test alone: it reads every `use crate::` and names the arrow that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may know of ours, `everyhop-` left out.
const CRATES: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("hello", &[]),
    ("canon", &[]),
    ("http1", &[]),
    ("http2", &[]),
    ("token", &[]),
    ("password", &[]),
    ("ticket", &[]),
    ("signing", &[]),
    ("pkcs11", &[]),
    ("decide", &["plan", "hello", "canon"]),
    ("transport", &["http2"]),
    ("record", &["plan", "hello", "canon", "http1"]),
    ("running", &["plan", "hello", "canon", "token", "password", "ticket", "signing", "decide", "transport", "record"]),
    ("keyholder", &["signing", "pkcs11", "running"]),
    (
        "engine",
        &["plan", "hello", "canon", "http1", "http2", "token", "password", "decide", "transport", "record", "running"],
    ),
    ("control", &["plan", "canon", "http1", "decide", "transport", "record", "running", "engine", "keyholder"]),
    (
        "door",
        &["plan", "hello", "canon", "http1", "token", "password", "decide", "record", "running", "pkcs11", "control"],
    ),
];

/// What a part of the engine must never know, beside what a circle would show.
const NEVER: &[(&str, &[&str])] = &[
    ("exchange", &["client", "backend", "admit", "head", "worker", "arrived"]),
    ("admit", &["client", "backend", "head", "worker", "arrived"]),
    ("head", &["client", "backend", "admit", "worker", "arrived"]),
    ("backend", &["client", "admit", "head", "worker", "arrived"]),
    ("worker", &["client", "accept", "arrived"]),
];

/// Which file knows which part, and by which `use`.
type Arrows = BTreeMap<(String, String), String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources").map(|e| e.expect("an entry").path());
    let mut all: Vec<PathBuf> = entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect();
    all.sort();
    all
}

/// `client/h1` of `client/h1.rs`, `admit` of `admit/mod.rs`.
fn module(path: &Path) -> String {
    let inner = path.strip_prefix(root().join("src")).expect("a source of the engine").with_extension("");
    let name = inner.to_str().expect("a name in UTF-8").to_owned();
    name.strip_suffix("/mod").map_or(name.clone(), str::to_owned)
}

/// What follows each `crate::` in a source, comments left out; a list in braces gives each of its own.
fn named(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
    let text = lines.join("\n");
    let mut all = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(list) = rest.strip_prefix('{').and_then(|r| r.split('}').next()) {
            all.extend(list.split(',').map(|it| vec![word(it.trim())]));
            continue;
        }
        let mut path = Vec::new();
        let mut rest = rest;
        loop {
            let name = word(rest);
            rest = &rest[name.len()..];
            path.push(name);
            match rest.strip_prefix("::") {
                Some(more) if !more.starts_with('{') => rest = more,
                Some(more) => {
                    let list = more.trim_start_matches('{').split('}').next().unwrap_or_default();
                    let before = path.clone();
                    all.extend(list.split(',').map(|it| [before.clone(), vec![word(it.trim())]].concat()));
                    break;
                }
                None => break,
            }
        }
        all.push(path);
    }
    all
}

/// Every arrow between two modules of the engine, with the words that make it.
fn arrows() -> Arrows {
    let files = sources(&root().join("src"));
    let modules: BTreeSet<String> = files.iter().map(|f| module(f)).collect();
    let mut all = Arrows::new();
    for file in &files {
        let from = module(file);
        if from == "lib" || from == "fuzzing" {
            continue;
        }
        for path in named(&fs::read_to_string(file).expect("a source")) {
            // The longest beginning of the path that is a file: what follows is something in it.
            let to = (1..=path.len()).rev().map(|n| path[..n].join("/")).find(|name| modules.contains(name));
            let to = to.unwrap_or_else(|| panic!("{from} uses crate::{}, which is no file", path.join("::")));
            if to != from {
                all.entry((from.clone(), to)).or_insert_with(|| path.join("::"));
            }
        }
    }
    all
}

fn part(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

/// A circle, as the arrows that make it.
fn circle(arrows: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        arrows: &BTreeSet<(String, String)>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(begun) = way.iter().position(|m| m == at) {
            return Some([&way[begun..], &[at.to_owned()]].concat());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at.to_owned());
        let found = arrows.iter().filter(|(from, _)| from == at).find_map(|(_, to)| walk(to, arrows, way, done));
        way.pop();
        done.insert(at.to_owned());
        found
    }
    let mut done = BTreeSet::new();
    arrows.iter().find_map(|(from, _)| walk(from, arrows, &mut Vec::new(), &mut done))
}

fn drawn(arrows: &Arrows, circle: &[String]) -> String {
    let used = |from: &str, to: &str| {
        let it = arrows.iter().find(|((f, t), _)| (f == from && t == to) || (part(f) == from && part(t) == to));
        it.map_or_else(String::new, |((f, _), path)| format!("{f}.rs uses crate::{path}"))
    };
    let steps = circle.windows(2).map(|two| format!("  {} -> {}: {}", two[0], two[1], used(&two[0], &two[1])));
    steps.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_file_of_the_engine_stands_in_a_circle() {
    let arrows = arrows();
    let files: BTreeSet<(String, String)> = arrows.keys().cloned().collect();
    // A folder's own page and its files are one part here: `mod.rs` names what it holds.
    let between = |(from, to): &&(String, String)| from != part(to) && to != part(from);
    let files = files.iter().filter(between).cloned().collect();
    if let Some(found) = circle(&files) {
        panic!("these files know each other:\n{}", drawn(&arrows, &found));
    }
}

#[test]
fn no_folder_of_the_engine_stands_in_a_circle() {
    let arrows = arrows();
    let folders = arrows.keys().map(|(from, to)| (part(from).to_owned(), part(to).to_owned()));
    let folders = folders.filter(|(from, to)| from != to).collect();
    if let Some(found) = circle(&folders) {
        panic!("these folders know each other:\n{}", drawn(&arrows, &found));
    }
}

#[test]
fn the_vocabulary_knows_neither_side_and_nothing_knows_the_page() {
    for ((from, to), path) in &arrows() {
        let never = NEVER.iter().find(|(name, _)| *name == part(from)).map_or(&[][..], |(_, never)| never);
        assert!(!never.contains(&part(to)), "{from}.rs must not know {}: it uses crate::{path}", part(to));
        assert_ne!(to, "connection", "{from}.rs must not know the page: it uses crate::{path}");
    }
}

/// The names of ours in a manifest's `[dependencies]`.
fn depends(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|l| l.strip_prefix("everyhop-"));
    names.map(|l| l.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}

#[test]
fn a_crate_knows_only_the_crates_below_it() {
    let crates = root().join("..");
    let found: BTreeSet<String> = fs::read_dir(&crates)
        .expect("the crates")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let named: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, named, "a crate has no floor yet");
    let mut below = BTreeSet::new();
    for (name, may) in CRATES {
        let manifest = fs::read_to_string(crates.join(name).join("Cargo.toml")).expect("a manifest");
        for other in depends(&manifest) {
            assert!(may.contains(&other.as_str()), "everyhop-{name} must not know everyhop-{other}");
            assert!(below.contains(&other), "everyhop-{other} stands above everyhop-{name}");
        }
        below.insert((*name).to_owned());
    }
}
