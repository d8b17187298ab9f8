//! Bits in the order Prometheus' chunks have them: the highest bit of each byte first.

/// Appends bits to bytes.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl BitWriter {
    /// Begins with whole bytes.
    pub(super) fn restart(&mut self, header: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(header);
        self.free = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The low `count` bits of `value`, highest first.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let now = left.min(self.free);
            let part = (value >> (left - now)) & ((1 << now) - 1);
            let last = self.bytes.last_mut().expect("a byte was pushed if there was none");
            *last |= (part as u8) << (self.free - now);
            self.free -= now;
            left -= now;
        }
    }

    /// As protobuf's varint, at any bit.
    pub(super) fn write_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.write(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.write(value, 8);
    }

    /// A number in few bits if it is small: a prefix says in how many.
    pub(super) fn write_varbit(&mut self, value: i64) {
        let fits = |bits: u32| -((1i64 << (bits - 1)) - 1) <= value && value <= 1i64 << (bits - 1);
        self.write_prefixed(value.cast_unsigned(), fits);
    }

    /// As [`Self::write_varbit`], for numbers that are never negative.
    pub(super) fn write_varbit_unsigned(&mut self, value: u64) {
        self.write_prefixed(value, |bits| value < 1 << bits);
    }

    fn write_prefixed(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        const SIZES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];
        if value == 0 {
            return self.write(0, 1);
        }
        for (at, size) in SIZES.into_iter().enumerate() {
            if fits(size) {
                // So many ones as there are smaller sizes and one more, then a zero.
                let ones = at as u32 + 1;
                self.write(((1 << ones) - 1) << 1, ones + 1);
                return self.write(value, size);
            }
        }
        self.write(0xff, 8);
        self.write(value, 64);
    }
}

/// What a column of floats remembers from value to value.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorState {
    bits: u64,
    /// Leading and trailing zeros of the last difference that was written with them; `None` before the first.
    window: Option<(u32, u32)>,
}

impl XorState {
    /// After a value that stands alone.
    pub(super) fn after(value: f64) -> Self {
        Self { bits: value.to_bits(), window: None }
    }

    /// Appends the difference of the next value to the last.
    pub(super) fn write(&mut self, value: f64, out: &mut BitWriter) {
        let difference = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        if difference == 0 {
            return out.write(0, 1);
        }
        // Five bits hold the leading zeros.
        let (leading, trailing) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        match self.window {
            Some((known_leading, known_trailing))
                if leading >= known_leading && trailing >= known_trailing =>
            {
                out.write(0b10, 2);
                out.write(difference >> known_trailing, 64 - known_leading - known_trailing);
            }
            _ => {
                self.window = Some((leading, trailing));
                let count = 64 - leading - trailing;
                out.write(0b11, 2);
                out.write(u64::from(leading), 5);
                // 64 does not fit six bits and is written as 0, which never occurs.
                out.write(u64::from(count) & 63, 6);
                out.write(difference >> trailing, count);
            }
        }
    }
}
