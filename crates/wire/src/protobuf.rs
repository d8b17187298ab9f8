//! Protobuf's wire format, by hand: the few messages read here need no generated code, and their strings are
//! borrowed from the body instead of copied.
//!
//! Source: the Protocol Buffers encoding page. Groups (removed from the language long ago) are refused.

/// Bytes that are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// A length or number goes on past the end.
    #[error("the message is cut off")]
    Truncated,
    /// More than ten bytes, or more than 64 bits.
    #[error("a number has more than 64 bits")]
    VarintTooLong,
    /// Field number 0, or one beyond 2^29.
    #[error("field number {0} is not allowed")]
    FieldNumber(u64),
    /// A wire type that does not exist, or a group.
    #[error("wire type {0} is not supported")]
    WireType(u8),
    /// A known field with a wire type that its declaration does not allow.
    #[error("field {field} has the wrong wire type")]
    Mismatch {
        /// The field's number.
        field: u32,
    },
}

/// A field's value as the wire knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// int32, int64, uint32, uint64, sint32, sint64, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// string, bytes, messages, packed repeated fields.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
}

/// Yields the fields of one message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `message`.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field with its number; `None` at the end.
    ///
    /// # Errors
    /// If the bytes are not protobuf.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let field = u32::try_from(number).ok().filter(|n| (1..1 << 29).contains(n));
        let field = field.ok_or(ProtobufError::FieldNumber(number))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let len = self.varint()?;
                let len = usize::try_from(len).map_err(|_| ProtobufError::Truncated)?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(ProtobufError::Truncated)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            other => return Err(ProtobufError::WireType(other as u8)),
        };
        Ok(Some((field, value)))
    }

    /// The content of the next field if its tag is `tag` (of one byte) and its length takes one or two bytes, as nearly always;
    /// otherwise `None`, and [`Self::next_field`] is to be asked.
    #[inline]
    pub fn usual_bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_first()?;
        if *first != tag {
            return None;
        }
        let (len, rest) = match rest {
            [len, rest @ ..] if *len < 0x80 => (usize::from(*len), rest),
            [low, high, rest @ ..] if *high < 0x80 => {
                (usize::from(*low & 0x7f) | usize::from(*high) << 7, rest)
            }
            _ => return None,
        };
        let (bytes, rest) = rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A message behind its length, as streams hold them.
    ///
    /// # Errors
    /// If it is cut off.
    pub fn delimited(&mut self) -> Result<&'a [u8], ProtobufError> {
        let len = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
        let (message, rest) = self.rest.split_at_checked(len).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(message)
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number without a tag, as packed fields hold them.
    ///
    /// # Errors
    /// If it is cut off or too long.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ProtobufError> {
        match self.rest {
            [low, rest @ ..] if *low < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0u64;
        for (at, byte) in self.rest.iter().enumerate() {
            let shift = 7 * at as u32;
            if at > 9 || (at == 9 && *byte > 1) {
                return Err(ProtobufError::VarintTooLong);
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        Err(ProtobufError::Truncated)
    }

    /// Eight bytes without a tag, as packed fields hold them.
    ///
    /// # Errors
    /// If they are cut off.
    pub fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        self.fixed().map(u64::from_le_bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

impl<'a> Value<'a> {
    /// A nested message, string or bytes.
    ///
    /// # Errors
    /// `Mismatch` if it is something else.
    pub fn bytes(self, field: u32) -> Result<&'a [u8], ProtobufError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(ProtobufError::Mismatch { field }) }
    }

    /// A whole number in its unsigned form.
    ///
    /// # Errors
    /// `Mismatch` if it is something else.
    pub fn varint(self, field: u32) -> Result<u64, ProtobufError> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(ProtobufError::Mismatch { field }) }
    }

    /// An int64 (or int32).
    ///
    /// # Errors
    /// `Mismatch` if it is something else.
    pub fn int64(self, field: u32) -> Result<i64, ProtobufError> {
        self.varint(field).map(u64::cast_signed)
    }

    /// A double.
    ///
    /// # Errors
    /// `Mismatch` if it is something else.
    pub fn double(self, field: u32) -> Result<f64, ProtobufError> {
        if let Self::Fixed64(bits) = self {
            Ok(f64::from_bits(bits))
        } else {
            Err(ProtobufError::Mismatch { field })
        }
    }
}

