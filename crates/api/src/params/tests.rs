//! Times, durations, limits and escapes as clients write them.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check_time(text: &str, want: Result<i64, &str>) {
    assert_eq!(parse_time_ms(text), want.map_err(str::to_owned), "{text}");
}

#[test]
fn times_are_seconds_or_rfc3339() {
    check_time("0", Ok(0));
    check_time("1435781451.781", Ok(1_435_781_451_781));
    check_time("1435781451.7815", Ok(1_435_781_451_782));
    check_time("-1.5", Ok(-1_500));
    check_time("1e3", Ok(1_000_000));
    check_time("2015-07-01T20:10:51.781Z", Ok(1_435_781_451_781));
    check_time("2015-07-01T22:10:51.781+02:00", Ok(1_435_781_451_781));
    check_time(MIN_TIME_TEXT, Ok(MIN_TIME_MS));
    check_time(MAX_TIME_TEXT, Ok(MAX_TIME_MS));
}

#[test]
fn what_is_no_time_is_refused_with_its_text() {
    for bad in ["", "x", "NaN", "+Inf", "1e300", "2015-07-01", "2015-07-01 20:10:51Z", "2015-13-01T20:10:51Z"]
    {
        check_time(bad, Err(&format!("cannot parse \"{bad}\" to a valid timestamp")));
    }
}

#[test]
fn durations_are_seconds_or_prometheus_durations() {
    for (text, want_ms) in
        [("15", 15_000), ("0.5", 500), ("1m", 60_000), ("-3", -3_000), ("0", 0), ("1h30m", 5_400_000)]
    {
        assert_eq!(parse_api_duration_ms(text), Ok(want_ms), "{text}");
    }
    let error = |text| parse_api_duration_ms(text).expect_err("no duration");
    assert_eq!(error("x"), "cannot parse \"x\" to a valid duration");
    assert_eq!(error(""), "cannot parse \"\" to a valid duration");
    assert_eq!(error("1e300"), "cannot parse \"1e300\" to a valid duration. It overflows int64");
    assert_eq!(error("NaN"), "cannot parse \"NaN\" to a valid duration. It overflows int64");
}

#[test]
fn times_are_printed_as_go_does() {
    assert_eq!(format_time(1_435_781_451_780), "2015-07-01T20:10:51.78Z");
    assert_eq!(format_time(1_435_781_451_000), "2015-07-01T20:10:51Z");
    assert_eq!(format_time(i64::MIN), "0001-01-01T00:00:00Z");
}

#[test]
fn escapes_are_decoded_and_broken_ones_named() {
    let mut params = Params::default();
    params.add("query=a%2Bb+c&match[]=x&match%5B%5D=y&empty&=v").expect("sound");
    assert_eq!(params.get("query"), "a+b c");
    assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!((params.get("empty"), params.get("missing")), ("", ""));
    let error = Params::default().add("query=%zz").expect_err("no escape");
    assert_eq!(error.message(), "error parsing form values: invalid URL escape \"%zz\"");
    assert!(Params::default().add("query=%ff").is_err(), "not UTF-8");
    assert!(Params::default().add("query=%4").is_err(), "cut short");
}

#[test]
fn limits_are_counted_in_whole_numbers() {
    let limit = |text: &str| {
        Params(vec![("limit".to_owned(), text.to_owned())]).limit().map_err(|e| e.message().to_owned())
    };
    assert_eq!(limit("7"), Ok(7));
    assert_eq!(limit("-1"), Err("invalid parameter \"limit\": limit must be non-negative".to_owned()));
    assert_eq!(
        limit("x"),
        Err("invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax".to_owned())
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
        let _ = parse_time_ms(&text);
        let _ = parse_api_duration_ms(&text);
        let _ = decode(&text);
        let _ = looks_like_rfc3339(&text);
    }

    #[test]
    fn printed_times_can_be_read(ms in -62_000_000_000_000i64..250_000_000_000_000) {
        prop_assert_eq!(parse_time_ms(&format_time(ms)), Ok(ms));
    }
}
