#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everyhop_fuzz::key_uri(data));