/// sint32 and sint64 as numbers.
pub fn zigzag_decode(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

/// Numbers as sint32 and sint64.
pub fn zigzag_encode(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// How many bytes a varint takes.
fn varint_len(number: u64) -> usize {
    (number | 1).ilog2() as usize / 7 + 1
}

/// Appends fields to a message.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// The message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties the message and keeps its allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends all fields of another message.
    pub fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(&other.bytes);
    }

    fn tag(&mut self, field: u32, wire_type: u8) {
        self.raw_varint(u64::from(field) << 3 | u64::from(wire_type));
    }

    fn raw_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A whole number in its unsigned form. Zero is the default and left out.
    pub fn varint(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.tag(field, 0);
            self.raw_varint(number);
        }
    }

    /// A whole number that is written even if it is zero, as `oneof` needs it.
    pub fn varint_always(&mut self, field: u32, number: u64) {
        self.tag(field, 0);
        self.raw_varint(number);
    }

    /// An int64.
    pub fn int64(&mut self, field: u32, number: i64) {
        self.varint(field, number.cast_unsigned());
    }

    /// A double. Positive zero is the default and left out.
    pub fn double(&mut self, field: u32, number: f64) {
        if number.to_bits() != 0 {
            self.double_always(field, number);
        }
    }

    /// A double that is written even if it is zero, as `oneof` needs it.
    pub fn double_always(&mut self, field: u32, number: f64) {
        self.tag(field, 1);
        self.bytes.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    /// A nested message, string or bytes.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.raw_varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// A string; the empty one is the default and left out.
    pub fn string(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// The beginning of a nested message that has `len` bytes, which follow.
    pub fn begin_bytes(&mut self, field: u32, len: usize) {
        self.tag(field, 2);
        self.raw_varint(len as u64);
    }

    /// How many bytes [`Self::string`] adds, for fields below 16.
    pub fn string_len(text: &str) -> usize {
        if text.is_empty() { 0 } else { Self::bytes_len(text.len()) }
    }

    /// How many bytes [`Self::bytes`] adds, for fields below 16.
    pub fn bytes_len(len: usize) -> usize {
        1 + varint_len(len as u64) + len
    }

    /// How many bytes [`Self::double`] adds, for fields below 16.
    pub fn double_len(number: f64) -> usize {
        if number.to_bits() == 0 { 0 } else { 9 }
    }

    /// How many bytes [`Self::int64`] adds, for fields below 16.
    pub fn int64_len(number: i64) -> usize {
        if number == 0 { 0 } else { 1 + varint_len(number.cast_unsigned()) }
    }

    /// A nested message of two short strings, 1 and 2: what nearly all labels are. Whether they are short enough; otherwise
    /// nothing is written.
    #[inline]
    pub fn short_pair(&mut self, field: u32, first: &str, second: &str) -> bool {
        let (first, second) = (first.as_bytes(), second.as_bytes());
        let len = 4 + first.len() + second.len();
        if first.is_empty() || second.is_empty() || len >= 0x80 || field >= 16 {
            return false;
        }
        self.bytes.reserve(2 + len);
        self.bytes.extend_from_slice(&[(field as u8) << 3 | 2, len as u8, 1 << 3 | 2, first.len() as u8]);
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(&[2 << 3 | 2, second.len() as u8]);
        self.bytes.extend_from_slice(second);
        true
    }

    /// A packed repeated whole number.
    pub fn varints(&mut self, field: u32, numbers: &[u64]) {
        if numbers.is_empty() {
            return;
        }
        let mut packed = Self::new();
        numbers.iter().for_each(|number| packed.raw_varint(*number));
        self.bytes(field, packed.as_bytes());
    }

    /// A fixed64. Zero is the default and left out.
    pub fn fixed64(&mut self, field: u32, number: u64) {
        self.double(field, f64::from_bits(number));
    }

    /// A packed repeated double.
    pub fn doubles(&mut self, field: u32, numbers: &[f64]) {
        if numbers.is_empty() {
            return;
        }
        self.tag(field, 2);
        self.raw_varint(numbers.len() as u64 * 8);
        for number in numbers {
            self.bytes.extend_from_slice(&number.to_bits().to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(message: &[u8], want: Result<Vec<(u32, Value<'_>)>, ProtobufError>) {
        let mut reader = Reader::new(message);
        let mut fields = Vec::new();
        let got = loop {
            match reader.next_field() {
                Ok(Some(field)) => fields.push(field),
                Ok(None) => break Ok(fields),
                Err(error) => break Err(error),
            }
        };
        assert_eq!(got, want, "{message:x?}");
    }

    #[test]
    fn fields_are_read_as_the_encoding_page_says() {
        check(&[0x08, 0x96, 0x01], Ok(vec![(1, Value::Varint(150))]));
        check(&[0x12, 0x02, b'h', b'i'], Ok(vec![(2, Value::Bytes(b"hi"))]));
        check(&[0x0d, 1, 0, 0, 0], Ok(vec![(1, Value::Fixed32(1))]));
        check(&[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f], Ok(vec![(1, Value::Fixed64(1f64.to_bits()))]));
    }

    #[test]
    fn what_is_no_protobuf_is_refused() {
        check(&[0x08], Err(ProtobufError::Truncated));
        check(&[0x12, 0x05, b'h'], Err(ProtobufError::Truncated));
        check(
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            Err(ProtobufError::Truncated),
        );
        check(&[0x09, 0], Err(ProtobufError::Truncated));
        check(
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            Err(ProtobufError::VarintTooLong),
        );
        check(&[0x00, 0x01], Err(ProtobufError::FieldNumber(0)));
        check(&[0x0b], Err(ProtobufError::WireType(3)));
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(number: u64, signed: i64, double: u64, text in ".{0,20}", numbers: Vec<u64>) {
            let mut writer = Writer::new();
            writer.varint_always(1, number);
            writer.varint_always(2, zigzag_encode(signed));
            writer.double_always(3, f64::from_bits(double));
            writer.bytes(4, text.as_bytes());
            writer.doubles(5, &numbers.iter().map(|bits| f64::from_bits(*bits)).collect::<Vec<_>>());
            let mut reader = Reader::new(writer.as_bytes());
            prop_assert_eq!(reader.next_field(), Ok(Some((1, Value::Varint(number)))));
            let (_, value) = reader.next_field().expect("sound").expect("there");
            prop_assert_eq!(zigzag_decode(value.varint(2).expect("a number")), signed);
            prop_assert_eq!(reader.next_field(), Ok(Some((3, Value::Fixed64(double)))));
            let (mut usual, tag) = (reader, 4 << 3 | 2);
            prop_assert_eq!(usual.usual_bytes(tag + 8), None);
            prop_assert_eq!(usual.usual_bytes(tag), Some(text.as_bytes()));
            prop_assert_eq!(reader.next_field(), Ok(Some((4, Value::Bytes(text.as_bytes())))));
            prop_assert_eq!(usual.len(), reader.len());
            if let Some((5, Value::Bytes(packed))) = reader.next_field().expect("sound") {
                let mut packed = Reader::new(packed);
                for bits in &numbers {
                    prop_assert_eq!(packed.fixed64(), Ok(*bits));
                }
            } else {
                prop_assert!(numbers.is_empty());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(message: Vec<u8>) {
            let mut reader = Reader::new(&message);
            while let Ok(Some(_)) = reader.next_field() {}
        }
    }
}
