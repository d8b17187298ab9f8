//! Zabbix' frames, their JSON, and keys of items.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::zabbix::{Header, Key, read};

fuzz_target!(|input: &[u8]| {
    if let Ok(Some(header)) = Header::parse(input) {
        assert!(header.header_bytes <= input.len());
    }
    let _ = read(input, |_, item| {
        if let Ok(item) = item {
            assert!(!item.host.is_empty() && !item.key.is_empty());
        }
        true
    });
    if let Ok(Ok(key)) = std::str::from_utf8(input).map(Key::parse) {
        assert!(!key.name.is_empty());
        for (_, value) in key.labels().flatten() {
            assert!(!value.is_empty());
        }
    }
});
