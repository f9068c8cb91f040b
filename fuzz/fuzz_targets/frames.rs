#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| seata_fuzz::frames(data));
