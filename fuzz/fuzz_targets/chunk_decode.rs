//! Chunks: no bytes panic or take more memory than asked for, and what they say survives encoding again.
#![no_main]

use chunk::floats::{self, FloatEncoder};
use chunk::stream::{StreamDecoder, StreamEncoder};
use chunk::{TIMESTAMP_MS_ABS_MAX, histograms, timestamps};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((head, bytes)) = input.split_first_chunk::<3>() else { return };
    let count = usize::from(u16::from_le_bytes([head[1], head[2]]));
    match head[0] % 4 {
        0 => floats(bytes, count),
        1 => times(bytes, count),
        2 => {
            let mut into = Vec::new();
            if histograms::decode(bytes, count, &mut into).is_ok() {
                let mut encoded = Vec::new();
                histograms::encode(&into, &mut encoded);
                let mut again = Vec::new();
                histograms::decode(&encoded, into.len(), &mut again).expect("just encoded");
                assert!(into.iter().zip(&again).all(|(a, b)| a.same_bits(b)));
            }
        }
        _ => stream(bytes),
    }
});

fn floats(bytes: &[u8], count: usize) {
    let mut into = Vec::new();
    if floats::decode(bytes, count, &mut into).is_ok() {
        assert_eq!(into.len(), count);
        let mut encoded = Vec::new();
        FloatEncoder::default().encode(&into, &mut encoded);
        let mut again = Vec::new();
        floats::decode(&encoded, count, &mut again).expect("just encoded");
        assert!(into.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

fn times(bytes: &[u8], count: usize) {
    let mut into = Vec::new();
    if timestamps::decode(bytes, count, &mut into).is_ok() {
        assert_eq!(into.len(), count);
        if into.is_sorted_by(|a, b| a < b)
            && into.iter().all(|t| t.unsigned_abs() <= TIMESTAMP_MS_ABS_MAX as u64)
        {
            let mut encoded = Vec::new();
            timestamps::encode(&into, &mut encoded);
            let mut again = Vec::new();
            timestamps::decode(&encoded, count, &mut again).expect("just encoded");
            assert_eq!(into, again);
        }
    }
}

fn stream(bytes: &[u8]) {
    let samples: Vec<(i64, f64)> = StreamDecoder::new(bytes).take(1 << 16).map_while(Result::ok).collect();
    let mut encoder = StreamEncoder::default();
    let mut kept: Vec<(i64, f64)> = Vec::new();
    for (timestamp_ms, value) in samples {
        let rises = kept.last().is_none_or(|(last, _)| *last < timestamp_ms);
        let last = kept.last().copied().unwrap_or_default();
        let fits = rises && timestamp_ms.unsigned_abs() <= TIMESTAMP_MS_ABS_MAX as u64;
        if fits && encoder.push(last, timestamp_ms, value) {
            kept.push((timestamp_ms, value));
        }
    }
    let again = StreamDecoder::new(encoder.bytes()).map(|sample| sample.expect("just encoded"));
    let bits = |(t, v): (i64, f64)| (t, v.to_bits());
    assert!(again.map(bits).eq(kept.into_iter().map(bits)));
}
