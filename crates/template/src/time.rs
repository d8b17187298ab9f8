//! Instants with their zone, and spans: Go's `time.Time` and `time.Duration`, as templates use them.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use crate::value::{Object, Value, expect_count};

mod layout;

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;

/// An instant, shown in a zone.
#[derive(Debug, Clone)]
pub struct Time(Zoned);

pub(crate) const TIME_METHODS: &[&str] = &[
    "Add",
    "AddDate",
    "After",
    "Before",
    "Compare",
    "Day",
    "Equal",
    "Format",
    "Hour",
    "In",
    "IsZero",
    "Local",
    "Minute",
    "Month",
    "Nanosecond",
    "Round",
    "Second",
    "String",
    "Sub",
    "Truncate",
    "UTC",
    "Unix",
    "UnixMicro",
    "UnixMilli",
    "UnixNano",
    "Weekday",
    "Year",
    "YearDay",
];

pub(crate) const DURATION_METHODS: &[&str] = &[
    "Abs",
    "Hours",
    "Microseconds",
    "Milliseconds",
    "Minutes",
    "Nanoseconds",
    "Round",
    "Seconds",
    "String",
    "Truncate",
];

impl Time {
    /// An instant, in milliseconds since the epoch, shown in UTC. What lies outside of the years 1 to 9999 becomes
    /// the nearest that does not.
    pub fn from_ms(ms: i64) -> Self {
        Self::at(Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        }))
    }

    /// An instant, in nanoseconds since the epoch, shown in UTC.
    pub fn from_ns(ns: i64) -> Self {
        // All of `i64` lies between 1677 and 2262.
        Self::at(Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    fn at(timestamp: Timestamp) -> Self {
        Self(timestamp.to_zoned(TimeZone::UTC))
    }

    /// Go's zero time: the first instant of the year 1.
    pub fn zero() -> Self {
        Self::from_ms(-62_135_596_800_000)
    }

    /// Nanoseconds since the epoch; Go leaves open what it is outside of what 64 bits hold.
    pub fn as_ns(&self) -> i64 {
        i64::try_from(self.0.timestamp().as_nanosecond()).unwrap_or(if self.0.year() < 1970 {
            i64::MIN
        } else {
            i64::MAX
        })
    }

    /// The same instant, shown in a zone of the time zone database; `UTC`, `Local` and the empty name (UTC) are known.
    ///
    /// # Errors
    /// If there is no such zone, in Go's words.
    pub fn in_zone(&self, name: &str) -> Result<Self, String> {
        let zone = match name {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
        };
        Ok(Self(self.0.with_time_zone(zone)))
    }

    /// As a layout of Go says (`2006-01-02 15:04:05`).
    pub fn format(&self, layout: &str) -> String {
        layout::format(&self.0, layout)
    }

    /// Reads text that is written as a layout of Go says; without a zone in it, it is UTC.
    ///
    /// # Errors
    /// In Go's words, if it is not.
    pub fn parse(layout: &str, text: &str) -> Result<Self, String> {
        layout::parse(layout, text).map(Self)
    }

    pub(crate) fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        let zoned = &self.0;
        let count = match method {
            "AddDate" => 3,
            "Add" | "After" | "Before" | "Compare" | "Equal" | "Format" | "In" | "Round" | "Sub"
            | "Truncate" => 1,
            _ => 0,
        };
        expect_count(method, args, count)?;
        Ok(match method {
            "Year" => Value::Int(zoned.year().into()),
            "Month" => Value::object(Named::month(zoned.month())),
            "Day" => Value::Int(zoned.day().into()),
            "Hour" => Value::Int(zoned.hour().into()),
            "Minute" => Value::Int(zoned.minute().into()),
            "Second" => Value::Int(zoned.second().into()),
            "Nanosecond" => Value::Int(zoned.subsec_nanosecond().into()),
            "Weekday" => Value::object(Named::weekday(zoned.weekday())),
            "YearDay" => Value::Int(zoned.day_of_year().into()),
            "Unix" => Value::Int(zoned.timestamp().as_second()),
            "UnixMilli" => Value::Int(zoned.timestamp().as_millisecond()),
            "UnixMicro" => Value::Int(zoned.timestamp().as_microsecond()),
            "UnixNano" => Value::Int(self.as_ns()),
            "IsZero" => Value::Bool(*self == Self::zero()),
            "UTC" => Value::Time(self.in_zone("UTC")?),
            "Local" => Value::Time(self.in_zone("Local")?),
            "String" => Value::from(self.to_string()),
            "Format" => Value::from(self.format(text(method, &args[0])?)),
            "In" => Value::Time(self.in_zone(text(method, &args[0])?)?),
            "Add" => Value::Time(self.plus(duration(method, &args[0])?)?),
            "Sub" => Value::Duration(self.since(time(method, &args[0])?)),
            "After" => Value::Bool(zoned.timestamp() > time(method, &args[0])?.0.timestamp()),
            "Before" => Value::Bool(zoned.timestamp() < time(method, &args[0])?.0.timestamp()),
            "Equal" => Value::Bool(zoned.timestamp() == time(method, &args[0])?.0.timestamp()),
            "Compare" => Value::Int(zoned.timestamp().cmp(&time(method, &args[0])?.0.timestamp()) as i64),
            "AddDate" => {
                self.add_date(int(method, &args[0])?, int(method, &args[1])?, int(method, &args[2])?)?
            }
            "Round" | "Truncate" => self.to_multiple(duration(method, &args[0])?, method == "Round")?,
            _ => return Err(format!("time.Time has no method {method}")),
        })
    }

    fn plus(&self, ns: i64) -> Result<Self, String> {
        match self.0.checked_add(jiff::SignedDuration::from_nanos(ns)) {
            Ok(sum) => Ok(Self(sum)),
            Err(_) => Err("the time lies beyond the year 9999 or before the year -9999".to_owned()),
        }
    }

    /// The span since another instant; as Go, at most what 64 bits of nanoseconds hold.
    pub(crate) fn since(&self, other: &Self) -> i64 {
        let ns = self.0.timestamp().as_nanosecond() - other.0.timestamp().as_nanosecond();
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }

    fn add_date(&self, years: i64, months: i64, days: i64) -> Result<Value, String> {
        let beyond = || "the time lies beyond the year 9999 or before the year -9999".to_owned();
        // Go counts a day that the month does not have into the next month; so the first of the month carries the sum.
        let first = self.0.with().day(1).build().map_err(|_| beyond())?;
        let in_range = |value: i64, max: i64| if value.abs() <= max { Ok(value) } else { Err(beyond()) };
        let sum = first
            .checked_add(in_range(years, 19_998)?.years())
            .and_then(|sum| sum.checked_add(months.clamp(-239_976, 239_976).months()))
            .and_then(|sum| sum.checked_add(in_range(days, 7_304_483).unwrap_or(7_304_483).days()))
            .and_then(|sum| sum.checked_add((i64::from(self.0.day()) - 1).days()))
            .map_err(|_| beyond())?;
        Ok(Value::Time(Self(sum)))
    }

    /// To a multiple of a span since the year 1.
    fn to_multiple(&self, ns: i64, rounds: bool) -> Result<Value, String> {
        if ns <= 0 {
            return Ok(Value::Time(self.clone()));
        }
        let since_zero = self.0.timestamp().as_nanosecond() - Self::zero().0.timestamp().as_nanosecond();
        let rest = since_zero.rem_euclid(i128::from(ns));
        let up = rounds && rest * 2 >= i128::from(ns);
        let target = since_zero - rest + if up { i128::from(ns) } else { 0 };
        let by = i64::try_from(target - since_zero).unwrap_or(0);
        Ok(Value::Time(self.plus(by)?))
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.0.timestamp() == other.0.timestamp()
    }
}

