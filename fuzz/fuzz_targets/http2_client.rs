#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| everyhop_fuzz::http2_client(data));
