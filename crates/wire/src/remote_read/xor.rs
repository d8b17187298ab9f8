//! A chunk of floats: times as differences of differences, values by XOR with the one before.

use super::bits::{BitWriter, XorState};

/// Encodes one chunk: two bytes with the count, then samples in rising order of time.
///
/// `timestamps_ms` and `values` are of equal length, at least one and below 65,536.
pub(super) fn encode(timestamps_ms: &[i64], values: &[f64], out: &mut BitWriter) {
    let count = u16::try_from(timestamps_ms.len()).expect("chunks are cut far below 65,536 samples");
    out.restart(&count.to_be_bytes());
    let mut state = XorState::after(values[0]);
    let (mut last_ms, mut delta_ms) = (timestamps_ms[0], 0i64);
    // The first time in Go's signed varint, which is zigzag.
    out.write_varint(crate::protobuf::zigzag_encode(last_ms));
    out.write(values[0].to_bits(), 64);
    for (at, (timestamp_ms, value)) in timestamps_ms.iter().zip(values).enumerate().skip(1) {
        let delta = timestamp_ms.wrapping_sub(last_ms);
        if at == 1 {
            out.write_varint(delta.cast_unsigned());
        } else {
            write_second_difference(delta.wrapping_sub(delta_ms), out);
        }
        (last_ms, delta_ms) = (*timestamp_ms, delta);
        state.write(*value, out);
    }
}

fn write_second_difference(difference: i64, out: &mut BitWriter) {
    if difference == 0 {
        return out.write(0, 1);
    }
    for (prefix, prefix_bits, size) in [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20)] {
        if -((1i64 << (size - 1)) - 1) <= difference && difference <= 1i64 << (size - 1) {
            out.write(prefix, prefix_bits);
            return out.write(difference.cast_unsigned(), size);
        }
    }
    out.write(0b1111, 4);
    out.write(difference.cast_unsigned(), 64);
}