/// As Go's `String` method: `2015-06-23 13:19:44.128 +0000 UTC`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

pub(crate) fn call_duration(ns: i64, method: &str, args: &[Value]) -> Result<Value, String> {
    expect_count(method, args, usize::from(matches!(method, "Round" | "Truncate")))?;
    Ok(match method {
        "Abs" => Value::Duration(ns.saturating_abs()),
        "Hours" => Value::Float(parts(ns, 3_600 * SECOND_NS)),
        "Minutes" => Value::Float(parts(ns, 60 * SECOND_NS)),
        "Seconds" => Value::Float(parts(ns, SECOND_NS)),
        "Milliseconds" => Value::Int(ns / 1_000_000),
        "Microseconds" => Value::Int(ns / 1_000),
        "Nanoseconds" => Value::Int(ns),
        "String" => Value::from(format_duration(ns)),
        "Round" | "Truncate" => {
            let unit = duration(method, &args[0])?;
            Value::Duration(if unit <= 0 { ns } else { to_unit(ns, unit, method == "Round") })
        }
        _ => return Err(format!("time.Duration has no method {method}")),
    })
}

/// Whole units and the rest apart, as Go divides: the last digit depends on it.
fn parts(ns: i64, unit_ns: i64) -> f64 {
    (ns / unit_ns) as f64 + (ns % unit_ns) as f64 / unit_ns as f64
}

