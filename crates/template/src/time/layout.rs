//! Go's layouts: a time is written as the reference time `Mon Jan 2 15:04:05 MST 2006` would be.

use jiff::tz::{Offset, TimeZone};
use jiff::{Zoned, civil};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    Year,
    YearTwo,
    MonthLong,
    MonthShort,
    Month {
        padded: bool,
    },
    WeekdayLong,
    WeekdayShort,
    Day(Pad),
    YearDay(Pad),
    Hour,
    Hour12 {
        padded: bool,
    },
    Minute {
        padded: bool,
    },
    Second {
        padded: bool,
    },
    Noon {
        upper: bool,
    },
    Zone,
    /// `-07`, `-0700`, `-07:00`, with seconds, and with `Z` for UTC.
    Offset {
        digits: usize,
        colons: bool,
        zulu: bool,
    },
    /// `.000` or `.999`: digits, and whether trailing zeros are left away; with the mark that stands before them.
    Fraction {
        mark: char,
        digits: usize,
        trims: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pad {
    None,
    Space,
    Zero,
}

/// The longest first where one begins another.
const PARTS: &[(&str, Part<'static>)] = &[
    ("January", Part::MonthLong),
    ("Jan", Part::MonthShort),
    ("Monday", Part::WeekdayLong),
    ("Mon", Part::WeekdayShort),
    ("MST", Part::Zone),
    ("002", Part::YearDay(Pad::Zero)),
    ("01", Part::Month { padded: true }),
    ("02", Part::Day(Pad::Zero)),
    ("03", Part::Hour12 { padded: true }),
    ("04", Part::Minute { padded: true }),
    ("05", Part::Second { padded: true }),
    ("06", Part::YearTwo),
    ("15", Part::Hour),
    ("2006", Part::Year),
    ("__2", Part::YearDay(Pad::Space)),
    ("_2006", Part::Literal("_")),
    ("_2", Part::Day(Pad::Space)),
    ("PM", Part::Noon { upper: true }),
    ("pm", Part::Noon { upper: false }),
    ("-07:00:00", Part::Offset { digits: 6, colons: true, zulu: false }),
    ("-070000", Part::Offset { digits: 6, colons: false, zulu: false }),
    ("-07:00", Part::Offset { digits: 4, colons: true, zulu: false }),
    ("-0700", Part::Offset { digits: 4, colons: false, zulu: false }),
    ("-07", Part::Offset { digits: 2, colons: false, zulu: false }),
    ("Z07:00:00", Part::Offset { digits: 6, colons: true, zulu: true }),
    ("Z070000", Part::Offset { digits: 6, colons: false, zulu: true }),
    ("Z07:00", Part::Offset { digits: 4, colons: true, zulu: true }),
    ("Z0700", Part::Offset { digits: 4, colons: false, zulu: true }),
    ("Z07", Part::Offset { digits: 2, colons: false, zulu: true }),
    ("1", Part::Month { padded: false }),
    ("2", Part::Day(Pad::None)),
    ("3", Part::Hour12 { padded: false }),
    ("4", Part::Minute { padded: false }),
    ("5", Part::Second { padded: false }),
];

/// The next part of a layout, and what follows it.
fn split(layout: &str) -> (Part<'_>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        if let Some((part, length)) = part_at(rest) {
            if at > 0 {
                return (Part::Literal(&layout[..at]), rest);
            }
            return (part, &rest[length..]);
        }
    }
    (Part::Literal(layout), "")
}

fn part_at(rest: &str) -> Option<(Part<'_>, usize)> {
    if let Some(found) = fraction_at(rest) {
        return Some(found);
    }
    let (text, part) = PARTS.iter().find(|(text, _)| rest.starts_with(text))?;
    match part {
        // `January` and `Monday` have their own entries; `Jan` or `Mon` within a longer word are just letters.
        Part::MonthShort | Part::WeekdayShort if rest[3..].starts_with(|c: char| c.is_ascii_lowercase()) => {
            None
        }
        Part::Literal(mark) => Some((*part, mark.len())),
        _ => Some((*part, text.len())),
    }
}

