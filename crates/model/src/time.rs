//! Durations as Prometheus writes them: `1h30m`, `15s`, `250ms`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One millisecond value per unit, largest first, as the order in a duration demands.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing at all.
    #[error("empty duration string")]
    Empty,
    /// Wrong order, missing number or unit.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A unit that is none.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands in its place.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than an `i64` of nanoseconds, Prometheus' limit.
    #[error("duration out of range")]
    OutOfRange,
}

/// Reads `1y2w3d4h5m6s7ms` (any part may be missing, none may come twice or out of order) or `0`.
/// Returns milliseconds, never negative.
///
/// # Errors
/// Says what is wrong, in Prometheus' words.
pub fn parse_duration_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total_ms: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(invalid());
        }
        let (number, after) = rest.split_at(digits);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(invalid());
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(|| unknown_unit(unit, text))?;
        if at < next_unit {
            return Err(invalid());
        }
        next_unit = at + 1;
        let number: i64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        let part_ms = number.checked_mul(UNITS[at].1).ok_or(DurationError::OutOfRange)?;
        total_ms = total_ms.checked_add(part_ms).ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    if total_ms > i64::MAX / 1_000_000 {
        return Err(DurationError::OutOfRange);
    }
    Ok(total_ms)
}

fn unknown_unit(unit: &str, text: &str) -> DurationError {
    DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }
}

/// Writes milliseconds as Prometheus' `model.Duration` does: `1h30m`, `0s`; weeks and years only where they
/// divide the whole.
pub fn format_duration_ms(duration_ms: i64) -> String {
    DurationText(duration_ms).to_string()
}

struct DurationText(i64);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest_ms = self.0.unsigned_abs();
        for (unit, unit_ms) in UNITS {
            let unit_ms = unit_ms.unsigned_abs();
            // "1y" and "3w" are exact or not used: 54w would read worse than 378d.
            if matches!(unit, "y" | "w") && !rest_ms.is_multiple_of(unit_ms) {
                continue;
            }
            let count = rest_ms / unit_ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
                rest_ms -= count * unit_ms;
            }
        }
        Ok(())
    }
}

/// A duration as a configuration file writes it. Null counts as 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurationMs(pub i64);

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DurationText(self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for DurationMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => parse_duration_ms(&text).map(Self).map_err(serde::de::Error::custom),
            None => Ok(Self(0)),
        }
    }
}

impl Serialize for DurationMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, want_ms: i64, want_text: &str) {
        assert_eq!(parse_duration_ms(text), Ok(want_ms));
        assert_eq!(format_duration_ms(want_ms), want_text);
    }

    #[test]
    fn durations_are_read_and_written_as_prometheus_does() {
        check("0", 0, "0s");
        check("0s", 0, "0s");
        check("1ms", 1, "1ms");
        check("90s", 90_000, "1m30s");
        check("1h30m", 5_400_000, "1h30m");
        check("7d", 604_800_000, "1w");
        check("8d", 691_200_000, "8d");
        check("1y", 31_536_000_000, "1y");
        check("3w2d1h", 1_990_800_000, "23d1h");
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for bad in ["1", "s", "1s1m", "1s1s", "-1s", " 1s"] {
            assert!(matches!(parse_duration_ms(bad), Err(DurationError::Invalid(_))), "{bad:?}");
        }
        for (bad, unit) in [("1x", "x"), ("1.5h", "."), ("1s ", "s "), ("1M", "M"), ("1y1hs", "hs")] {
            assert_eq!(parse_duration_ms(bad), Err(unknown_unit(unit, bad)));
        }
        assert_eq!(parse_duration_ms(""), Err(DurationError::Empty));
        for large in ["294y", "9223372036854775808s", "99999999999999999999y"] {
            assert_eq!(parse_duration_ms(large), Err(DurationError::OutOfRange), "{large:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(duration_ms in 0..i64::MAX / 1_000_000) {
            prop_assert_eq!(parse_duration_ms(&format_duration_ms(duration_ms)), Ok(duration_ms));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[0-9ywdhms]{0,30}") {
            if let Ok(duration_ms) = parse_duration_ms(&text) {
                prop_assert!(duration_ms >= 0);
            }
        }
    }
}
