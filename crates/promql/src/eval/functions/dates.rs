//! Parts of dates, in UTC.

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateField {
    DaysInMonth,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Month,
    Year,
}

/// The part a function yields.
pub(super) fn resolve(name: &str) -> Option<DateField> {
    Some(match name {
        "days_in_month" => DateField::DaysInMonth,
        "day_of_month" => DateField::DayOfMonth,
        "day_of_week" => DateField::DayOfWeek,
        "day_of_year" => DateField::DayOfYear,
        "hour" => DateField::Hour,
        "minute" => DateField::Minute,
        "month" => DateField::Month,
        "year" => DateField::Year,
        _ => return None,
    })
}

const DAY_S: i64 = 86_400;

impl DateField {
    /// This part of the date so many seconds after 1970 began.
    pub(crate) fn of_seconds(self, seconds: f64) -> f64 {
        // Within ±2^53 s every whole second has a date; beyond, and for NaN, there is none to speak of.
        const SECONDS_MAX: f64 = 9_007_199_254_740_992.0;
        if seconds.is_nan() || seconds.abs() > SECONDS_MAX {
            return f64::NAN;
        }
        let seconds = seconds as i64;
        let (day, second_of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        let part = match self {
            Self::Hour => second_of_day / 3600,
            Self::Minute => second_of_day / 60 % 60,
            // 1970 began on a Thursday.
            Self::DayOfWeek => (day + 4).rem_euclid(7),
            _ => self.of_day(day),
        };
        part as f64
    }

    fn of_day(self, day: i64) -> i64 {
        let (year, month, day_of_month) = civil(day);
        match self {
            Self::Year => year,
            Self::Month => month,
            Self::DayOfMonth => day_of_month,
            Self::DaysInMonth => days_before_month(year, month + 1) - days_before_month(year, month),
            _ => days_before_month(year, month) + day_of_month,
        }
    }
}

fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// Days of the year before a month, 1 to 13.
fn days_before_month(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let at = usize::try_from(month - 1).unwrap_or(0).min(12);
    BEFORE[at] + i64::from(month > 2 && is_leap(year))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(day: i64) -> (i64, i64, i64) {
    // Counted in eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(seconds in -60_000_000_000i64..250_000_000_000) {
            let time = jiff::Timestamp::from_second(seconds).expect("in range").to_zoned(jiff::tz::TimeZone::UTC);
            let check = |field: DateField, want: i64| {
                let got = field.of_seconds(seconds as f64);
                prop_assert_eq!(got, want as f64, "{:?} of {}", field, seconds);
                Ok(())
            };
            check(DateField::Year, i64::from(time.year()))?;
            check(DateField::Month, i64::from(time.month()))?;
            check(DateField::DayOfMonth, i64::from(time.day()))?;
            check(DateField::DayOfYear, i64::from(time.day_of_year()))?;
            check(DateField::DaysInMonth, i64::from(time.days_in_month()))?;
            check(DateField::DayOfWeek, i64::from(time.weekday().to_sunday_zero_offset()))?;
            check(DateField::Hour, i64::from(time.hour()))?;
            check(DateField::Minute, i64::from(time.minute()))?;
        }
    }
}
