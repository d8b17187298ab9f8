//! The name of a metric is dropped where another metric comes about: at once, or in the end if that feature is on.

use model::Labels;
use promql::{Settings, Value};
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

#[track_caller]
fn check(delayed_name_removal: bool, query: &str, want: &[&str]) {
    let series = |x: &str, first: f64, second: f64| {
        (Labels::from_pairs([("__name__", "a"), ("x", x)]), vec![(1_000, first), (61_000, second)])
    };
    let storage = storage_of(&[series("0", 1.0, 4.0), series("1", 2.0, 3.0)]);
    let settings = Settings { delayed_name_removal, ..Settings::default() };
    let asked = Asked::new(storage, settings, Budget::unlimited());
    let result = asked.range(query, 1_000, 61_000, 60_000).expect("evaluates");
    let Value::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
    let got: Vec<String> = series.iter().map(|one| format!("{} {}", one.labels, one.floats.len())).collect();
    assert_eq!(got, want, "{query}, delayed: {delayed_name_removal}");
}

#[test]
fn who_looks_at_names_sees_them_only_if_their_removal_is_delayed() {
    let join = "label_join(-a, \"y\", \"/\", \"x\", \"__name__\")";
    check(false, join, &[r#"{x="0", y="0/"} 2"#, r#"{x="1", y="1/"} 2"#]);
    check(true, join, &[r#"{x="0", y="0/a"} 2"#, r#"{x="1", y="1/a"} 2"#]);
    check(false, "sum by (__name__) (abs(a))", &["{} 2"]);
    check(true, "sum by (__name__) (abs(a))", &["{} 2"]);
    check(false, "count by (__name__) (a)", &[r#"{__name__="a"} 2"#]);
    check(false, "-a and on (__name__) a", &[]);
}

#[test]
fn a_name_that_goes_and_the_same_name_that_stays_are_two_series() {
    let both = [r#"{__name__="a", x="0"} 1"#, r#"{__name__="a", x="1"} 1"#, r#"{x="0"} 1"#, r#"{x="1"} 1"#];
    for delayed in [false, true] {
        check(delayed, "topk(1, a) or -a", &both);
    }
}
