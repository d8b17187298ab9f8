//! Verbs beyond what the language can show; the rest is in `tests/golden/language.tsv`.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(format: &str, args: &[Value], expected: &str) {
    let mut text = Text::new(10_000);
    printf(&mut text, format, args);
    assert_eq!(text.into_string(), expected, "{format}");
}

#[test]
fn special_floats_are_written_as_go_does() {
    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324, f64::MAX];
    let values = values.map(Value::Float);
    check("%v %v %v %v %v %v", &values, "NaN +Inf -Inf -0 5e-324 1.7976931348623157e+308");
    check(
        "%5.1f|%+f|%06.2f|%-6f|",
        &values[..3].iter().chain([&values[1]]).cloned().collect::<Vec<_>>(),
        "  NaN|+Inf|  -Inf|+Inf  |",
    );
}

#[test]
fn a_width_is_bounded() {
    for format in ["%2000000d", "%-99999999999999999999d", "%.2000000f", "%.9999999999d", "%.99999999999e"] {
        let mut text = Text::new(1_000_000);
        printf(
            &mut text,
            format,
            &[if format.ends_with(['f', 'e']) { Value::Float(1.0) } else { Value::Int(1) }],
        );
        assert!(text.is_full(), "{format}");
    }
}

proptest! {
    #[test]
    fn any_format_is_survived(format in "[%a-zA-Z0-9.*\\[\\] +#-]{0,24}", number in any::<i64>(), float in any::<f64>()) {
        let mut text = Text::new(10_000);
        printf(&mut text, &format, &[Value::Int(number), Value::Float(float), Value::from("é"), Value::Nil]);
        prop_assert!(text.as_str().len() <= 10_000);
    }

    #[test]
    fn shortest_floats_read_back_the_same(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let shown = plain(&Value::Float(value), 100);
        prop_assert_eq!(shown.parse::<f64>().expect("a number").to_bits(), value.to_bits());
    }
}
