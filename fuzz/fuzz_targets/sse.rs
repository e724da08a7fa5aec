#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| satellite_fuzz::sse::run(data));
