#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| satellite_fuzz::package::run(data));
