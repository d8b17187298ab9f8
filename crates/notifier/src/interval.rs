//! Intervals of calendar time in which a route is muted or active: times of day, weekdays, days of the month, months,
//! years, each in a location. Ranges and faults as Alertmanager has them.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Deserializer};

/// All conditions that are given must hold. Without any, it is always.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeInterval {
    times: Option<Vec<TimeRange>>,
    weekdays: Option<Vec<Weekdays>>,
    days_of_month: Option<Vec<DaysOfMonth>>,
    months: Option<Vec<Months>>,
    years: Option<Vec<Years>>,
    location: Option<Location>,
}

/// Minutes of the day; the end does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TimeRange {
    start: i32,
    end: i32,
}

/// Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inclusive {
    begin: i32,
    end: i32,
}

/// 0 is Sunday.
#[derive(Debug, Clone, Copy)]
struct Weekdays(Inclusive);

/// Negative days count from the month's end: -1 is its last.
#[derive(Debug, Clone, Copy)]
struct DaysOfMonth(Inclusive);

#[derive(Debug, Clone, Copy)]
struct Months(Inclusive);

#[derive(Debug, Clone, Copy)]
struct Years(Inclusive);

#[derive(Debug, Clone)]
struct Location(TimeZone);

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl TimeInterval {
    /// Whether a moment lies in it. UTC counts where no location is given.
    pub fn contains(&self, at_ms: i64) -> bool {
        let Ok(at) = Timestamp::from_millisecond(at_ms) else { return false };
        let zone = self.location.as_ref().map_or(TimeZone::UTC, |location| location.0.clone());
        let at = at.to_zoned(zone);
        let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
        any(self.times.as_ref(), |range| range.start <= minute && minute < range.end)
            && any(self.days_of_month.as_ref(), |days| days.contains(&at))
            && any(self.months.as_ref(), |months| months.0.contains(at.month()))
            && any(self.weekdays.as_ref(), |days| days.0.contains(at.weekday().to_sunday_zero_offset()))
            && any(self.years.as_ref(), |years| {
                let year = i32::from(at.year());
                years.0.begin <= year && year <= years.0.end
            })
    }
}

fn any<T>(ranges: Option<&Vec<T>>, contains: impl Fn(&T) -> bool) -> bool {
    ranges.is_none_or(|ranges| ranges.iter().any(contains))
}

impl Inclusive {
    fn contains(self, value: i8) -> bool {
        (self.begin..=self.end).contains(&i32::from(value))
    }
}

impl DaysOfMonth {
    fn contains(&self, at: &Zoned) -> bool {
        let count = i32::from(at.days_in_month());
        let from_start = |day: i32| if day < 0 { count + day + 1 } else { day };
        let (begin, end) = (from_start(self.0.begin), from_start(self.0.end));
        // A range that begins after a short month's end is not in it.
        begin <= count && (begin..=end.min(count)).contains(&i32::from(at.day()))
    }
}

/// `a` or `a:b`, each read by `member`.
fn range(text: &str, member: impl Fn(&str) -> Result<i32, String>) -> Result<Inclusive, String> {
    let text = text.to_lowercase();
    let mut parts = text.split(':');
    let begin = parts.next().unwrap_or("");
    let end = parts.next().unwrap_or(begin);
    if parts.next().is_some() {
        return Err(format!("couldn't parse range {text}, invalid format"));
    }
    if end.is_empty() || begin.is_empty() {
        return Err(if text.contains(':') {
            format!("couldn't parse range {text}, invalid format")
        } else {
            member(begin).err().unwrap_or_default()
        });
    }
    Ok(Inclusive { begin: member(begin)?, end: member(end)? })
}