pub(crate) fn seconds(ns: i64) -> f64 {
    parts(ns, SECOND_NS)
}

fn to_unit(ns: i64, unit: i64, rounds: bool) -> i64 {
    let rest = ns % unit;
    let down = ns - rest;
    if rounds && rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs() {
        down.saturating_add(if ns < 0 { -unit } else { unit })
    } else {
        down
    }
}

/// As Go's `Duration.String`: `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn format_duration(ns: i64) -> String {
    let magnitude = ns.unsigned_abs();
    let sign = if ns < 0 { "-" } else { "" };
    let fraction = |unit: u64| {
        let whole = magnitude / unit;
        let digits = format!("{:0width$}", magnitude % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() { whole.to_string() } else { format!("{whole}.{digits}") }
    };
    match magnitude {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{sign}{magnitude}ns"),
        1_000..1_000_000 => return format!("{sign}{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => return format!("{sign}{}ms", fraction(1_000_000)),
        _ => {}
    }
    let minutes = magnitude / 60_000_000_000;
    let rest = magnitude % 60_000_000_000;
    let digits = format!("{:09}", rest % 1_000_000_000);
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{digits}s", rest / 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
    }
}

fn wrong<T>(method: &str, expected: &str, value: &Value) -> Result<T, String> {
    Err(format!("wrong type for argument of {method}; expected {expected}; got {}", value.type_name()))
}

fn text<'a>(method: &str, value: &'a Value) -> Result<&'a str, String> {
    value.as_str().map_or_else(|| wrong(method, "string", value), Ok)
}

fn int(method: &str, value: &Value) -> Result<i64, String> {
    if let Value::Int(value) = value { Ok(*value) } else { wrong(method, "int", value) }
}

fn time<'a>(method: &str, value: &'a Value) -> Result<&'a Time, String> {
    if let Value::Time(time) = value { Ok(time) } else { wrong(method, "time.Time", value) }
}

fn duration(method: &str, value: &Value) -> Result<i64, String> {
    match value {
        Value::Duration(ns) | Value::Int(ns) => Ok(*ns),
        value => wrong(method, "time.Duration", value),
    }
}

/// A month or day of the week: a number that shows itself by name.
#[derive(Debug)]
struct Named {
    type_name: &'static str,
    number: i64,
    text: &'static str,
}

impl Named {
    fn month(number: i8) -> Self {
        let text = layout::MONTHS[usize::from(number.unsigned_abs()).saturating_sub(1) % 12];
        Self { type_name: "time.Month", number: number.into(), text }
    }

    fn weekday(day: jiff::civil::Weekday) -> Self {
        let number = day.to_sunday_zero_offset();
        let text = layout::DAYS[usize::from(number.unsigned_abs()) % 7];
        Self { type_name: "time.Weekday", number: number.into(), text }
    }
}

impl Object for Named {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn methods(&self) -> &'static [&'static str] {
        &["String"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        expect_count(method, args, 0)?;
        Ok(Value::from(self.text))
    }

    fn inner(&self) -> Option<Value> {
        Some(Value::Int(self.number))
    }

    fn text(&self) -> Option<String> {
        Some(self.text.to_owned())
    }
}
