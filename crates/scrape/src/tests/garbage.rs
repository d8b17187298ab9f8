//! Whatever a target answers, a scrape counts whole or not at all, and nothing panics.

use proptest::prelude::*;

use super::virtual_time::{Bench, Exposed};
use super::{job, series, shared};
use crate::ingest::{Answer, Scrape};
use crate::quota::Share;
use crate::recipe::Recipe;
use crate::target::{Built, Target, TargetState, build};

/// Pieces that are nearly metrics, so that many of their mixtures are.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]\\{x=\"[0-3]\"\\} [0-9]{1,3}\n",
        2 => "[a-c] [0-9]{1,3}( [0-9]{1,19})?\n",
        1 => "# (TYPE|HELP|UNIT|EOF) [a-c]{1,2}( counter| gauge| .{0,5})?\n",
        1 => "[a-c]\\{[^}]{0,8}\\} (NaN|[+-]Inf|1e999|x)\n",
        1 => Just("a_total 1 # {trace_id=\"x\"} 1\n".to_owned()),
        1 => Just("# EOF\n".to_owned()),
        1 => "\\PC{0,12}\n?",
    ]
}

proptest! {
    #[test]
    fn any_answer_is_stored_whole_or_not_at_all(
        answers in proptest::collection::vec((proptest::collection::vec(piece(), 0..8), any::<bool>()), 1..6),
        honor_labels in any::<bool>(), type_and_unit_labels in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _nothing_runs_on_it = runtime.enter();
        let bench = Bench::new();
        let job = job("h:1", |job| {
            job.honor_labels = honor_labels;
            job.type_and_unit_labels = type_and_unit_labels;
        });
        let group = discovery::TargetGroup::of_addresses("g".into(), ["h:1"], &Default::default());
        let Built::Target(spec) = build(&group.targets[0], &group, &job).expect("built") else { panic!("kept") };
        let state = TargetState::new(&bench.env, spec.labels.clone(), Share::unlimited());
        let target = Target::new(spec, state);
        let recipe = Recipe::built_in(job, shared::<Exposed>(), false);
        for (i, (pieces, open_metrics)) in (0i64..).zip(answers) {
            let mut body = bench.env.buffers.take();
            body.write_text(|text| text.push_str(&pieces.concat())).expect("fits");
            let content_type = if open_metrics { "application/openmetrics-text" } else { "text/plain" };
            let timestamp_ms = 1_000_000_000_000 + i * 1_000;
            let scrape = Scrape {
                env: &bench.env,
                recipe: &recipe,
                target: &target,
                timestamp_ms,
                began: bench.env.clock.monotonic(),
            };
            let ingested = scrape.ingest(Ok(Answer { body, content_type: content_type.into() }));
            let up = series(bench.storage(), "up").remove(0).1;
            prop_assert_eq!(up.last(), Some(&(timestamp_ms, Some(f64::from(u8::from(ingested.error.is_none()))))));
            if ingested.error.is_some() {
                for metric in ["a", "b", "c"] {
                    for (_, samples) in series(bench.storage(), metric) {
                        prop_assert!(!samples.iter().any(|(t, value)| *t == timestamp_ms && value.is_some()));
                    }
                }
            }
        }
    }
}
