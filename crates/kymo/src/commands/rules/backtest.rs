//! `kymo rules backtest`: the server evaluates, here the question is asked and the answer printed.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{named, read};
use crate::api_client::ApiClient;
use crate::cli::Outcome;
use crate::commands::query::{now_seconds, parse_time};
use crate::output::progress::Progress;
use crate::output::series_text;
use crate::output::table::table;

pub(super) const EXAMPLES: &str = "\
Examples:
  kymo rules backtest alerts.yml --from 30d
  kymo rules backtest alerts.yml --from 30d --compare alerts.old.yml
  kymo rules backtest alerts.yml --from 7d --alertmanager-config alertmanager.yml --max-pages 20

Times: Unix seconds, RFC 3339 (2026-01-31T12:00:00Z), now, or a duration that counts back from now (90m, 30d).

Exit status: 0 fine, 1 it failed, or there are more pages than --max-pages allows.";

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The rule files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// From when on.
    #[arg(long, default_value = "7d")]
    from: String,
    /// Until when.
    #[arg(long, default_value = "now")]
    to: String,
    /// An older version of the rules; what differs is told. May be given several times, if there are several files.
    #[arg(long, value_name = "OLD_FILE")]
    compare: Vec<PathBuf>,
    /// Who would be told, instead of the server's own Alertmanager configuration and silences.
    #[arg(long, value_name = "FILE")]
    alertmanager_config: Option<PathBuf>,
    /// Time between evaluations, such as 1m, instead of the groups' own intervals.
    #[arg(long)]
    step: Option<String>,
    /// More pages than this make the exit status 1.
    #[arg(long, value_name = "N")]
    max_pages: Option<u64>,
    /// Most alerts that are listed.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Print the server's answer, for programs.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &Arguments,
    api: &ApiClient,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let now = now_seconds();
    let mut body = json!({
        "groups": named(&arguments.files)?,
        "from": parse_time(&arguments.from, now)?,
        "to": parse_time(&arguments.to, now)?,
        "limit": arguments.limit,
    });
    if !arguments.compare.is_empty() {
        body["compare"] = named(&arguments.compare)?;
    }
    if let Some(path) = &arguments.alertmanager_config {
        body["alertmanager"] = read(path)?.into();
    }
    if let Some(step) = &arguments.step {
        body["step"] = step.as_str().into();
    }
    let mut bar = Progress::counting("evaluating", 1000, "‰");
    let mut shown = 0;
    let answer = api.post_json_watched("rules/backtest", &body, &mut |part| {
        let now = (part * 1000.0) as u64;
        bar.add(now.saturating_sub(shown));
        shown = shown.max(now);
    })?;
    drop(bar);
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&answer.data)?)?;
    } else {
        print(&answer.data, out)?;
    }
    let pages = answer.data["pages"]["total"].as_u64().unwrap_or(0);
    if arguments.max_pages.is_some_and(|most| pages > most) {
        out.flush()?;
        writeln!(err, "{pages} pages are more than --max-pages {}", arguments.max_pages.unwrap_or(0))?;
        return Ok(Outcome::Faults);
    }
    Ok(Outcome::Success)
}

fn print(data: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{} to {}\n", text(&data["from"]), text(&data["to"]))?;
    print_rules(&data["rules"], out)?;
    print_alerts("Alerts", &data["alerts"], &data["alertCount"], out)?;
    print_pages("Pages", &data["pages"], out)?;
    let compare = &data["compare"];
    if compare.is_null() {
        return Ok(());
    }
    writeln!(
        out,
        "\nCompared with the old version: {} alerts only in old, {} only in new, {} moved, {} the same",
        compare["onlyInOldCount"], compare["onlyInNewCount"], compare["movedCount"], compare["sameCount"]
    )?;
    print_alerts("Only in old", &compare["onlyInOld"], &compare["onlyInOldCount"], out)?;
    print_alerts("Only in new", &compare["onlyInNew"], &compare["onlyInNewCount"], out)?;
    print_moved(&compare["moved"], out)?;
    print_pages("Pages of the old version", &compare["oldPages"], out)
}

fn print_rules(rules: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut faults = Vec::new();
    for rule in rules.as_array().into_iter().flatten() {
        let alerting = &rule["alerting"];
        let mut row = vec![format!("{}/{}", text(&rule["group"]), text(&rule["name"]))];
        if alerting.is_null() {
            row.push(format!("{} samples", rule["samples"]));
        } else {
            let times = &alerting["timeToFire"];
            row.extend([
                alerting["alerts"].to_string(),
                alerting["pendingOnly"].to_string(),
                alerting["flaps"].to_string(),
                duration(&times["p50"]),
                duration(&times["max"]),
                duration(&alerting["firing"]),
                alerting["pages"].to_string(),
            ]);
        }
        row.resize(8, String::new());
        rows.push(row);
        if rule["failedEvaluations"].as_u64().unwrap_or(0) > 0 {
            faults.push(format!(
                "{}/{}: {} of {} evaluations failed, last: {}",
                text(&rule["group"]),
                text(&rule["name"]),
                rule["failedEvaluations"],
                rule["evaluations"],
                text(&rule["lastError"])
            ));
        }
    }
    let head = ["RULE", "ALERTS", "ONLY PENDING", "FLAPS", "TO FIRE (P50)", "(MAX)", "FIRING", "PAGES"];
    writeln!(out, "{}", table(&head, &[false, true, true, true, true, true, true, true], &rows))?;
    for fault in faults {
        writeln!(out, "{fault}")?;
    }
    Ok(())
}

