//! Variable-length integers (LEB128, zigzag for signed ones), and a cursor that reads them back.

use crate::Corrupt;

/// Appends an unsigned integer, seven bits a byte, lowest first.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, small magnitudes short.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_u64(out, zigzag(value));
}

/// Appends a length and the bytes.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps small magnitudes to small unsigned numbers.
#[inline]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.rest.split_first().ok_or(Corrupt("ends early"))?;
        self.rest = rest;
        Ok(*first)
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// At the end, or if it has more than 64 bits.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Corrupt> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(Corrupt("an integer is longer than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A signed integer.
    ///
    /// # Errors
    /// As [`Self::u64`].
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Corrupt> {
        self.u64().map(unzigzag)
    }

    /// An unsigned integer of at most `max`, for lengths and counts.
    ///
    /// # Errors
    /// As [`Self::u64`], or if it is larger.
    #[inline]
    pub fn count(&mut self, max: usize) -> Result<usize, Corrupt> {
        let value = self.u64()?;
        usize::try_from(value).ok().filter(|v| *v <= max).ok_or(Corrupt("a count is too large"))
    }

    /// An unsigned integer of 32 bits.
    ///
    /// # Errors
    /// As [`Self::u64`], or if it is larger.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Corrupt> {
        u32::try_from(self.u64()?).map_err(|_| Corrupt("an integer is longer than 32 bits"))
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Corrupt("ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    /// Bytes behind their length, as [`write_bytes`] wrote them.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = self.count(usize::MAX)?;
        self.take(len)
    }

    /// Text behind its length.
    ///
    /// # Errors
    /// If there is less, or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt("text is not utf-8"))
    }

    /// Eight bytes, lowest first.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn fixed_u64(&mut self) -> Result<u64, Corrupt> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes were taken")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_come_back(unsigned: u64, signed: i64) {
            let mut out = Vec::new();
            write_u64(&mut out, unsigned);
            write_i64(&mut out, signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!((reader.u64(), reader.i64(), reader.is_empty()), (Ok(unsigned), Ok(signed), true));
        }
    }

    #[test]
    fn integers_of_more_than_64_bits_are_refused() {
        assert!(Reader::new(&[0xff; 11]).u64().is_err());
        assert!(Reader::new(&[0x80, 0x80]).u64().is_err());
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).u64(),
            Ok(u64::MAX)
        );
    }
}
