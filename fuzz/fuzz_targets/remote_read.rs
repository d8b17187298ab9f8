//! Remote read: any body is a request or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut message = Vec::new();
    if wire::remote_write::decompress(body, 1 << 20, &mut message).is_ok() {
        let _ = wire::remote_read::decode(&message);
    }
    let _ = wire::remote_read::decode(body);
});
