#![no_main]

use schemas::decode::Format;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| schemas_fuzz::decode(bytes, Some(Format::DefenderCloud)));
