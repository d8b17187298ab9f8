//! From the labels an exporter wrote to the labels that are stored: the target's labels, the job's rules, limits.

use model::labels::{is_legacy_label_name, is_legacy_metric_name};
use model::{LabelsBuilder, LabelsRef, METRIC_NAME, relabel};
use wire::exposition::SeriesId;

use crate::error::ScrapeError;
use crate::settings::{Job, ValidationScheme};

/// Prefix of an exporter's label that has the name of one of the target's.
const EXPORTED_PREFIX: &str = "exported_";
/// At most this many characters of a name or value are shown in an error.
const SHOWN_MAX: usize = 50;

/// Makes exposed labels stored ones. `id` is what the exporter wrote. `Ok(false)`: relabelling dropped the series.
///
/// # Errors
/// `Err` names a limit that was exceeded, or says why the result cannot be stored.
pub(crate) fn finish(
    labels: &mut LabelsBuilder,
    id: &SeriesId<'_>,
    target: LabelsRef<'_>,
    job: &Job,
) -> Result<bool, Refused> {
    add_target_labels(labels, id, target, job.honor_labels);
    if !relabel::apply(&job.metric_relabel, labels) || labels.is_empty() {
        return Ok(false);
    }
    check_names(labels, job.validation)?;
    check_limits(labels, job)?;
    Ok(true)
}

/// Why a series cannot be stored; the scrape fails.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its names are not valid.
    Names(String),
    /// A limit of the job.
    Limit(ScrapeError),
}

fn add_target_labels(labels: &mut LabelsBuilder, id: &SeriesId<'_>, target: LabelsRef<'_>, honor: bool) {
    if honor {
        for (name, value) in target.iter() {
            // `instance=""` means "no instance, and mind that you add none".
            if labels.get(name).is_none() && !id.has_empty(name) {
                labels.set(name, value);
            }
        }
        return;
    }
    let mut clashing: Vec<(&str, String)> = Vec::new();
    for (name, value) in target.iter() {
        if let Some(exposed) = labels.get(name) {
            clashing.push((name, exposed.to_owned()));
        }
        labels.set(name, value);
    }
    clashing.sort_by_key(|(name, _)| name.len());
    for (name, value) in clashing {
        let mut name = format!("{EXPORTED_PREFIX}{name}");
        while labels.get(&name).is_some() {
            name.insert_str(0, EXPORTED_PREFIX);
        }
        labels.set(&name, &value);
    }
}

fn check_names(labels: &LabelsBuilder, validation: ValidationScheme) -> Result<(), Refused> {
    let Some(metric) = labels.get(METRIC_NAME) else {
        return Err(Refused::Names(format!("missing metric name ({METRIC_NAME} label)")));
    };
    let valid = match validation {
        ValidationScheme::Utf8 => true,
        ValidationScheme::Legacy => {
            is_legacy_metric_name(metric) && labels.iter().all(|(name, _)| is_legacy_label_name(name))
        }
    };
    if valid {
        return Ok(());
    }
    Err(Refused::Names(format!("invalid metric name or label names: {}", labels.build())))
}

fn check_limits(labels: &LabelsBuilder, job: &Job) -> Result<(), Refused> {
    let exceeds = |n: usize, limit: u64| limit > 0 && n as u64 > limit;
    let metric = shown(labels.get(METRIC_NAME).unwrap_or(""));
    let refuse = |limit, message: String| Err(Refused::Limit(ScrapeError::limit(limit, message)));
    let count = labels.iter().count();
    if exceeds(count, job.label_limit) {
        let message = format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {})",
            job.label_limit
        );
        return refuse("label_limit", message);
    }
    for (name, value) in labels.iter() {
        if exceeds(name.len(), job.label_name_length_limit) {
            let message = format!(
                "label_name_length_limit exceeded (metric: {metric}, label name: {}, length: {}, limit: {})",
                shown(name),
                name.len(),
                job.label_name_length_limit
            );
            return refuse("label_name_length_limit", message);
        }
        if exceeds(value.len(), job.label_value_length_limit) {
            let message = format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: {}, value: {:?}, length: {}, \
                 limit: {})",
                shown(name),
                shown(value),
                value.len(),
                job.label_value_length_limit
            );
            return refuse("label_value_length_limit", message);
        }
    }
    Ok(())
}

fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Global, ScrapeConfig};
    use model::Labels;
    use wire::exposition::{Entry, Format, Parser};

    fn job(change: impl FnOnce(&mut Job)) -> Job {
        let config = ScrapeConfig { job_name: "j".into(), ..ScrapeConfig::default() };
        let mut job = config.resolve(&Global::default()).expect("valid");
        change(&mut job);
        job
    }

    #[track_caller]
    fn check(exposed: &str, target: &[(&str, &str)], job: &Job, want: Result<&[(&str, &str)], &str>) {
        let text = format!("{exposed} 1\n");
        let mut parser = Parser::new(text.as_bytes(), Format::PrometheusText);
        let Ok(Some(Entry::Series(series))) = parser.next_entry() else { panic!("{exposed} is a series") };
        let mut labels = LabelsBuilder::new();
        series.pack_labels(&mut labels).expect("labels");
        let target = Labels::from_pairs(target.iter().copied());
        match (finish(&mut labels, &series.id, target.as_ref(), job), want) {
            (Ok(true), Ok(want)) => assert_eq!(labels.build(), Labels::from_pairs(want.iter().copied())),
            (Ok(false), Err("dropped")) => {}
            (Err(Refused::Names(got)), Err(want)) => assert_eq!(got, want),
            (Err(Refused::Limit(got)), Err(want)) => assert_eq!(got.to_string(), want),
            (got, want) => panic!("got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn clashing_labels_are_kept_under_another_name() {
        let plain = job(|_| {});
        let m = ("__name__", "m");
        check("m", &[("job", "j")], &plain, Ok(&[m, ("job", "j")]));
        check("m{n=\"1\"}", &[("n", "2")], &plain, Ok(&[m, ("exported_n", "1"), ("n", "2")]));
        check("m", &[("n", "2"), ("exported_n", "3")], &plain, Ok(&[m, ("exported_n", "3"), ("n", "2")]));
        check(
            "m{n=\"1\",exported_n=\"4\"}",
            &[("n", "2"), ("exported_n", "3")],
            &plain,
            Ok(&[
                m,
                ("exported_exported_exported_n", "4"),
                ("exported_exported_n", "1"),
                ("exported_n", "3"),
                ("n", "2"),
            ]),
        );
        check("m{n=\"\"}", &[("n", "2")], &plain, Ok(&[m, ("n", "2")]));
    }

    #[test]
    fn honoured_labels_win_even_if_empty() {
        let honor = job(|job| job.honor_labels = true);
        let m = ("__name__", "m");
        check(
            "m{n1=\"1\",n2=\"2\"}",
            &[("n1", "0"), ("x", "y")],
            &honor,
            Ok(&[m, ("n1", "1"), ("n2", "2"), ("x", "y")]),
        );
        check("m{instance=\"\"}", &[("instance", "h"), ("job", "j")], &honor, Ok(&[m, ("job", "j")]));
        check("m{ instance = \"\" }", &[("instance", "h")], &honor, Ok(&[m]));
        check("m{\"instance\"=\"\"}", &[("instance", "h")], &honor, Ok(&[m]));
        check("m{my_instance=\"\"}", &[("instance", "h")], &honor, Ok(&[m, ("instance", "h")]));
        check(
            "m{a=\",instance=\\\"\\\"\"}",
            &[("instance", "h")],
            &honor,
            Ok(&[m, ("a", ",instance=\"\""), ("instance", "h")]),
        );
    }

    #[test]
    fn rules_apply_to_the_whole_set() {
        let rule = |json: &str| serde_json::from_str(json).expect("a rule");
        let drops = job(|job| {
            job.metric_relabel
                .push(rule(r#"{"source_labels":["__name__","job"],"regex":"m;j","action":"drop"}"#));
        });
        check("m", &[("job", "j")], &drops, Err("dropped"));
        let nameless =
            job(|job| job.metric_relabel.push(rule(r#"{"regex":"__name__","action":"labeldrop"}"#)));
        check("m", &[("job", "j")], &nameless, Err("missing metric name (__name__ label)"));
        let empty = job(|job| job.metric_relabel.push(rule(r#"{"regex":".*","action":"labeldrop"}"#)));
        check("m", &[("job", "j")], &empty, Err("dropped"));
    }

    #[test]
    fn limits_name_what_exceeds_them() {
        let long = "x".repeat(60);
        check(
            "m{a=\"1\",b=\"2\"}",
            &[],
            &job(|job| job.label_limit = 2),
            Err("label_limit exceeded (metric: m, number of labels: 3, limit: 2)"),
        );
        check(
            &format!("m{{{long}=\"1\"}}"),
            &[],
            &job(|job| job.label_name_length_limit = 10),
            Err(&format!(
                "label_name_length_limit exceeded (metric: m, label name: {}, length: 60, limit: 10)",
                "x".repeat(50)
            )),
        );
        check(
            &format!("m{{a=\"{long}\"}}"),
            &[],
            &job(|job| job.label_value_length_limit = 10),
            Err(&format!(
                "label_value_length_limit exceeded (metric: m, label name: a, value: \"{}\", length: 60, limit: 10)",
                "x".repeat(50)
            )),
        );
        let legacy = job(|job| job.validation = ValidationScheme::Legacy);
        check("{\"a.b\"}", &[], &legacy, Err("invalid metric name or label names: {__name__=\"a.b\"}"));
        check("{\"a.b\"}", &[], &job(|_| {}), Ok(&[("__name__", "a.b")]));
    }
}