/// `.000`, `,999`: digits of a second, if no other digit follows.
fn fraction_at(rest: &str) -> Option<(Part<'_>, usize)> {
    let mark = rest.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = rest[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = rest[1..].chars().take_while(|c| *c == digit).count();
    let followed = rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
    (!followed).then_some((Part::Fraction { mark, digits, trims: digit == '9' }, 1 + digits))
}

pub(super) fn format(zoned: &Zoned, mut layout: &str) -> String {
    let mut out = String::new();
    while !layout.is_empty() {
        let (part, rest) = split(layout);
        push_part(&mut out, zoned, part);
        layout = rest;
    }
    out
}

fn push_part(out: &mut String, zoned: &Zoned, part: Part<'_>) {
    let padded = |value: i64, pad: Pad, width: usize| match pad {
        Pad::None => value.to_string(),
        Pad::Space => format!("{value:>width$}"),
        Pad::Zero => format!("{value:0width$}"),
    };
    let zero = |is: bool| if is { Pad::Zero } else { Pad::None };
    let hour12 = i64::from(zoned.hour() + 11) % 12 + 1;
    let month = usize::from(zoned.month().unsigned_abs()) - 1;
    let day = usize::from(zoned.weekday().to_sunday_zero_offset().unsigned_abs());
    out.push_str(&match part {
        Part::Literal(text) => text.to_owned(),
        Part::Year if zoned.year() < 0 => format!("-{:04}", zoned.year().unsigned_abs()),
        Part::Year => format!("{:04}", zoned.year()),
        Part::YearTwo => format!("{:02}", zoned.year().rem_euclid(100)),
        Part::MonthLong => MONTHS[month].to_owned(),
        Part::MonthShort => MONTHS[month][..3].to_owned(),
        Part::Month { padded: is } => padded(zoned.month().into(), zero(is), 2),
        Part::WeekdayLong => DAYS[day].to_owned(),
        Part::WeekdayShort => DAYS[day][..3].to_owned(),
        Part::Day(pad) => padded(zoned.day().into(), pad, 2),
        Part::YearDay(pad) => padded(zoned.day_of_year().into(), pad, 3),
        Part::Hour => padded(zoned.hour().into(), Pad::Zero, 2),
        Part::Hour12 { padded: is } => padded(hour12, zero(is), 2),
        Part::Minute { padded: is } => padded(zoned.minute().into(), zero(is), 2),
        Part::Second { padded: is } => padded(zoned.second().into(), zero(is), 2),
        Part::Noon { upper } => match (zoned.hour() >= 12, upper) {
            (true, true) => "PM",
            (false, true) => "AM",
            (true, false) => "pm",
            (false, false) => "am",
        }
        .to_owned(),
        Part::Zone => zone_name(zoned),
        Part::Offset { digits, colons, zulu } => offset(zoned.offset(), digits, colons, zulu),
        Part::Fraction { mark, digits, trims } => fraction(zoned, mark, digits, trims),
    });
}

fn zone_name(zoned: &Zoned) -> String {
    if zoned.time_zone() == &TimeZone::UTC {
        return "UTC".to_owned();
    }
    let info = zoned.time_zone().to_offset_info(zoned.timestamp());
    let name = info.abbreviation();
    // A zone without a name shows its offset, without minutes that are zero.
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.to_owned()
    } else {
        let text = offset(zoned.offset(), 4, false, false);
        text.strip_suffix("00").map_or(text.clone(), str::to_owned)
    }
}

fn offset(offset: Offset, digits: usize, colons: bool, zulu: bool) -> String {
    let seconds = offset.seconds();
    if zulu && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs();
    let mut out = format!("{sign}{:02}", total / 3_600);
    let mark = if colons { ":" } else { "" };
    if digits > 2 {
        out.push_str(&format!("{mark}{:02}", total / 60 % 60));
    }
    if digits > 4 {
        out.push_str(&format!("{mark}{:02}", total % 60));
    }
    out
}

fn fraction(zoned: &Zoned, mark: char, digits: usize, trims: bool) -> String {
    let all = format!("{:09}", zoned.subsec_nanosecond());
    let cut = &all[..digits.min(9)];
    let cut = if trims { cut.trim_end_matches('0') } else { cut };
    if cut.is_empty() { String::new() } else { format!("{mark}{cut}") }
}

/// What was read so far.
#[derive(Default)]
struct Read {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    ns: i32,
    offset: Option<Offset>,
    zone: Option<String>,
}

pub(super) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let quote = crate::format::quote;
    let fault = |rest: &str, part: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(text),
            quote(layout),
            quote(rest),
            quote(part)
        )
    };
    let mut read = Read::default();
    let (mut rest, mut left) = (text, layout);
    while !left.is_empty() {
        let (part, after) = split(left);
        let shown = &left[..left.len() - after.len()];
        rest = read.part(part, rest, after).ok_or_else(|| fault(rest, shown))?;
        left = after;
    }
    if !rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(text), quote(rest)));
    }
    read.build().map_err(|what| format!("parsing time {}: {what} out of range", quote(text)))
}

