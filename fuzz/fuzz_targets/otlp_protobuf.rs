//! OTLP requests in protobuf, turned into samples.
#![no_main]
#![allow(unreachable_pub, reason = "a module of a binary")]

use libfuzzer_sys::fuzz_target;
use wire::otlp::convert::Converter;
use wire::otlp::protobuf;

#[path = "otlp/checks.rs"]
mod checks;

fuzz_target!(|input: &[u8]| {
    for settings in checks::settings() {
        let mut sink = checks::Checks::new();
        let _ = protobuf::decode(input, &mut Converter::new(&settings, &mut sink));
    }
});
