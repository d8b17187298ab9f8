//! Type and unit as labels, from an answer to storage.

use model::Labels;

use super::exporter::{Exporter, Reply};
use super::virtual_time::{Bench, Exposed, pass_s};
use super::{job, rule, series, shared, values};
use crate::pool::{PoolHandle, PoolId};
use crate::recipe::Recipe;
use crate::settings::Job;

fn described(change: impl FnOnce(&mut Job)) -> Job {
    job("h:1", |job| {
        job.interval_ms = 10_000;
        job.timeout_ms = 5_000;
        job.type_and_unit_labels = true;
        change(job);
    })
}

#[track_caller]
fn check(bench: &Bench, metric: &str, want: &[&[(&str, &str)]]) {
    let mut found: Vec<Labels> =
        series(bench.storage(), metric).into_iter().map(|(labels, _)| labels).collect();
    found.sort();
    let want: Vec<Labels> = want
        .iter()
        .map(|pairs| {
            let own = [("__name__", metric), ("job", "j"), ("instance", "h:1")];
            Labels::from_pairs(own.into_iter().chain(pairs.iter().copied()))
        })
        .collect();
    assert_eq!(found, want, "{metric}");
}

const TEXT: &str = "# HELP a Things.\n# TYPE a counter\na_total{x=\"1\"} 1\na_created 5\nb 2\n\
    # HELP c Other things.\n# TYPE c gauge\nc{__type__=\"mine\",__unit__=\"mine\"} 3\n# TYPE d untyped\nd 4\n";

#[tokio::test(start_paused = true)]
async fn series_carry_the_type_of_their_family_and_reports_none() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(TEXT);
    let _pool = bench.pool(described(|_| {}), &exposed);
    pass_s(30).await;
    check(&bench, "a_total", &[&[("__type__", "counter"), ("x", "1")]]);
    check(&bench, "c", &[&[("__type__", "gauge"), ("__unit__", "mine")]]);
    for without in ["a_created", "b", "d", "up", "scrape_samples_scraped"] {
        check(&bench, without, &[&[]]);
    }
    assert_eq!(values(bench.storage(), "a_total"), [Some(1.0); 3]);
    assert_eq!(values(bench.storage(), "scrape_series_added"), [Some(5.0), Some(0.0), Some(0.0)]);
}

#[tokio::test(start_paused = true)]
async fn without_the_feature_nothing_is_added() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(TEXT);
    let _pool = bench.pool(described(|job| job.type_and_unit_labels = false), &exposed);
    pass_s(10).await;
    check(&bench, "a_total", &[&[("x", "1")]]);
    check(&bench, "c", &[&[("__type__", "mine"), ("__unit__", "mine")]]);
}

#[tokio::test(start_paused = true)]
async fn rules_and_limits_see_the_labels() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("# TYPE a counter\na 1\n# TYPE b gauge\nb 2\n");
    let drops = described(|job| {
        job.metric_relabel.push(rule(r#"{"source_labels":["__type__"],"regex":"gauge","action":"drop"}"#));
        job.metric_relabel.push(rule(r#"{"source_labels":["__type__"],"target_label":"kind"}"#));
        job.metric_relabel.push(rule(r#"{"regex":"__type__","action":"labeldrop"}"#));
    });
    let _pool = bench.pool(drops, &exposed);
    pass_s(10).await;
    check(&bench, "a", &[&[("kind", "counter")]]);
    check(&bench, "b", &[]);
    let bench = Bench::new();
    let _pool = bench.pool(described(|job| job.label_limit = 3), &exposed);
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "up"), [Some(0.0)], "__name__, __type__, job and instance are four");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_changes_ends_one_series_and_begins_another() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("# TYPE a counter\na 1\n");
    let _pool = bench.pool(described(|_| {}), &exposed);
    pass_s(10).await;
    exposed.set("# TYPE a gauge\na 2\n");
    pass_s(10).await;
    exposed.set("a 3\n");
    pass_s(10).await;
    let of_type = |kind: &'static str| [("__type__", kind)];
    check(&bench, "a", &[&of_type("counter")[..], &of_type("gauge")[..], &[]]);
    let of = |kind: Option<&str>| {
        let mut all = series(bench.storage(), "a").into_iter();
        let (_, samples) = all.find(|(labels, _)| labels.get("__type__") == kind).expect("stored");
        samples.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(of(Some("counter")), [Some(1.0), None]);
    assert_eq!(of(Some("gauge")), [Some(2.0), None]);
    assert_eq!(of(None), [Some(3.0)]);
}

#[tokio::test(start_paused = true)]
async fn switching_the_feature_on_relabels_what_is_known() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("# TYPE a counter\na 1\nb 1\n");
    let mut pool = bench.pool(described(|job| job.type_and_unit_labels = false), &exposed);
    pass_s(10).await;
    pool.reload(Recipe::built_in(described(|_| {}), exposed.clone(), false)).await;
    pass_s(10).await;
    let all = series(bench.storage(), "a");
    let [(old, ended), (new, _)] = &all[..] else { panic!("two: {all:?}") };
    let (old, new, ended) =
        if old.get("__type__").is_some() { (new, old, &all[1].1) } else { (old, new, ended) };
    assert_eq!((old.get("__type__"), new.get("__type__")), (None, Some("counter")));
    assert_eq!(ended.last().map(|(_, value)| *value), Some(None), "{all:?}");
    assert!(values(bench.storage(), "b").iter().all(Option::is_some), "b is what it was");
}

#[tokio::test]
async fn units_come_from_open_metrics() {
    let text = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_bucket{le=\"+Inf\"} 1\n\
        a_seconds_sum 2\n# TYPE b gauge\nb 3\n# UNIT c_bytes bytes\nc_bytes 4\n# EOF\n";
    let exporter = Exporter::start(Reply::text("application/openmetrics-text; version=1.0.0", text)).await;
    let bench = Bench::new();
    let job = job(&exporter.address, |job| {
        job.interval_ms = 50;
        job.timeout_ms = 50;
        job.type_and_unit_labels = true;
    });
    let id = PoolId { name: job.name.clone(), built_in: false };
    let _pool = PoolHandle::start(&bench.env, id, Recipe::http(job).expect("a client"));
    super::eventually("a scrape", || !series(bench.storage(), "c_bytes").is_empty()).await;
    let of = |metric: &str| {
        let labels = series(bench.storage(), metric).remove(0).0;
        ["__type__", "__unit__"].map(|name| labels.get(name).unwrap_or("").to_owned())
    };
    assert_eq!(of("a_seconds_bucket"), ["histogram", "seconds"]);
    assert_eq!(of("a_seconds_sum"), ["histogram", "seconds"]);
    assert_eq!(of("b"), ["gauge", ""]);
    assert_eq!(of("c_bytes"), ["", "bytes"]);
}
