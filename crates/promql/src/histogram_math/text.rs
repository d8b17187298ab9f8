//! A histogram as text: what `count_values` makes label values of.

use std::fmt::Write;

use model::FloatHistogram;
use model::number::{FloatFormat, write_float};

use super::bounds;

/// `{count:20, sum:10, [-2,-1):2, [-0.001,0.001]:2, (0.5,1]:1}`, as Prometheus writes it.
pub(crate) fn to_text(histogram: &FloatHistogram) -> String {
    let mut text = String::from("{count:");
    number(&mut text, histogram.count);
    text.push_str(", sum:");
    number(&mut text, histogram.sum);
    for (_, bucket) in bounds::all(histogram) {
        if bucket.count == 0.0 {
            continue;
        }
        text.push_str(if bucket.lower_inclusive { ", [" } else { ", (" });
        number(&mut text, bucket.lower);
        text.push(',');
        number(&mut text, bucket.upper);
        text.push_str(if bucket.upper_inclusive { "]:" } else { "):" });
        number(&mut text, bucket.count);
    }
    text.push('}');
    text
}

fn number(text: &mut String, value: f64) {
    let written = write_float(text, value, FloatFormat::General);
    debug_assert!(written.is_ok(), "BUG: a String takes everything");
    let _: &mut dyn Write = text;
}