fn number(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

fn weekdays(text: &str) -> Result<Inclusive, String> {
    let day = |name: &str| {
        let at = WEEKDAYS.iter().position(|known| *known == name);
        at.and_then(|at| i32::try_from(at).ok()).ok_or_else(|| format!("{name} is not a valid weekday"))
    };
    let range = range(text, day)?;
    if range.begin > range.end {
        return Err("start day cannot be before end day".to_owned());
    }
    Ok(range)
}

fn days_of_month(text: &str) -> Result<Inclusive, String> {
    let range = range(text, number)?;
    for day in [range.begin, range.end] {
        if day == 0 || !(-31..=31).contains(&day) {
            return Err(format!("{day} is not a valid day of the month: out of range"));
        }
    }
    if range.begin < 0 && range.end > 0 {
        return Err("end day must be negative if start day is negative".to_owned());
    }
    // The shortest month tells which ranges are empty whatever the month.
    let earliest = |day: i32| if day < 0 { 28 + day } else { day };
    if earliest(range.begin) > earliest(range.end) {
        return Err(format!("end day {} is always before start day {}", range.end, range.begin));
    }
    Ok(range)
}

fn months(text: &str) -> Result<Inclusive, String> {
    let month = |name: &str| match MONTHS.iter().position(|known| *known == name) {
        Some(at) => Ok(i32::try_from(at + 1).unwrap_or(0)),
        None => name.parse().map_err(|_| format!("{name} is not a valid month")),
    };
    let range = range(text, month)?;
    let name = |month: i32| {
        let at = usize::try_from(month - 1).ok();
        at.and_then(|at| MONTHS.get(at)).copied().unwrap_or("")
    };
    if range.begin > range.end {
        return Err(format!("end month {} is before start month {}", name(range.end), name(range.begin)));
    }
    Ok(range)
}

fn years(text: &str) -> Result<Inclusive, String> {
    let range = range(text, number)?;
    if range.begin > range.end {
        return Err(format!("end year {} is before start year {}", range.end, range.begin));
    }
    Ok(range)
}

/// `HH:MM` in minutes; `24:00` is the end of the day.
fn minutes(text: &str) -> Result<i32, String> {
    let invalid = || format!("couldn't parse timestamp {text}, invalid format");
    let bytes = text.as_bytes();
    let digits = |at: usize| Some(i32::from(bytes.get(at)?.checked_sub(b'0').filter(|digit| *digit < 10)?));
    if bytes.len() != 5 || bytes[2] != b':' {
        return Err(invalid());
    }
    let two = |at: usize| Some(digits(at)? * 10 + digits(at + 1)?);
    let (hour, minute) = two(0).zip(two(3)).ok_or_else(invalid)?;
    let fits = (hour < 24 && minute < 60) || (hour == 24 && minute == 0);
    if fits { Ok(hour * 60 + minute) } else { Err(invalid()) }
}

macro_rules! from_text {
    ($($type:ident $read:ident;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $read(&text).map(Self).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

from_text! {
    Weekdays weekdays;
    DaysOfMonth days_of_month;
    Months months;
    Years years;
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default, deny_unknown_fields)]
        struct Texts {
            start_time: String,
            end_time: String,
        }
        let fault = |message: String| serde::de::Error::custom(message);
        let texts = Texts::deserialize(deserializer)?;
        if texts.start_time.is_empty() || texts.end_time.is_empty() {
            return Err(fault("both start and end times must be provided".to_owned()));
        }
        let (start, end) =
            (minutes(&texts.start_time).map_err(fault)?, minutes(&texts.end_time).map_err(fault)?);
        if start >= end {
            return Err(fault("start time cannot be equal or greater than end time".to_owned()));
        }
        Ok(Self { start, end })
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = match name.as_str() {
            "" | "UTC" => TimeZone::UTC,
            "Local" => TimeZone::try_system().unwrap_or(TimeZone::UTC),
            name => TimeZone::get(name).map_err(|_| {
                serde::de::Error::custom(fmt::format(format_args!("unknown time zone {name}")))
            })?,
        };
        Ok(Self(zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(yaml: &str) -> TimeInterval {
        yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
    }

    #[track_caller]
    fn check(yaml: &str, at: &str, want: bool) {
        let at_ms = at.parse::<Timestamp>().expect("a time").as_millisecond();
        assert_eq!(interval(yaml).contains(at_ms), want, "{yaml} at {at}");
    }

    #[track_caller]
    fn refused(yaml: &str, want: &str) {
        let error = yaml::from_str::<TimeInterval>(yaml).expect_err(yaml);
        assert_eq!(error.message, want);
    }

    #[test]
    fn without_conditions_it_is_always() {
        check("{}", "2026-11-20T12:00:00Z", true);
    }

    #[test]
    fn the_end_of_a_time_range_does_not_belong_to_it() {
        let office = "times: [{start_time: '09:00', end_time: '17:00'}]";
        check(office, "2026-11-20T09:00:00Z", true);
        check(office, "2026-11-20T16:59:59Z", true);
        check(office, "2026-11-20T17:00:00Z", false);
        check("times: [{start_time: '00:00', end_time: '24:00'}]", "2026-11-20T23:59:59Z", true);
    }

    #[test]
    fn days_of_the_month_may_count_from_its_end() {
        check("days_of_month: ['-3:-1']", "2024-02-27T00:00:00Z", true);
        check("days_of_month: ['-3:-1']", "2024-02-26T00:00:00Z", false);
        check("days_of_month: ['31']", "2024-04-30T00:00:00Z", false);
        check("days_of_month: ['28:31']", "2023-02-28T12:00:00Z", true);
        check("days_of_month: ['1:-1']", "2023-02-28T12:00:00Z", true);
        check("days_of_month: ['-31:-30']", "2023-02-01T12:00:00Z", false);
    }

    #[test]
    fn weekdays_months_and_years_are_inclusive() {
        check("weekdays: ['Monday:friday', 'sunday']", "2026-11-20T12:00:00Z", true);
        check("weekdays: ['monday:friday', 'sunday']", "2026-11-21T12:00:00Z", false);
        check("weekdays: ['monday:friday', 'sunday']", "2026-11-22T12:00:00Z", true);
        check("months: ['january', '10:december']", "2026-11-20T12:00:00Z", true);
        check("months: ['january:march']", "2026-11-20T12:00:00Z", false);
        check("years: ['2020:2026']", "2026-11-20T12:00:00Z", true);
        check("years: ['2027']", "2026-11-20T12:00:00Z", false);
    }

    #[test]
    fn a_location_moves_the_day() {
        let night = "{weekdays: ['saturday'], location: 'Australia/Melbourne'}";
        check(night, "2026-11-20T14:00:00Z", true);
        check(night, "2026-11-20T12:00:00Z", false);
        let london = "{times: [{start_time: '09:00', end_time: '10:00'}], location: 'Europe/London'}";
        check(london, "2026-07-01T08:30:00Z", true);
        check(london, "2026-12-01T08:30:00Z", false);
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        refused(
            "times: [{start_time: '9:00', end_time: '17:00'}]",
            "couldn't parse timestamp 9:00, invalid format",
        );
        refused(
            "times: [{start_time: '18:00', end_time: '17:00'}]",
            "start time cannot be equal or greater than end time",
        );
        refused("times: [{start_time: '18:00'}]", "both start and end times must be provided");
        refused("weekdays: ['blurgsday']", "blurgsday is not a valid weekday");
        refused("weekdays: ['friday:monday']", "start day cannot be before end day");
        refused("days_of_month: ['0']", "0 is not a valid day of the month: out of range");
        refused("days_of_month: ['-5:5']", "end day must be negative if start day is negative");
        refused("days_of_month: ['10:5']", "end day 5 is always before start day 10");
        refused("months: ['march:january']", "end month january is before start month march");
        refused("months: ['smarch']", "smarch is not a valid month");
        refused("years: ['2026:2020']", "end year 2020 is before start year 2026");
        refused("location: 'Narnia/Lantern'", "unknown time zone Narnia/Lantern");
    }
}
