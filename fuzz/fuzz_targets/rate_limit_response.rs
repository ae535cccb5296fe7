#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everyhop_fuzz::rate_limit_response(data));