impl Read {
    /// Takes one part off the text. What follows it; `None` if it is not there.
    fn part<'t>(&mut self, part: Part<'_>, text: &'t str, after: &str) -> Option<&'t str> {
        let (value, rest): (i64, &str) = match part {
            Part::Literal(literal) => return skip(text, literal),
            Part::Zone => return self.zone(text),
            Part::Offset { digits, colons, zulu } => return self.offset(text, digits, colons, zulu),
            Part::Fraction { digits, trims, .. } => return self.fraction(text, (!trims).then_some(digits)),
            Part::MonthLong | Part::MonthShort => {
                let (at, rest) = named(text, &MONTHS, part == Part::MonthShort)?;
                (at as i64 + 1, rest)
            }
            Part::WeekdayLong | Part::WeekdayShort => {
                return named(text, &DAYS, part == Part::WeekdayShort).map(|(_, rest)| rest);
            }
            Part::Noon { upper } => {
                let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
                self.afternoon = Some(text.starts_with(pm));
                return text.strip_prefix(pm).or_else(|| text.strip_prefix(am));
            }
            Part::Year => number(text, 4, 4)?,
            Part::YearTwo => number(text, 2, 2)?,
            Part::Day(Pad::Space) => number(text.strip_prefix(' ').unwrap_or(text), 1, 2)?,
            Part::YearDay(_) => number(text.trim_start_matches(' '), 1, 3)?,
            Part::Day(Pad::Zero)
            | Part::Hour
            | Part::Month { padded: true }
            | Part::Hour12 { padded: true }
            | Part::Minute { padded: true }
            | Part::Second { padded: true } => number(text, 2, 2)?,
            _ => number(text, 1, 2)?,
        };
        match part {
            Part::Year => self.year = value as i16,
            Part::YearTwo => self.year = value as i16 + if value >= 69 { 1900 } else { 2000 },
            Part::MonthLong | Part::MonthShort | Part::Month { .. } => self.month = Some(value as i8),
            Part::Day(_) => self.day = Some(value as i8),
            Part::YearDay(_) => self.year_day = Some(value as i16),
            Part::Hour | Part::Hour12 { .. } => self.hour = value as i8,
            Part::Minute { .. } => self.minute = value as i8,
            _ => self.second = value as i8,
        }
        // A fraction of the second is read even where the layout has none.
        let begins =
            rest.strip_prefix(['.', ',']).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if matches!(part, Part::Second { .. }) && begins && fraction_at(after).is_none() {
            return self.fraction(rest, None);
        }
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t str, exactly: Option<usize>) -> Option<&'t str> {
        let Some(digits) = text.strip_prefix(['.', ',']) else {
            return exactly.is_none().then_some(text);
        };
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let end = exactly.map_or(end, |exactly| exactly.min(end));
        if exactly.is_some_and(|exactly| exactly != end) || end == 0 {
            return None;
        }
        let ns: String = digits[..end].chars().chain("000000000".chars()).take(9).collect();
        self.ns = ns.parse().ok()?;
        Some(&digits[end..])
    }

    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
        if !(3..=5).contains(&end) {
            return None;
        }
        self.zone = Some(text[..end].to_owned());
        Some(&text[end..])
    }

    fn offset<'t>(&mut self, text: &'t str, digits: usize, colons: bool, zulu: bool) -> Option<&'t str> {
        if zulu && let Some(rest) = text.strip_prefix('Z') {
            self.offset = Some(Offset::UTC);
            return Some(rest);
        }
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['+', '-'])?;
        let mut seconds = 0;
        for (at, unit) in [3_600, 60, 1].into_iter().enumerate().take(digits / 2) {
            if colons && at > 0 {
                rest = rest.strip_prefix(':')?;
            }
            let (value, after) = number(rest, 2, 2)?;
            seconds += value as i32 * unit;
            rest = after;
        }
        self.offset = Some(Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?);
        Some(rest)
    }

    fn build(self) -> Result<Zoned, &'static str> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let time = civil::Time::new(hour, self.minute, self.second, self.ns).map_err(|_| match hour {
            24.. => "hour",
            _ if self.minute > 59 => "minute",
            _ => "second",
        })?;
        if !(1..=12).contains(&self.month.unwrap_or(1)) {
            return Err("month");
        }
        let mut date =
            civil::Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).map_err(|_| "day")?;
        if let Some(day) = self.year_day {
            date = date.with().day_of_year(day).build().map_err(|_| "day-of-year")?;
        }
        let zone = match (self.offset, self.zone.as_deref()) {
            (Some(offset), _) if offset != Offset::UTC => TimeZone::fixed(offset),
            _ => TimeZone::UTC,
        };
        date.to_datetime(time).to_zoned(zone).map_err(|_| "year")
    }
}

/// Skips what a layout says literally; where it says space, any number of spaces may stand.
fn skip<'t>(mut text: &'t str, literal: &str) -> Option<&'t str> {
    for c in literal.chars() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
        }
    }
    Some(text)
}

fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()).min(most);
    if end < least {
        return None;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A name of the table, without regard to case.
fn named<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (at, &text[name.len()..]))
    })
}
