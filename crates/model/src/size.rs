//! Sizes in bytes as configuration files write them: `10MB`, `1.5GiB`, `512B`.
//!
//! As in Prometheus (`units.Base2Bytes`), every unit counts by 1024: `1KB` and `1KiB` are both 1024 bytes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(&str, u64); 13] = [
    ("B", 1),
    ("KB", 1 << 10),
    ("KiB", 1 << 10),
    ("MB", 1 << 20),
    ("MiB", 1 << 20),
    ("GB", 1 << 30),
    ("GiB", 1 << 30),
    ("TB", 1 << 40),
    ("TiB", 1 << 40),
    ("PB", 1 << 50),
    ("PiB", 1 << 50),
    ("EB", 1 << 60),
    ("EiB", 1 << 60),
];

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number followed by a unit.
    #[error("units: invalid {0}")]
    Invalid(String),
    /// No unit, or one that does not exist. The two spaces are Prometheus'.
    #[error("units: unknown unit {unit} in {text}")]
    UnknownUnit {
        /// What stands where the unit should.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than fits into an `i64`, Prometheus' limit.
    #[error("units: size {0} is out of range")]
    OutOfRange(String),
}

/// A size as a configuration file writes it. Missing or null: 0, which mostly means "no limit".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Reads sizes such as `10MB`, `1.5GiB` or `1GB512MB`; `0` needs no unit. A sign is refused.
///
/// # Errors
/// Says what is wrong, in Prometheus' words.
pub fn parse_size_bytes(text: &str) -> Result<u64, SizeError> {
    if text == "0" {
        return Ok(0);
    }
    let mut rest = text;
    let mut total: f64 = 0.0;
    if rest.is_empty() {
        return Err(SizeError::Invalid(text.to_owned()));
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: f64 = number.parse().map_err(|_| SizeError::Invalid(text.to_owned()))?;
        let (_, unit_bytes) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| SizeError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        total += number * *unit_bytes as f64;
        rest = after;
    }
    if total >= i64::MAX as f64 {
        return Err(SizeError::OutOfRange(text.to_owned()));
    }
    Ok(total as u64)
}

/// Writes a size with the largest unit that divides it: `10MiB`, `0B`.
pub fn format_size_bytes(bytes: u64) -> String {
    const BINARY: [(&str, u64); 6] = [
        ("EiB", 1 << 60),
        ("PiB", 1 << 50),
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    match BINARY.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_size_bytes(self.0))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => parse_size_bytes(&text).map(Self).map_err(serde::de::Error::custom),
            None => Ok(Self(0)),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_count_by_1024_whatever_the_unit_is_called() {
        for (text, want) in [
            ("0", 0),
            ("0B", 0),
            ("1KB", 1_024),
            ("1KiB", 1_024),
            ("10MB", 10 << 20),
            ("1.5GiB", 3 << 29),
            ("1GB512MB", (1 << 30) + (512 << 20)),
        ] {
            assert_eq!(parse_size_bytes(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_in_prometheus_words() {
        assert_eq!(parse_size_bytes("100").expect_err("no unit").to_string(), "units: unknown unit  in 100");
        assert_eq!(
            parse_size_bytes("1XB").expect_err("no such unit").to_string(),
            "units: unknown unit XB in 1XB"
        );
        for bad in ["", "MB", "-1GB", "1.2.3MB", " 1MB", "1MB ", "99999999EB", "1K"] {
            assert!(parse_size_bytes(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(bytes in 0..1_u64 << 50) {
            prop_assert_eq!(parse_size_bytes(&format_size_bytes(bytes)), Ok(bytes));
        }
    }
}
