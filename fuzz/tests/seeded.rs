//! The run without libFuzzer: every input of the corpora, then as many seeded mutations of them as each target is worth.
//! `make check` runs it; EVERYHOP_FUZZ_ROUNDS makes it longer, EVERYHOP_FUZZ_SEED another.

use everyhop_fuzz::mutate::{Random, dictionary, mutated};
use everyhop_fuzz::{TARGETS, Target};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Instant;

/// A target of the engine's costs some hundred microseconds an input, a parser one or two.
const ROUNDS: usize = 8000;
const ROUNDS_OF_A_SESSION: usize = 1000;
const MOST_BYTES: usize = 4096;

static HOOKED: Once = Once::new();

thread_local! {
    /// Of this test: its tasks run on its thread, and a runtime catches what panics in them.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(folder().join("corpus").join(name))
        .unwrap_or_else(|e| panic!("{name} has no corpus: {e}"))
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect();
    found.sort();
    found
}

fn from_environment(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one input; what panics in a task of the engine's counts as well as what reaches us.
fn hold(name: &str, target: Target, input: &[u8], what: &dyn std::fmt::Display) {
    let before = PANICS.get();
    let ended = std::panic::catch_unwind(|| target(input));
    let fine = ended.is_ok() && PANICS.get() == before;
    assert!(fine, "{name}: {what}: a property does not hold for \"{}\"", input.escape_ascii());
}

fn seeded(name: &str) {
    HOOKED.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            default(info);
        }));
    });
    let (_, target) = TARGETS.iter().find(|(n, _)| *n == name).expect("a target of that name");
    let began = Instant::now();
    let seeds = corpus(name);
    assert!(seeds.len() >= 3, "{name} has hardly a corpus");
    for (path, input) in &seeds {
        hold(name, *target, input, &path.display());
    }
    let tokens = std::fs::read_to_string(folder().join("dictionary")).expect("the dictionary");
    let tokens = dictionary(&tokens);
    assert!(tokens.len() > 50);
    let inputs: Vec<Vec<u8>> = seeds.into_iter().map(|(_, input)| input).collect();
    let default = if name.contains("client_") || name.contains("backend_") { ROUNDS_OF_A_SESSION } else { ROUNDS };
    let rounds = from_environment("EVERYHOP_FUZZ_ROUNDS").unwrap_or(default);
    let seed = u64::try_from(from_environment("EVERYHOP_FUZZ_SEED").unwrap_or(1)).unwrap_or(1);
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let input = mutated(&mut random, &inputs, &tokens, MOST_BYTES);
        hold(name, *target, &input, &format_args!("seed {seed}, round {round}"));
    }
    println!("{name}: {} inputs and {rounds} mutations in {} ms", inputs.len(), began.elapsed().as_millis());
}

#[test]
fn of_plans_the_corpus_has_some_that_read() {
    let read = |input: &[u8]| {
        let text = std::str::from_utf8(input).ok()?;
        everyhop_plan::read(text.split_once('\n')?.1).ok()
    };
    assert!(corpus("plan").iter().filter(|(_, input)| read(input).is_some()).count() >= 8);
}

macro_rules! seeded {
    ($($(#[$meta:meta])* $name:ident $promise:ident;)*) => {
        $($(#[$meta])* #[test] fn $promise() { seeded(stringify!($name)); })*

        #[test]
        fn every_target_is_run_and_has_its_binary() {
            let run = [$($(#[$meta])* stringify!($name),)*];
            assert_eq!(run.to_vec(), TARGETS.iter().map(|(n, _)| *n).collect::<Vec<_>>());
            for name in run {
                assert!(folder().join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
            }
        }
    };
}

seeded! {
    hello a_hello_is_read_alike_however_it_is_cut;
    server_hello a_backends_first_record_is_judged_alike_however_it_is_cut;
    clear_talk what_a_client_says_in_the_clear_is_heard_alike_however_it_is_cut;
    clear_asking a_yes_of_a_backend_is_one_only_with_nothing_behind_it;
    request a_request_is_what_a_second_reader_takes_it_for;
    response a_response_is_what_a_second_reader_takes_it_for;
    chunked a_chunked_body_is_what_a_second_reader_takes_it_for;
    http2_frames frames_are_heard_alike_by_either_side_however_they_are_cut;
    http2_block a_block_that_was_read_is_written_and_read_as_the_same;
    http2_server what_a_client_says_in_http2_is_heard_alike_however_it_is_cut;
    http2_client what_a_server_says_in_http2_is_heard_alike_however_it_is_cut;
    proxy a_proxy_header_ends_where_it_says;
    forwarded a_chain_of_proxies_is_believed_up_to_the_first_that_nobody_trusts;
    trace a_trace_that_is_read_is_told_as_it_was;
    reply an_answer_of_a_store_ends_where_it_says;
    check_response no_answer_of_an_authorizer_is_two;
    rate_limit_response a_refusal_of_a_service_of_limits_ends_and_is_no_yes;
    host a_host_has_one_form;
    path a_path_has_one_form_and_stays_within_its_segments;
    plan a_plan_reads_back_as_itself_and_routes_as_written;
    token no_token_passes_that_nobody_signed;
    key_set every_key_of_a_set_is_used_or_left_out_by_name;
    users whoever_is_read_stands_in_a_line_and_nobody_is_passed_over;
    signing what_is_asked_to_be_signed_is_one_handshake_or_nothing;
    key_uri a_key_of_a_token_is_named_once_and_says_no_pin;
    ticket no_ticket_is_opened_that_was_not_sealed_for_that_site_and_is_whole;
    authorization what_is_shown_reads_back_as_the_same;
    #[cfg(feature = "session")]
    inspector no_verdict_is_read_that_is_not_whole;
    #[cfg(feature = "session")]
    client_h1 nothing_that_a_client_says_in_http1_becomes_another_request;
    #[cfg(feature = "session")]
    client_h2 nothing_that_a_client_says_in_http2_becomes_another_request;
    #[cfg(feature = "session")]
    backend_h1 no_broken_answer_of_a_backend_becomes_a_complete_one;
    #[cfg(feature = "session")]
    backend_h2 no_frame_of_a_backend_breaks_its_clients;
}