fn print_alerts(title: &str, alerts: &Value, count: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let alerts: Vec<&Value> = alerts.as_array().into_iter().flatten().collect();
    if alerts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = alerts
        .iter()
        .map(|alert| {
            let ended =
                if alert["resolvedAt"].is_null() { "-".to_owned() } else { text(&alert["resolvedAt"]) };
            vec![
                text(&alert["pendingAt"]),
                text(&alert["firedAt"]),
                ended,
                text(&alert["peak"]),
                labels(&alert["labels"]),
            ]
        })
        .collect();
    let cut = match count.as_u64() {
        Some(count) if count > alerts.len() as u64 => format!(" ({} of {count})", alerts.len()),
        _ => String::new(),
    };
    writeln!(out, "{title}{cut}:")?;
    writeln!(
        out,
        "{}",
        table(
            &["PENDING", "FIRED", "RESOLVED", "PEAK", "LABELS"],
            &[false, false, false, true, false],
            &rows
        )
    )?;
    Ok(())
}

fn print_moved(moved: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = moved
        .as_array()
        .into_iter()
        .flatten()
        .map(|moved| {
            let times = |which: &str, at: &str| match text(&moved[which][at]) {
                none if none.is_empty() => "-".to_owned(),
                at => at,
            };
            let change = |at: &str| format!("{} -> {}", times("old", at), times("new", at));
            vec![change("firedAt"), change("resolvedAt"), labels(&moved["labels"])]
        })
        .collect();
    if !rows.is_empty() {
        writeln!(out, "Moved:\n{}", table(&["FIRED", "RESOLVED", "LABELS"], &[false; 3], &rows))?;
    }
    Ok(())
}

fn print_pages(title: &str, pages: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let a_day = pages["perDay"].as_f64().unwrap_or(0.0);
    writeln!(out, "{title}: {} ({a_day:.2} a day)", pages["total"])?;
    for receiver in pages["receivers"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "  {}: {} pages, {} of them repeats; {} times told that all is well again",
            text(&receiver["receiver"]),
            receiver["pages"],
            receiver["repeats"],
            receiver["resolved"]
        )?;
    }
    for day in pages["days"].as_array().into_iter().flatten() {
        writeln!(out, "  {}  {}", text(&day["day"]), day["pages"])?;
    }
    Ok(())
}

fn labels(labels: &Value) -> String {
    series_text(labels)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn duration(seconds: &Value) -> String {
    match seconds.as_f64() {
        Some(seconds) => model::time::format_duration_ms((seconds * 1000.0) as i64),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_becomes_text() {
        let data = json!({
            "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z",
            "rules": [
                {"group": "g", "name": "A", "failedEvaluations": 0, "evaluations": 5,
                 "alerting": {"alerts": 1, "pendingOnly": 2, "flaps": 0, "firing": 60.0, "pages": 1,
                              "timeToFire": {"p50": 60.0, "max": 120.0}}},
                {"group": "g", "name": "r", "samples": 7, "failedEvaluations": 1, "evaluations": 5, "lastError": "why"}],
            "alerts": [{"labels": {"alertname": "A"}, "pendingAt": "t0", "firedAt": "t1", "resolvedAt": null, "peak": "9"}],
            "alertCount": 3,
            "pages": {"total": 1, "perDay": 1.0, "days": [{"day": "2026-01-01", "pages": 1}],
                      "receivers": [{"receiver": "team", "pages": 1, "repeats": 0, "resolved": 1}]},
            "compare": {"onlyInOld": [], "onlyInOldCount": 0, "onlyInNew": [], "onlyInNewCount": 0, "sameCount": 2, "movedCount": 1,
                "moved": [{"labels": {"alertname": "A"}, "old": {"firedAt": "t1", "resolvedAt": null}, "new": {"firedAt": "t2", "resolvedAt": "t3"}}],
                "oldPages": {"total": 4, "perDay": 4.0}},
        });
        let mut out = Vec::new();
        print(&data, &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        for want in [
            "g/A",
            "7 samples",
            "g/r: 1 of 5 evaluations failed, last: why",
            "Alerts (1 of 3):",
            "{alertname=\"A\"}",
            "Pages: 1 (1.00 a day)",
            "  team: 1 pages, 0 of them repeats; 1 times",
            "0 alerts only in old, 0 only in new, 1 moved, 2 the same",
            "t1 -> t2",
            "- -> t3",
            "Pages of the old version: 4",
        ] {
            assert!(text.contains(want), "{want} is not in\n{text}");
        }
    }
}
